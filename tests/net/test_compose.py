"""A project of docker-compose 1.29 on two networks: services find each other by name, are scaled
up and down, and leave nothing."""
import json
import os
import shutil
import subprocess

import pytest

import cleat
from cleat import links, until
from conftest import inspect, within

PROJECT = """
version: "2.4"
services:
  web:
    image: busybox
    command: ["sh", "-c", "mkdir /w; echo web >/w/index.html; exec httpd -f -p 80 -h /w"]
    stop_signal: KILL
    networks: [front, back]
    ports: ["80"]
  db:
    image: busybox
    command: ["sh", "-c", "mkdir /w; hostname >/w/index.html; exec httpd -f -p 80 -h /w"]
    stop_signal: KILL
    networks:
      back:
        aliases: [data]
  client:
    image: busybox
    command: ["sleep", "1000"]
    stop_signal: KILL
    depends_on: [web]
    networks:
      front:
        ipv4_address: 10.88.0.88
networks:
  front:
    ipam:
      config: [{subnet: 10.88.0.0/24}]
  back:
    internal: true
"""


@pytest.fixture
def compose(daemon, name, tmp_path):
    program = shutil.which("docker-compose")
    if not program:
        pytest.skip("no docker-compose")
    shown = subprocess.run([program, "version", "--short"], capture_output=True, text=True)
    if not shown.stdout.startswith("1.29"):
        pytest.skip("docker-compose is %s and not 1.29" % shown.stdout.strip())
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    env = {**os.environ, "DOCKER_HOST": daemon.url, "HOME": str(tmp_path),
           "COMPOSE_PROJECT_NAME": name.replace("-", "")}

    def run(*args, check=True):
        done = subprocess.run([program, *args], cwd=tmp_path, env=env, capture_output=True,
                              text=True, timeout=55)
        assert not check or done.returncode == 0, (args, done)
        return done.stdout
    run.project = env["COMPOSE_PROJECT_NAME"]
    yield run
    run("down", "-t", "0", check=False)


def test_a_project(daemon, compose, host):
    before = cleat.nft_ruleset(), [x for x in links() if not x.startswith("veth")]
    compose("up", "-d", "--scale", "db=3")
    c = {s: compose("ps", "-q", s).split() for s in ("web", "db", "client")}
    assert [len(v) for v in c.values()] == [1, 3, 1]
    web, client = c["web"][0], c["client"][0]
    front, back = compose.project + "_front", compose.project + "_back"
    nets = {k: inspect(daemon, k)["NetworkSettings"]["Networks"] for k in (web, client, c["db"][0])}
    assert set(nets[web]) == {front, back} and set(nets[client]) == {front}
    assert nets[client][front]["IPAddress"] == "10.88.0.88"
    assert daemon.api.ok("GET", "/networks/" + back)["Internal"]

    def get(source, name):
        """The last line of what is served there; Debian's static wget dies of names."""
        return within(daemon, source, "sh", "-c", "printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | "
                      "nc -w5 %s 80 | tail -n1" % name)[1].strip()
    until(lambda: get(client, "web") == "web", 10, "web answers")
    for name in ("db", "data"):
        addresses = within(daemon, web, "nslookup", name)[1].count("Address")
        assert addresses >= 4, within(daemon, web, "nslookup", name)[1]
        assert get(web, name) in [x[:12] for x in c["db"]]
    assert "bad address" in get(client, "db")  # they share no network
    assert get(c["db"][0], "web") == "web"
    port, = {int(p["HostPort"]) for p in inspect(daemon, web)["NetworkSettings"]["Ports"]["80/tcp"]}
    done = subprocess.run(["curl", "-s", "http://127.0.0.1:%d/" % port], capture_output=True)
    assert done.stdout == b"web\n"
    compose("up", "-d", "--scale", "db=1")
    left = compose("ps", "-q", "db").split()
    assert len(left) == 1
    found = within(daemon, web, "nslookup", "db")[1]
    assert inspect(daemon, left[0])["NetworkSettings"]["Networks"][back]["IPAddress"] in found
    assert get(web, "db") == left[0][:12]
    compose("restart", "-t", "0", "web")
    until(lambda: get(client, "web") == "web", 10, "web answers again")
    compose("down", "-t", "0")
    labels = json.dumps({"label": ["com.docker.compose.project=" + compose.project]})
    assert daemon.api.ok("GET", "/networks", filters=labels) == []
    assert daemon.api.ok("GET", "/containers/json", all=1, filters=labels) == []
    until(lambda: (cleat.nft_ruleset(), [x for x in links() if not x.startswith("veth")]) == before,
          10, "links and rules are as before")
