"""What people get from a real gateway, and what administrators are told; see `run`. Usage: check.py FOLDER PROGRAM"""

import contextlib
import pathlib
import random
import socket
import sys
import threading
import time
import traceback

import scenarios
from gateway import Gateway
from model import Model
from service import Service
from table import Table

# Of all scenarios together; they take about 250 on a quiet machine.
LIMIT_SECONDS = 660
WRONG_TOKEN = "another-token-than-the-gateways"


def main():
    folder, program = pathlib.Path(sys.argv[1]).resolve(), str(pathlib.Path(sys.argv[2]).resolve())
    stub, table = Model(), Table()
    ports = iter(free_ports(20))
    started = []

    def start_gateway(name, agents):
        made = Gateway(folder / "npm" / "node_modules", folder / name, next(ports), stub.url, agents)
        started.append(made)
        made.start()
        return made

    def deploy(name, asked, agent_id="", **agent):
        made = Service(program, folder / name, (next(ports), next(ports)), asked, agent_id, **agent)
        started.append(made)
        return made.start()

    try:
        # The one stays, and each of its agents is named. The other has an agent that nobody names, and bears all that may happen to a gateway.
        shared = start_gateway("gateway", ["main", "blind", "limited", "refused", "refused-once"])
        # The first start finishes the package's installation, and refuses another start beside it.
        shared.wait_until_ready()
        shaken = start_gateway("shaken-gateway", ["main"])
        one, two = deploy("one", shared, "main"), deploy("two", shared, "main")
        alone = deploy("alone", shaken, turn_budget="200s")
        # The gateway shuts a provider that limits or refuses it.
        failing = {name: deploy(name, shared, name) for name in ["limited", "refused", "refused-once"]}
        failing["failing"] = deploy("failing", shared, "main")
        hanging = deploy("hanging", shared, "main", turn_budget="90s", tell_after="10s")
        for each in [shared, shaken]:
            each.wait_until_ready()
        lanes = lanes_of(table, stub, shared, shaken, one, two, alone, failing, hanging)
        for lane in lanes:
            lane.start()
        deadline = time.monotonic() + LIMIT_SECONDS
        for lane in lanes:
            lane.join(max(0, deadline - time.monotonic()))
            if lane.is_alive():
                table.row("?", lane.at, [], [], [(False, f"it ends within {LIMIT_SECONDS} seconds")])
    finally:
        for each in reversed(started):
            each.stop()
    sys.exit(table.print())


def lanes_of(table, stub, shared, shaken, one, two, alone, failing, hanging):
    """What runs side by side."""
    told, other = one.person(), two.person()

    def endpoint(enabled):
        shaken.configure(enabled)
        shaken.restart()

    def model_of(people, case, done, tag, trouble, calls_at_most, longer=None):
        return done, lambda: scenarios.out_of_order(table, people, stub, case, done, tag, trouble, calls_at_most, longer)

    def set_up(case, done, words, break_it, mend_it):
        return done, lambda: scenarios.set_up_wrong(table, alone, case, done, words, break_it, mend_it)

    asks_rightly = [shaken, shaken.token]
    return [
        Lane(table, ("history", lambda: scenarios.history(table, one, stub))),
        Lane(
            table,
            ("two deployments", lambda: scenarios.deployments(table, told, other)),
            ("formats", lambda: scenarios.formats(table, one)),
            ("pictures", lambda: scenarios.pictures(table, one)),
            ("a user's own agent", lambda: scenarios.own_agent(table, one, stub)),
            ("the browser", lambda: scenarios.browser(table, two)),
            ("silence", lambda: scenarios.silence(table, two, stub)),
            ("a run that fails", lambda: scenarios.failed_and_well_again(table, two, stub)),
        ),
        Lane(table, model_of(failing["failing"], "G9", "the model fails (500)", "#fail", "agent_failing", 8)),
        Lane(table, model_of(hanging, "G9", "the model hangs", "#hang", "agent_failing", 2, longer=1)),
        Lane(table, model_of(failing["limited"], "G10", "the model is rate limited (429)", "#limit", "agent_", 10)),
        Lane(table, model_of(failing["refused"], "G11", "the model refuses its key (401)", "#refuse", "key of the model", 2)),
        Lane(table, ("a provider shut for a minute", lambda: scenarios.refused_once(table, failing["refused-once"]))),
        Lane(
            table,
            ("kill while idle", lambda: scenarios.killed_while_idle(table, alone, shaken, stub)),
            ("kill in a turn", lambda: scenarios.killed_in_a_turn(table, alone, shaken, stub)),
            ("our own kill in a turn", lambda: scenarios.service_killed_in_a_turn(table, alone, stub)),
            set_up("G4", "the endpoint is off", "chatCompletions.enabled", lambda: endpoint(False), lambda: endpoint(True)),
            set_up("G4", "a wrong token", "OPENCLAW_TOKEN", lambda: alone.restart_asking(shaken, WRONG_TOKEN), lambda: alone.restart_asking(*asks_rightly)),
            set_up("G14", "an unknown agent", "openclaw.agent_id", lambda: alone.restart_asking(*asks_rightly, "nobody"), lambda: alone.restart_asking(*asks_rightly)),
        ),
    ]


class Lane(threading.Thread):
    """Scenarios that follow each other. What one of them throws is a row of its own."""

    def __init__(self, table, *scenarios):
        super().__init__(daemon=True)
        self.table, self.scenarios, self.at = table, scenarios, None

    def run(self):
        for self.at, scenario in self.scenarios:
            try:
                scenario()
            except Exception as error:
                traceback.print_exc()
                self.table.row("?", self.at, [], [], [(False, f"it ends: {error}")])


def free_ports(count):
    """Below those that the system gives to clients, which could take one before its server starts."""
    free = []
    while len(free) < count:
        port = random.randrange(20000, 32000)
        with socket.socket() as taken:
            with contextlib.suppress(OSError):
                taken.bind(("127.0.0.1", port))
                if port not in free:
                    free.append(port)
    return free


if __name__ == "__main__":
    main()
