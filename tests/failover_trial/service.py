"""The service as three processes that share the work, and the sandbox as a process of its own in Twilio's place."""

import json
import os
import urllib.request

from processes import Process, free_port, status_of, until

API_TOKEN, ADMIN_TOKEN = "the-api-token-of-this-run-0001", "the-admin-token-of-this-run-01"
ACCOUNT_SID, AUTH_TOKEN, NUMBER = "AC0123456789abcdef0123456789abcdef", "the-token-of-this-run", "+14155238886"
# receiver and workers are twice there, so that one of each can stop; console and scheduler are not.
ROLES = {"a": ["receiver", "console"], "b": ["receiver", "workers"], "c": ["workers", "scheduler"]}
# Everything else is as shipped. Twilio's list is read more often, so that the trial is short.
BACKFILL_EVERY_SECONDS = 15
TICKS = """cron = "* * * * *"
misfire = "all"
overlap = "wait"
[audience]
user = "person-0"
[content]
message = "Tick {{slot.time}}."
"""


class Part:
    """A process of the service."""

    def __init__(self, program, folder, name, port, env):
        self.name, self.roles, self.port = name, ROLES[name], port
        own = {"CLOUDYBOT__SERVER__LISTEN": f"127.0.0.1:{port}"}
        line = [program, "run", "--only", ",".join(self.roles)]
        self.process = Process(f"service-{name}", folder, line, env={**env, **own})

    def start(self):
        self.process.start()
        until(60, f"process {self.name} is ready", self.is_ready, [self.process])

    def is_ready(self):
        return status_of(f"http://127.0.0.1:{self.port}/readyz") == 200


class Service:
    """All of them; `url` is what Twilio and the product use."""

    def __init__(self, program, folder):
        self.program, self.folder = program, folder
        self.ports, self.parts = {name: free_port() for name in ROLES}, {}
        (folder / "schedules").mkdir()
        (folder / "schedules" / "ticks.toml").write_text(TICKS)

    def ports_by_role(self):
        roles = dict.fromkeys(role for roles in ROLES.values() for role in roles)
        return {role: {name: port for name, port in self.ports.items() if role in ROLES[name]} for role in roles}

    def start(self, database, balancer, twilio):
        self.console = balancer.url("console")
        env = {
            **os.environ,
            **twilio.credentials,
            "DATABASE_URL": database.url,
            "CLOUDYBOT__DATABASE__DIRECT_URL": database.direct_url,
            "TWILIO_API_BASE_URL": twilio.url,
            "TWILIO_WEBHOOK_PUBLIC_URL": balancer.url("receiver"),
            "CLOUDYBOT_API_TOKEN": API_TOKEN,
            "CLOUDYBOT_ADMIN_TOKEN": ADMIN_TOKEN,
            "CLOUDYBOT_SECRET_KEY": "the-secret-key-of-this-run-001",
            "CLOUDYBOT__SCHEDULES__DIRECTORY": str(self.folder / "schedules"),
            "CLOUDYBOT__BACKFILL__EVERY": f"{BACKFILL_EVERY_SECONDS}s",
        }
        self.parts = {name: Part(self.program, self.folder, name, port, env) for name, port in self.ports.items()}
        for part in self.parts.values():
            part.start()
        for role in balancer.ports:
            until(20, f"HAProxy leads to a {role}", lambda: status_of(f"{balancer.url(role)}/readyz/{role}") == 200)

    def all_ready(self):
        return all(part.is_ready() for part in self.parts.values())

    def call(self, method, path, body=None):
        token = ADMIN_TOKEN if path.startswith("/admin") else API_TOKEN
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.console + path, data, headers, method=method), timeout=20) as answer:
            return json.load(answer)

    def jobs(self):
        """How many jobs are live, without the ones that come again and again, and how many gave up."""
        counts = self.call("GET", "/admin/api/jobs/stats")["counts"]
        dead = sum(count["jobs"] for count in counts if count["state"] == "dead")
        live = sum(count["jobs"] for count in counts if count["kind"] != "upkeep") - dead
        return live, dead

    def stop(self):
        # All at once. A second SIGTERM would end them without their leave.
        for part in self.parts.values():
            part.process.ask_to_end()
        for part in self.parts.values():
            part.process.ended()


class Twilio:
    """The sandbox, with a private PostgreSQL for the process that it is part of. The service knows of it what it would know of Twilio."""

    def __init__(self, program, folder):
        ports = [free_port(), free_port()]
        self.url = f"http://127.0.0.1:{ports[1]}"
        self.credentials = {"TWILIO_ACCOUNT_SID": ACCOUNT_SID, "TWILIO_AUTH_TOKEN": AUTH_TOKEN, "TWILIO_WHATSAPP_NUMBER": NUMBER}
        env = {
            **os.environ,
            **self.credentials,
            "CLOUDYBOT__SERVER__LISTEN": f"127.0.0.1:{ports[0]}",
            "CLOUDYBOT__SANDBOX__LISTEN": f"127.0.0.1:{ports[1]}",
            "CLOUDYBOT__DATABASE__DATA_DIRECTORY": str(folder / "sandbox"),
            "CLOUDYBOT__SCHEDULES__DIRECTORY": str(folder / "schedules"),
        }
        self.process = Process("sandbox", folder, [program, "--sandbox", "run", "--only", "receiver"], env=env)

    def start(self):
        self.process.start()
        until(60, "the sandbox listens", lambda: status_of(f"{self.url}/sandbox") == 200, [self.process])

    def messages(self):
        """All that Twilio has, as a person's phone would show it."""
        with urllib.request.urlopen(f"{self.url}/sandbox/messages", timeout=20) as answer:
            return json.load(answer)
