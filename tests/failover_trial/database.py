"""The database as operators have it: two PostgreSQL servers under Patroni and etcd, HAProxy in front, and PgBouncer between."""

import json
import os
import pathlib
import re
import signal
import subprocess
import urllib.request

from processes import Process, free_port, program_of, until

# Patroni takes no smaller one, and needs loop_wait + 2 * retry_timeout within it.
TTL_SECONDS, LOOP_WAIT_SECONDS, RETRY_TIMEOUT_SECONDS = 20, 5, 5
USER = "postgres"
SUPERUSER_PASSWORD, REPLICATION_PASSWORD = "of-the-superuser", "of-the-standby"


class Node:
    """A PostgreSQL server and the Patroni beside it, as on a machine of its own."""

    def __init__(self, name, folder, etcd_port):
        self.name, self.port, self.rest_port = name, free_port(), free_port()
        self.folder = folder / name
        self.folder.mkdir()
        self.data = self.folder / "data"
        configuration = self.folder / "patroni.json"
        configuration.write_text(json.dumps(self.configuration(etcd_port), indent=2))
        own(self.folder, configuration)
        self.patroni = Process(f"patroni-{name}", folder, [program_of("patroni"), configuration], USER)

    def configuration(self, etcd_port):
        # JSON is YAML.
        return {
            "scope": "trial",
            "name": self.name,
            "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
            "restapi": {"listen": f"127.0.0.1:{self.rest_port}", "connect_address": f"127.0.0.1:{self.rest_port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS,
                    "loop_wait": LOOP_WAIT_SECONDS,
                    "retry_timeout": RETRY_TIMEOUT_SECONDS,
                    # What was answered 200 is on both servers.
                    "synchronous_mode": True,
                    "postgresql": {
                        "use_pg_rewind": True,
                        "parameters": {"max_connections": 100, "synchronous_commit": "on", "wal_log_hints": "on"},
                    },
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C.UTF-8"}, {"auth": "scram-sha-256"}, "data-checksums"],
            },
            "postgresql": {
                "listen": f"127.0.0.1:{self.port}",
                "connect_address": f"127.0.0.1:{self.port}",
                "data_dir": str(self.data),
                "bin_dir": str(binaries()),
                "pgpass": str(self.folder / "pgpass"),
                "authentication": {
                    "superuser": {"username": "postgres", "password": SUPERUSER_PASSWORD},
                    "replication": {"username": "replicator", "password": REPLICATION_PASSWORD},
                },
                "parameters": {"unix_socket_directories": str(self.folder)},
                "pg_hba": [
                    # A debug build of the service would be busy with the rounds of SCRAM for seconds when all its connections are made anew.
                    "host cloudybot cloudybot 127.0.0.1/32 trust",
                    "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication replicator 127.0.0.1/32 scram-sha-256",
                ],
            },
        }

    def postmaster(self):
        """The process id of the PostgreSQL server; None: none runs."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
            # The file outlives a killed server.
            return pid if str(self.data) in pathlib.Path(f"/proc/{pid}/cmdline").read_text() else None
        except (OSError, IndexError, ValueError):
            return None

    def kill(self):
        """As a machine that loses its power: neither the server nor Patroni says goodbye."""
        pid = self.postmaster()
        self.patroni.kill()
        os.kill(pid, signal.SIGKILL)
        until(10, f"the server of {self.name} has gone", lambda: self.postmaster() is None)

    def stop(self):
        self.patroni.terminate()
        if (pid := self.postmaster()) is not None:
            os.kill(pid, signal.SIGQUIT)
            until(10, f"the server of {self.name} has gone", lambda: self.postmaster() is None)


class Database:
    """All of it. `url` leads through PgBouncer, `direct_url` past it; both follow the leader."""

    def __init__(self, folder):
        self.folder = folder
        self.etcd_port, self.port, self.pooler_port = free_port(), free_port(), free_port()
        self.nodes = [Node(name, folder, self.etcd_port) for name in ["one", "two"]]
        self.url, self.direct_url = (f"postgres://cloudybot@127.0.0.1:{port}/cloudybot" for port in [self.pooler_port, self.port])
        self.etcd = Process("etcd", folder, self.etcd_line(), USER)
        self.pooler = Process("pgbouncer", folder, [os.environ["PGBOUNCER"], self.write_pooler_configuration()])

    def etcd_line(self):
        client, peer = f"http://127.0.0.1:{self.etcd_port}", f"http://127.0.0.1:{free_port()}"
        data = self.folder / "etcd"
        data.mkdir(mode=0o700)
        own(data)
        urls = {"listen-client": client, "advertise-client": client, "listen-peer": peer, "initial-advertise-peer": peer}
        options = [f"--{name}-urls={url}" for name, url in urls.items()]
        return [program_of("etcd"), f"--data-dir={data}", "--name=etcd", f"--initial-cluster=etcd={peer}", *options]

    def write_pooler_configuration(self):
        users, file = self.folder / "pgbouncer.users", self.folder / "pgbouncer.ini"
        users.write_text('"cloudybot" ""\n')
        # After a failed login PgBouncer refuses all clients for server_login_retry, 15 s unless set, also when there is a new leader already.
        file.write_text(
            f"""[databases]
cloudybot = host=127.0.0.1 port={self.port} dbname=cloudybot
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {self.pooler_port}
unix_socket_dir =
user = {USER}
auth_type = trust
auth_file = {users}
pool_mode = transaction
max_prepared_statements = 200
default_pool_size = 40
max_client_conn = 500
server_login_retry = {os.environ.get("SERVER_LOGIN_RETRY", "1")}
"""
        )
        own(users)
        return file

    def haproxy_section(self):
        """HAProxy leads to the server whose Patroni holds the leader's key, and ends the sessions of the other one. No retries: a client that HAProxy 3.0
        tries again for when it marks the server down is left without an answer, until PgBouncer's server_connect_timeout, 15 s unless set."""
        servers = "".join(f"    server {node.name} 127.0.0.1:{node.port} check port {node.rest_port}\n" for node in self.nodes)
        return f"""listen database
    bind 127.0.0.1:{self.port}
    mode tcp
    timeout client 1h
    timeout server 1h
    retries 0
    option httpchk
    http-check send meth OPTIONS uri /primary
    http-check expect status 200
    default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
{servers}"""

    def start(self):
        """One server first, so that it is the leader and the other one its copy."""
        self.etcd.start()
        for node in self.nodes:
            node.patroni.start()
            until(60, f"server {node.name} joined", lambda: self.role_of(node) is not None, [self.etcd, node.patroni])
        until(60, "the other server is a synchronous standby", lambda: self.role_of(self.nodes[1]) == "sync_standby")
        self.pooler.start()

    def make_service_database(self):
        for statement in ["CREATE ROLE cloudybot LOGIN", "CREATE DATABASE cloudybot OWNER cloudybot"]:
            self.ask_as_superuser(statement, database="postgres").check_returncode()

    def role_of(self, node):
        """What Patroni says of a server that runs: leader, sync_standby, replica."""
        for asked in self.nodes:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{asked.rest_port}/cluster", timeout=3) as answer:
                    members = json.load(answer)["members"]
            except OSError:
                continue
            running = {member["name"]: member["role"] for member in members if member["state"] in ("running", "streaming")}
            return running.get(node.name)
        return None

    def answers(self):
        """Whether the one address leads to the leader alone. HAProxy takes both servers for good, in turn, until it has looked for the first time."""
        return all(self.ask_as_superuser("SELECT pg_is_in_recovery()", database="postgres").stdout == "f\n" for _ in self.nodes)

    def ask_as_superuser(self, statement, database):
        login = f"host=127.0.0.1 port={self.port} user=postgres dbname={database} password={SUPERUSER_PASSWORD} connect_timeout=3"
        line = [binaries() / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", "-c", statement, login]
        return subprocess.run(line, capture_output=True, text=True)

    def leader(self):
        return next((node for node in self.nodes if self.role_of(node) == "leader"), None)

    def switch_over(self, leader, candidate):
        body = json.dumps({"leader": leader.name, "candidate": candidate.name}).encode()
        asked = urllib.request.Request(f"http://127.0.0.1:{leader.rest_port}/switchover", body, {"Content-Type": "application/json"})
        urllib.request.urlopen(asked, timeout=60).close()

    def other(self, node):
        return next(other for other in self.nodes if other is not node)

    def stop(self):
        # On SIGTERM PgBouncer waits for its clients, also for those that have gone while they waited for a server.
        self.pooler.kill()
        for node in reversed(self.nodes):
            node.stop()
        self.etcd.terminate()


def binaries():
    """The newest server of the machine."""
    found = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in found), key=lambda path: int(path.parent.name))


def own(*paths):
    for path in paths:
        subprocess.run(["chown", f"{USER}:", str(path)], check=True)


def versions():
    """What runs in this trial, each program in its own words."""
    lines = [
        [binaries() / "postgres", "--version"],
        [program_of("patroni"), "--version"],
        [program_of("etcd"), "--version"],
        [program_of("haproxy"), "-v"],
        [os.environ["PGBOUNCER"], "--version"],
    ]
    said = [subprocess.run(line, capture_output=True, text=True, check=True).stdout.splitlines()[0] for line in lines]
    return [re.sub(r" - http.*| \(Debian.*", "", words) for words in said]
