"""The generated client, each call of which is looked at: was the answer described, and does the client read all of it?"""

import importlib
import json
import os
import re
import time
from datetime import datetime


class Client:
    def __init__(self, description, row):
        self.row = row
        self.operations = {
            operation["operationId"]: (method, path, operation)
            for path, item in description["paths"].items()
            for method, operation in item.items()
        }
        self.statuses = {name: set() for name in self.operations}
        of = importlib.import_module("cloudybot.client").AuthenticatedClient
        self.clients = {
            scheme: of(base_url=os.environ["SERVICE"], token=os.environ[token], raise_on_unexpected_status=True, timeout=60)
            for scheme, token in (("apiToken", "API_TOKEN"), ("adminToken", "ADMIN_TOKEN"))
        }

    def module(self, name):
        tag = self.operations[name][2]["tags"][0]
        return importlib.import_module(f"cloudybot.api.{tag}.{re.sub('(?<!^)(?=[A-Z])', '_', name).lower()}")

    def client(self, name):
        return self.clients[next(iter(self.operations[name][2]["security"][0]))]

    def __call__(self, name, *path, expect=None, body=None, **arguments):
        """The answer as JSON; `expect` is its status, otherwise any 2xx will do."""
        if body is not None:
            arguments["body"] = self.model(name, body)
        answer = self.module(name).sync_detailed(*path, client=self.client(name), **arguments)
        status = int(answer.status_code)
        self.statuses[name].add(status)
        value = json.loads(answer.content) if answer.content else None
        if status != expect if expect else status >= 300:
            raise RuntimeError(f"{name} {path} was answered {status}: {value}")
        if value is not None and not same(value, answer.parsed.to_dict()):
            self.row(f"{name} reads {status}", f"{value} became {answer.parsed.to_dict()}")
        return value

    def model(self, name, body):
        """The client's own type for a body, which must say the same."""
        schema = self.operations[name][2]["requestBody"]["content"]["application/json"]["schema"]
        of = getattr(importlib.import_module("cloudybot.models"), schema["$ref"].rsplit("/", 1)[1])
        model = of.from_dict(body)
        if not same(body, model.to_dict()):
            self.row(f"{name} writes its body", f"{body} became {model.to_dict()}")
        return model

    def first_event(self, name, *path, **arguments):
        """The first event of a stream that never ends."""
        arguments = self.module(name)._get_kwargs(*path, **arguments)
        with self.client(name).get_httpx_client().stream(**arguments) as answer:
            self.statuses[name].add(answer.status_code)
            event = {}
            for line in answer.iter_lines():
                field, _, value = line.partition(":")
                if not line and "data" in event:
                    return answer.headers["content-type"], event
                event[field] = value.strip()

    def not_answered(self):
        return [name for name, statuses in self.statuses.items() if not any(200 <= status < 300 for status in statuses)]


def same(ours, theirs):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if ours != theirs and isinstance(ours, str) and isinstance(theirs, str):
        try:
            return datetime.fromisoformat(ours) == datetime.fromisoformat(theirs)
        except ValueError:
            return False
    return ours == theirs


def until(what, look, seconds=60):
    """Looks again and again until there is something, and returns it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.2)
    raise RuntimeError(f"in {seconds} seconds not: {what}")
