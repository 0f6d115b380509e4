"""A volume plugin, as a process of its own on a unix socket: it keeps directories, binds them
where it says they are, writes down every call, and can be told to behave oddly.

    volplugin.py SOCKET DIR

DIR/odd.json has odd behaviour by method: {"VolumeDriver.Mount": {"do": "hang"}}; it is read anew at
every call. DIR/calls.jsonl has the calls, DIR/state.json the volumes and who has them mounted.
"""
import http.server
import json
import os
import select
import socketserver
import subprocess
import sys
import threading

LOCK = threading.Lock()


class State:
    def __init__(self, top):
        self.top = top
        self.path = os.path.join(top, "state.json")
        self.volumes = {}
        if os.path.exists(self.path):
            with open(self.path, encoding="utf-8") as f:
                self.volumes = json.load(f)

    def save(self):
        with open(self.path + ".new", "w", encoding="utf-8") as f:
            json.dump(self.volumes, f)
        os.rename(self.path + ".new", self.path)

    def place(self, kind, name):
        path = os.path.join(self.top, kind, name)
        os.makedirs(path, exist_ok=True)
        return path

    # ---- the driver ----

    def need(self, name):
        if name not in self.volumes:
            raise KeyError("no volume %s here" % name)
        return self.volumes[name]

    def told(self, name):
        v = self.volumes[name]
        return {"Name": name, "Mountpoint": self.place("mnt", name) if v["ids"] else "",
                "CreatedAt": "2020-02-02T02:02:02Z", "Status": {"opts": v["opts"]}}

    def create(self, a):
        if "fail" in (a["Opts"] or {}):
            raise KeyError("option fail was given")
        self.volumes.setdefault(a["Name"], {"opts": a["Opts"], "ids": []})
        self.place("vols", a["Name"])
        return {}

    def remove(self, a):
        if self.need(a["Name"])["ids"]:
            raise KeyError("still mounted: %s" % self.volumes[a["Name"]]["ids"])
        del self.volumes[a["Name"]]
        subprocess.run(["rm", "-rf", self.place("vols", a["Name"])], check=True)
        return {}

    def mount(self, a):
        ids = self.need(a["Name"])["ids"]
        if not ids:
            subprocess.run(["mount", "--bind", self.place("vols", a["Name"]),
                            self.place("mnt", a["Name"])], check=True)
        ids.append(a["ID"])
        return {"Mountpoint": self.place("mnt", a["Name"])}

    def unmount(self, a):
        ids = self.need(a["Name"])["ids"]
        if a["ID"] not in ids:
            raise KeyError("no mount %s" % a["ID"])
        ids.remove(a["ID"])
        if not ids:  # fails while anybody has a file of it open
            subprocess.run(["umount", self.place("mnt", a["Name"])], check=True)
        return {}

    def path_of(self, a):
        self.need(a["Name"])
        return {"Mountpoint": self.place("mnt", a["Name"])}

    def get(self, a):
        self.need(a["Name"])
        return {"Volume": self.told(a["Name"])}

    def list(self, _):
        return {"Volumes": [self.told(n) for n in self.volumes]}

    def capabilities(self, _):
        return {"Capabilities": {"Scope": "global"}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def address_string(self):
        return "client"

    def reply(self, obj, status=200):
        body = obj if isinstance(obj, bytes) else json.dumps(obj).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/vnd.docker.plugins.v1.1+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        method, args = self.path[1:], json.loads(body or b"{}")
        with LOCK:
            with open(os.path.join(self.server.state.top, "calls.jsonl"), "a", encoding="utf-8") as f:
                f.write(json.dumps([method, args, self.headers.get("Accept")]) + "\n")
        odd = self.server.odd().get(method, {})
        if "do" in odd and getattr(self, "odd_" + odd["do"])(odd):
            return
        if method == "Plugin.Activate":
            self.reply({"Implements": ["VolumeDriver"]})
            return
        state = self.server.state
        call = {"Path": state.path_of}.get(method.split(".")[1]) or getattr(
            state, method.split(".")[1].lower())
        with LOCK:
            try:
                self.reply_later = (call(args), 200)
            except (KeyError, subprocess.CalledProcessError) as e:
                self.reply_later = ({"Err": str(e.args[0]) if isinstance(e, KeyError) else str(e)}, 500)
            state.save()
        if "do" in odd and odd["do"] == "die_after":
            os._exit(1)
        self.reply(*self.reply_later)

    # ---- odd ones: True if that was the answer ----

    def odd_hang(self, _):
        self.connection.recv(1)  # until the other side gives up
        return True

    def odd_drip(self, _):
        """A byte now and then, for ever."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" ")
                self.wfile.flush()
                select.select([self.connection], [], [], 0.2)
        except OSError:
            return True

    def odd_huge(self, _):
        self.send_response(200)
        self.end_headers()
        self.close_connection = True
        try:
            self.wfile.write(b'{"Err": "')
            for _ in range(64):
                self.wfile.write(b"x" * (1 << 20))
        except OSError:
            pass
        return True

    def odd_say(self, odd):
        self.reply(odd["body"].encode(), odd.get("status", 200))
        return True

    def odd_die(self, _):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"Err")
        self.wfile.flush()
        os._exit(1)

    def odd_die_after(self, _):
        return False


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 32

    def __init__(self, path, top):
        self.state = State(top)
        if os.path.exists(path):
            os.unlink(path)
        super().__init__(path, Handler)

    def get_request(self):
        sock, _ = super().get_request()
        return sock, ("client", 0)

    def odd(self):
        try:
            with open(os.path.join(self.state.top, "odd.json"), encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return {}


class Plugin:
    """The process, from the tests' side."""

    def __init__(self, name, sockets, top):
        self.name, self.top = name, str(top)
        self.socket = os.path.join(str(sockets), name + ".sock")
        self.process = None
        os.makedirs(self.top, exist_ok=True)

    def start(self):
        self.process = subprocess.Popen([sys.executable, __file__, self.socket, self.top],
                                        stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def close(self):
        self.stop()
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        mnt = os.path.join(self.top, "mnt")
        for name in os.listdir(mnt) if os.path.isdir(mnt) else ():
            while subprocess.run(["umount", os.path.join(mnt, name)],
                                 stderr=subprocess.DEVNULL).returncode == 0:
                pass

    def odd(self, **by_method):
        """odd(Mount={"do": "hang"}); without arguments it behaves again."""
        names = {k if "." in k else "VolumeDriver." + k: v for k, v in by_method.items()}
        path = os.path.join(self.top, "odd.json")
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(names, f)
        os.rename(path + ".new", path)

    def calls(self, method=None):
        path = os.path.join(self.top, "calls.jsonl")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as f:
            rows = [json.loads(x) for x in f]
        return [r[1] for r in rows if r[0] == "VolumeDriver." + method] if method else rows

    def forget_calls(self):
        path = os.path.join(self.top, "calls.jsonl")
        if os.path.exists(path):
            os.unlink(path)

    def state(self):
        if not os.path.exists(os.path.join(self.top, "state.json")):
            return {}
        with open(os.path.join(self.top, "state.json"), encoding="utf-8") as f:
            return json.load(f)

    def ids(self, volume):
        return self.state()[volume]["ids"]

    def file(self, volume, name):
        return os.path.join(self.top, "vols", volume, name)


if __name__ == "__main__":
    server = Server(sys.argv[1], sys.argv[2])
    print("ready", flush=True)
    server.serve_forever()
