#!/usr/bin/env python3
"""Check recorded traffic against the API definition.

    python3 schema.py traffic.jsonl ...   prints violations and the endpoints that were never hit

A line is one exchange as lib/proxy.py writes it. Checked: the path exists, the status is one the
endpoint documents (or an error that any endpoint may give), every error is {"message": text},
every member of an answer is known and of its type, required members are there, enums hold. The
definition says little about which members are always sent; ALWAYS adds that for the types where
clients rely on it.
"""
import json
import os
import re
import sys

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "api-schema.json")

# Docker sends these although the definition (1.51) no longer or never had them.
EXTRA = {
    "EventMessage": {"status", "id", "from"},
    "ImageSummary": {"VirtualSize"},
    "ImageInspect": {"VirtualSize", "Container", "ContainerConfig"},
    "ImageConfig": {"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty",
                    "OpenStdin", "StdinOnce", "Image", "NetworkDisabled", "MacAddress",
                    "StopTimeout"},
    "SystemInfo": {"BridgeNfIptables", "BridgeNfIp6tables", "KernelMemory", "SystemStatus"},
    "Commit": {"Expected"},
    "ProgressDetail": {"hidecounts", "units", "start"},
    "BuildInfo": {"progress"},
    "Resources": {"KernelMemory"},
    "AuthConfig": {"identitytoken", "registrytoken"},
}

# Members that Docker sends whatever their value.
ALWAYS = {
    "ContainerInspectResponse": """Id Created Path Args State Image ResolvConfPath HostnamePath
        HostsPath LogPath Name RestartCount Driver Platform MountLabel ProcessLabel
        AppArmorProfile ExecIDs HostConfig GraphDriver Mounts Config NetworkSettings""",
    "ContainerState": """Status Running Paused Restarting OOMKilled Dead Pid ExitCode Error
        StartedAt FinishedAt""",
    "ContainerConfig": """Hostname Domainname User AttachStdin AttachStdout AttachStderr Tty
        OpenStdin StdinOnce Env Cmd Image Volumes WorkingDir Entrypoint OnBuild Labels""",
    "HostConfig": """Binds ContainerIDFile LogConfig NetworkMode PortBindings RestartPolicy
        AutoRemove VolumeDriver VolumesFrom ConsoleSize CapAdd CapDrop CgroupnsMode Dns DnsOptions
        DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode Privileged
        PublishAllPorts ReadonlyRootfs SecurityOpt UTSMode UsernsMode ShmSize Isolation CpuShares
        Memory NanoCpus CgroupParent BlkioWeight CpuPeriod CpuQuota CpusetCpus CpusetMems Devices
        MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits MaskedPaths
        ReadonlyPaths""",
    "NetworkSettings": """Bridge SandboxID SandboxKey Ports HairpinMode EndpointID Gateway
        IPAddress IPPrefixLen MacAddress Networks""",
    "EndpointSettings": """IPAMConfig Links Aliases NetworkID EndpointID Gateway IPAddress
        IPPrefixLen MacAddress DriverOpts""",
    "ContainerSummary": """Id Names Image ImageID Command Created Ports Labels State Status
        HostConfig NetworkSettings Mounts""",
    "ImageInspect": """Id RepoTags RepoDigests Comment Config Architecture Os Size GraphDriver
        RootFS Metadata""",
    "SystemVersion": "Platform Version ApiVersion MinAPIVersion GitCommit GoVersion Os Arch",
    "SystemInfo": """ID Containers ContainersRunning ContainersPaused ContainersStopped Images
        Driver Plugins MemoryLimit NCPU MemTotal DockerRootDir Name ServerVersion CgroupDriver
        CgroupVersion KernelVersion OperatingSystem OSType Architecture SecurityOptions Warnings
        Swarm Runtimes DefaultRuntime LoggingDriver""",
    "EventMessage": "Type Action Actor",
    "ContainerStatsResponse": """read preread pids_stats blkio_stats cpu_stats precpu_stats
        memory_stats""",
}

# Those that Docker's definition does not have; docs/api.md describes them.
OWN = re.compile(r"(GET|POST|DELETE) (/v[0-9.]+)?(/volumes/[^/]+/(clone|export|import)"
                 r"|/build/(session|context|history)(/.*)?)")
ANY_ERROR = (400, 404, 409, 500, 501, 503)
NULLABLE = ("MemorySwappiness", "OomKillDisable", "ExitCode", "StopTimeout")
PYTHON = {"string": str, "integer": int, "boolean": bool, "number": (int, float),
          "array": list, "object": dict}


class Schema:
    def __init__(self, path=DATA):
        with open(path, encoding="utf-8") as f:
            data = json.load(f)
        self.types, self.endpoints = data["types"], data["endpoints"]
        for e in self.endpoints:
            # {name:.*} style parameters and image names hold slashes
            pattern = re.sub(r"\\\{[^}]*\\\}", "(.+)" if "/images/" in e["path"] or
                             "/distribution/" in e["path"] else "([^/]+)", re.escape(e["path"]))
            e["regex"] = re.compile(pattern + "$")
        # literal paths win over those with parameters
        self.endpoints.sort(key=lambda e: e["path"].count("{"))

    def find(self, method, path):
        path = re.sub(r"^/v\d+\.\d+(?=/)", "", path)
        for e in self.endpoints:
            if e["method"] == method and e["regex"].match(path):
                return e
        return None

    def fields(self, node):
        """All members of an object type with those it extends."""
        out = dict(node.get("fields", {}))
        for name in node.get("extends", []):
            out.update(self.fields(self.types[name]))
        return out

    def extra(self, node, name):
        out = set(EXTRA.get(name, ()))
        for base in node.get("extends", []):
            out |= self.extra(self.types[base], base)
        return out

    def check(self, node, value, where, name=""):
        """Violations of @value against @node, as texts."""
        if "ref" in node:
            yield from self.check({**self.types[node["ref"]], **{k: v for k, v in node.items()
                                                                 if k == "nullable"}},
                                  value, where, node["ref"])
            return
        kind = node["type"]
        if value is None:
            # Go sends null for a list, map or struct pointer that is not set
            if not node.get("nullable") and kind not in ("array", "object", "any") \
                    and where.rsplit(".", 1)[-1] not in NULLABLE:
                yield "%s: null" % where
            return
        if kind == "any":
            kind = "object" if "map" in node else None
        if kind and (not isinstance(value, PYTHON[kind])
                     or (kind == "integer" and isinstance(value, bool))):
            yield "%s: want %s, got %s" % (where, kind, json.dumps(value)[:80])
            return
        if node.get("enum") and value not in node["enum"] and value != "":
            yield "%s: %r is none of %s" % (where, value, node["enum"])
        if kind == "array" and "items" in node:
            for i, item in enumerate(value):
                yield from self.check(node["items"], item, "%s[%d]" % (where, i))
        elif kind == "object":
            yield from self.check_object(node, value, where, name)

    def check_object(self, node, value, where, name):
        fields, extra = self.fields(node), self.extra(node, name)
        # The definition requires a member or two that it does not define; Docker does not send them.
        required = [k for k in node.get("required", []) if not fields or k in fields]
        for key in required + ALWAYS.get(name, "").split():
            if key not in value:
                yield "%s.%s: missing" % (where, key)
        for key, item in value.items():
            if key in fields:
                yield from self.check(fields[key], item, "%s.%s" % (where, key))
            elif "map" in node:
                yield from self.check(node["map"], item, "%s.%s" % (where, key))
            elif fields and key not in extra:
                yield "%s.%s: unknown member" % (where, key)

    def check_exchange(self, row):
        endpoint, status = self.find(row["method"], row["path"]), row["status"]
        resp = row["resp"]
        if status >= 400:
            if row["method"] != "HEAD" and not row["path"].endswith("/attach") and (
                    not resp or set(resp[0]) != {"message"} or not resp[0]["message"]):
                yield "error is not {message}: %r" % (resp,)
            if endpoint and status not in ANY_ERROR and str(status) not in endpoint["status"]:
                yield "status %d is not documented" % status
            return
        if endpoint is None:
            if not OWN.fullmatch("%s %s" % (row["method"], row["path"].split("?")[0])):
                yield "no such endpoint"
            return
        if status == 101 and row.get("hijack"):
            return  # the definition forgets it for exec
        if str(status) not in endpoint["status"]:
            yield "status %d is not documented" % status
            return
        node = endpoint["status"][str(status)]
        if node is None or resp is None or row.get("hijack"):
            return
        for i, value in enumerate(resp):
            yield from self.check(node, value, "resp" if len(resp) == 1 else "resp[%d]" % i)


def read(paths):
    for path in paths:
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.endswith("\n"):
                    yield json.loads(line)


def report(rows, schema=None):
    """(violations as {text: count}, endpoints hit with success, endpoints never hit)."""
    schema = schema or Schema()
    bad, hit = {}, set()
    for row in rows:
        endpoint = schema.find(row["method"], row["path"])
        if endpoint and row["status"] < 400:
            hit.add((endpoint["method"], endpoint["path"]))
        shown = endpoint["path"] if endpoint else row["path"]
        for text in schema.check_exchange(row):
            text = re.sub(r"\b[0-9a-f]{12,64}\b", "ID", text)
            text = "%s %s -> %d: %s" % (row["method"], shown, row["status"], text)
            bad[text] = bad.get(text, 0) + 1
    everything = {(e["method"], e["path"]) for e in schema.endpoints}
    return bad, hit, everything - hit


def main():
    bad, hit, never = report(read(sys.argv[1:]))
    for text, count in sorted(bad.items()):
        print("%4d x %s" % (count, text))
    print("never hit with success:")
    for method, path in sorted(never, key=lambda x: (x[1], x[0])):
        print("     %-6s %s" % (method, path))
    print("%d violations, %d endpoints hit, %d never" % (len(bad), len(hit), len(never)))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
