"""A real OpenClaw gateway as a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request


class Gateway:
    """Each of its agents has a provider of its own, since the gateway remembers what a provider did."""

    def __init__(self, modules, folder, port, model_url, agents):
        self.port, self.folder, self.agents, self.process = port, folder, agents, None
        self.token = "the-gateways-token-of-this-run"
        self.url = f"http://127.0.0.1:{port}"
        self.command = [str(modules / "node-of-this-run" / "bin" / "node"), str(modules / "openclaw" / "openclaw.mjs"), "gateway", "run"]
        self.model_url = model_url
        folder.mkdir()
        self.configure(endpoint=True)

    def configure(self, endpoint):
        """Takes effect with the next start."""

        def provider(name):
            sees = ["text"] if name == "blind" else ["text", "image"]
            model = {"id": "stub", "name": "Stub", "input": sees, "reasoning": False, "contextWindow": 128000, "maxTokens": 8192}
            return {"baseUrl": self.model_url, "apiKey": f"key-of-{name}", "api": "openai-completions", "models": [model]}

        (self.folder / "openclaw.json").write_text(json.dumps({
            "gateway": {
                "mode": "local", "bind": "loopback", "port": self.port, "auth": {"mode": "token", "token": self.token},
                "http": {"endpoints": {"chatCompletions": {"enabled": endpoint}}},
            },
            "models": {
                "mode": "replace", "catalogRefresh": {"enabled": False}, "providers": {name: provider(name) for name in self.agents},
            },
            "update": {"checkOnStart": False},
            "agents": {"entries": {name: {"model": f"{name}/stub"} for name in self.agents}},
            "logging": {"file": str(self.folder / "gateway.log")},
        }))

    def start(self):
        folder = str(self.folder)
        env = {**os.environ, "HOME": folder, "TMPDIR": folder, "OPENCLAW_STATE_DIR": folder + "/state",
               "OPENCLAW_CONFIG_PATH": folder + "/openclaw.json"}
        with open(self.folder / "output.log", "a") as output:
            # In a group of its own: the gateway starts processes, too.
            self.process = subprocess.Popen(self.command, env=env, stdout=output, stderr=output, start_new_session=True)

    def wait_until_ready(self, seconds=180):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + "/readyz", timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(f"the gateway did not become ready; see {self.folder}/output.log")

    def kill(self):
        """As a crash, or the machine's lack of memory."""
        if self.process is not None:
            # Not waited for yet, so the group is still its own; there is none if the gateway ended by itself.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    stop = kill

    def restart(self):
        self.kill()
        self.start()
        self.wait_until_ready()
