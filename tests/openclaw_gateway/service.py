"""The built service as a process of its own, with its sandbox in Twilio's place and a private PostgreSQL, and the people who use it."""

import http.server
import json
import os
import re
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from struct import pack

API_TOKEN, ADMIN_TOKEN = "the-api-token-of-this-run-0001", "the-admin-token-of-this-run-01"
LINKED, APOLOGY, NO_BROWSER = "This number is now linked", "Sorry, I couldn't finish that.", "No browser session is running."
LONGER = "This is taking longer"
SETTINGS = {
    "agent": {"debounce": "100ms", "debounce_cap": "500ms"},
    "server": {"shutdown_grace": "1s"},
    "queue": {"poll": "200ms"},
}


def request(method, url, body=None, headers=(), seconds=60):
    """The status and the JSON of an answer, or its text."""
    asked = urllib.request.Request(url, body, dict(headers), method=method)
    try:
        with urllib.request.urlopen(asked, timeout=seconds) as answer:
            status, data = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, data = error.code, error.read().decode()
    try:
        return status, json.loads(data)
    except ValueError:
        return status, data


class Service:
    """A deployment: a process and a database of its own."""

    people = 0

    def __init__(self, program, folder, ports, gateway, agent_id="", **agent):
        self.program, self.folder, self.process = program, folder, None
        self.posted = []
        self.url, self.sandbox = (f"http://127.0.0.1:{port}" for port in ports)
        folder.mkdir()
        (folder / "schedules").mkdir()
        settings = {
            **SETTINGS,
            "agent": {**SETTINGS["agent"], **agent},
            "server": {**SETTINGS["server"], "listen": self.url[7:], "api_token": API_TOKEN, "admin_token": ADMIN_TOKEN},
            "sandbox": {"listen": self.sandbox[7:], "status_delay": "20ms"},
            "database": {"data_directory": str(folder / "data")},
            "schedules": {"directory": str(folder / "schedules")},
            "alerts": {"webhook_url": self.receiver()},
        }
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("TWILIO_", "OPENCLAW_", "CLOUDYBOT"))}
        self.env.pop("DATABASE_URL", None)
        for section, keys in settings.items():
            for key, value in keys.items():
                self.env[f"CLOUDYBOT__{section}__{key}".upper()] = str(value)
        self.ask(gateway, gateway.token, agent_id)

    def ask(self, gateway, token, agent_id=""):
        """Takes effect with the next start."""
        self.env.update(OPENCLAW_BASE_URL=gateway.url, OPENCLAW_TOKEN=token, CLOUDYBOT__OPENCLAW__AGENT_ID=agent_id)

    def restart_asking(self, *whom):
        self.stop()
        self.ask(*whom)
        self.start()

    def receiver(self):
        """Where the service posts its alerts."""
        posted = self.posted

        class Receiver(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/alerts"

    def start(self):
        with open(self.folder / "service.log", "a") as log:
            self.process = subprocess.Popen([self.program, "--sandbox"], env=self.env, cwd=self.folder, stdout=log, stderr=log)
        until(180, f"the service became ready; see {self.folder}/service.log", self.is_ready)
        return self

    def is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"the service ended: {(self.folder / 'service.log').read_text()[-2000:]}")
        try:
            return request("GET", self.url + "/readyz", seconds=5)[0] == 200
        except OSError:
            return False

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self):
        """As a crash, or the machine's lack of memory."""
        self.process.kill()
        self.process.wait()

    def v1(self, method, path, body=None):
        return self.call(method, "/v1" + path, body, API_TOKEN)

    def admin(self, path):
        return self.call("GET", "/admin/api" + path, None, ADMIN_TOKEN)

    def call(self, method, path, body, token):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        status, answer = request(method, self.url + path, None if body is None else json.dumps(body).encode(), headers)
        if status >= 300:
            raise RuntimeError(f"{method} {path} was answered {status}: {answer}")
        return answer

    def agent_alerts(self):
        """Those that tell of the agent. Jobs that gave up meanwhile have an alert of their own, which waits for a person."""
        return [alert for alert in self.admin("/alerts")["alerts"] if alert["cause"].startswith("agent_")]

    def alerts(self):
        """What was posted to the operators, as `cause: detail`."""
        return [f"{alert.get('cause')}: {alert.get('detail')}" for alert in self.posted]

    def check(self):
        """What `cloudybot check` says of the agent."""
        run = subprocess.run([self.program, "check", "--sandbox"], env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120)
        found = re.findall(r"(?m)^.*\bagent\b.*$(?:\n +.*$)*", run.stdout)
        return " · ".join(" ".join(finding.split()) for finding in found) or run.stdout + run.stderr

    def person(self, agent_id=None):
        return Person(self, agent_id)


class Person:
    """A user with a phone, which has claimed itself."""

    def __init__(self, service, agent_id):
        Service.people += 1
        self.service, self.user, self.number = service, f"person-{Service.people}", f"+1500555{1000 + Service.people}"
        service.v1("PUT", f"/users/{self.user}", {"plan": "pro", "agent": agent_id and {"agentId": agent_id}})
        token = service.v1("POST", f"/users/{self.user}/whatsapp/claims", {})["token"]
        self.write(token)
        until(60, f"{self.user} was linked", lambda: any(LINKED in text for text in self.everything()))

    def write(self, text, **more):
        form = urllib.parse.urlencode({"From": self.number, "Body": text, **more}).encode()
        status, answer = request("POST", self.service.sandbox + "/sandbox/inbound", form)
        if status != 200 or answer["webhook"].get("status") != 200:
            raise RuntimeError(f"the webhook was answered {status}: {answer}")

    def send_picture(self, text):
        headers = {"Content-Type": "image/png"}
        medium = request("PUT", self.service.sandbox + "/sandbox/media", PICTURE, headers)[1]
        self.write(text, MediaUrl0=medium["url"])

    def everything(self):
        messages = request("GET", self.service.sandbox + "/sandbox/messages")[1]
        to_me = [m for m in messages if m["direction"] != "inbound" and m["to"] == f"whatsapp:{self.number}"]
        return [message["body"] for message in sorted(to_me, key=lambda message: message["createdAt"])]

    def read(self):
        """What the person has read, without the words of the link."""
        return [text for text in self.everything() if LINKED not in text]

    def got(self):
        """That without the words that it takes longer: a slow machine may bring those everywhere."""
        return [text for text in self.read() if LONGER not in text]

    def wait_for(self, texts, seconds=120):
        """Waits for so many messages, and until no turn is under way."""
        until(seconds, f"{self.user} got {texts} messages", lambda: len(self.got()) >= texts, fail=False)
        until(seconds, f"all turns of {self.user} ended", self.is_quiet, fail=False)
        return self.got()

    def wait_for_word(self, word, seconds=120):
        until(seconds, f"{self.user} read {word!r}", lambda: any(word in text for text in self.got()), fail=False)
        return self.got()

    def turns(self):
        return self.service.admin(f"/turns?user={self.user}")["turns"]

    def is_quiet(self):
        return not any(turn["state"] == "running" for turn in self.turns())

    def errors(self):
        """What administrators see of the latest turn: why its calls failed."""
        latest = self.turns()[0]
        return [call["error"] for call in latest["attempts"] if call["error"]]


def until(seconds, what, holds, fail=True):
    """Looks again and again until it holds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.2)
    if fail:
        raise RuntimeError(f"in {seconds} seconds not: {what}")
    return False


def png(size):
    """A red square."""

    def chunk(kind, data):
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"".join(b"\0" + b"\xff\0\0" * size for _ in range(size)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


PICTURE = png(64)
