"""The validator, the generated client and schemathesis against the service; see `run`."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

from client import Client
from scenario import play

SEED, EXAMPLES = "20261129", os.environ.get("EXAMPLES", "40")
# ignored_auth: wrong tokens wait for their answer, so a thousand of them would take an hour; a test in Rust asks each operation without one.
# positive_data_acceptance: a plan, a time zone or a phone must be there, which no schema can say. object_level_authorization: there is one token.
LEFT_OUT = "ignored_auth,positive_data_acceptance,object_level_authorization"
# The scenario says why.
NEVER_WELL = {"replayMessage"}
FOLDER = Path(sys.argv[1])
failures = 0


def row(tool, name, problems=""):
    global failures
    failures += bool(problems)
    print(f"{'FAILED' if problems else 'ok    '}  {tool:22}  {name}" + (f": {problems}" if problems else ""), flush=True)


def tool(*command):
    """Whether it ended well, and what it said."""
    with open(FOLDER / f"{Path(command[0]).name}.log", "w") as log:
        ended = subprocess.run(command, cwd=FOLDER, stdout=log, stderr=subprocess.STDOUT)
    return ended.returncode == 0, Path(log.name).read_text()


def schemathesis(description, known):
    """Asks each operation; `known` are ids that there are."""
    lines = [f'[auth.openapi.{name}]\nbearer = "${{{token}}}"\n' for name, token in (("apiToken", "API_TOKEN"), ("adminToken", "ADMIN_TOKEN"))]
    for name, values in known.items():
        lines.append(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n")
    for place, name in (("/users/", "users"), ("/deliveries/", "deliveries"), ("/jobs/", "jobs"), ("/alerts/", "alerts"), ("/chunks/", "chunks"), ("/schedules/", "schedules")):
        parameter = {"/users/": "user", "/schedules/": "name"}.get(place, "id")
        lines.append(f'[[operations]]\ninclude-path-regex = "{place}.*{{"\nparameters = {{ "path.{parameter}" = {{ dictionary = "{name}", probability = 0.6 }} }}\n')
    (FOLDER / "schemathesis.toml").write_text("\n".join(lines))
    good, said = tool(
        "schemathesis", "--config-file", "schemathesis.toml", "run", "openapi.json", "--url", os.environ["SERVICE"], "--no-color",
        "--checks", "all", "--exclude-checks", LEFT_OUT, "--exclude-operation-id", "watchMessages", "--max-examples", EXAMPLES, "--seed", SEED,
        "--generation-database", "none", "--continue-on-failure", "--request-timeout", "30", "--warnings", "off",
    )
    cases = re.search(r"(?m)^\s+(\d+) generated", said)
    tested = re.search(r"Tested: (\d+)", said)
    operations = sum(len(item) for item in description["paths"].values())
    row("schemathesis", f"{cases and cases[1]} cases, {tested and tested[1]} operations of {operations} (watchMessages never ends), seed {SEED}",
        "" if good else said[-6000:])
    if good and (tested is None or int(tested[1]) != operations - 1):
        row("schemathesis", "each operation was asked", said[-2000:])


def main():
    with urllib.request.urlopen(os.environ["SERVICE"] + "/openapi.json") as answer:
        text = answer.read()
    (FOLDER / "openapi.json").write_bytes(text)
    description = json.loads(text)

    good, said = tool("openapi-spec-validator", "openapi.json")
    row("openapi-spec-validator", f"{len(description['paths'])} paths, {len(description['components']['schemas'])} schemas", "" if good else said)
    good, said = tool("openapi-python-client", "generate", "--path", "openapi.json", "--meta", "none", "--output-path", "cloudybot", "--fail-on-warning")
    row("openapi-python-client", "a client, without warnings", "" if good and "Warning" not in said else said)
    if failures:
        return 1

    sys.path.insert(0, str(FOLDER))
    client = Client(description, lambda name, problems="": row("the generated client", name, problems))
    known = {}
    try:
        known = play(client)
    except RuntimeError as error:
        row("the generated client", "the scenario", str(error))
    for operation in sorted(set(client.not_answered()) - NEVER_WELL):
        row("the generated client", f"{operation} answers 2xx", f"it has answered {client.statuses[operation] or 'nothing'}")
    schemathesis(description, known)

    print("\n| operation | | answered the client |\n|---|---|---|")
    for operation, (method, path, _) in client.operations.items():
        print(f"| {operation} | {method.upper()} {path} | {', '.join(map(str, sorted(client.statuses[operation])))} |")
    print(f"\n{failures} failed")
    return int(failures > 0)


sys.exit(main())
