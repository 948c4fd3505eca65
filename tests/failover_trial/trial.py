"""What a fail-over, a restart and a crash cost; see `run`. Usage: trial.py FOLDER PROGRAM. Removes the folder when all promises hold."""

import contextlib
import os
import pathlib
import shutil
import signal
import sys
import time

import database as engines
from balancer import Balancer
from people import PER_SECOND, RETRIES, People
from processes import until
from readiness import Readiness
from report import Report
from service import BACKFILL_EVERY_SECONDS, ROLES, Service, Twilio

# Patroni's ttl, and a margin for promotion, HAProxy's look at /primary each second, PgBouncer's new login, and HAProxy's look at /readyz.
FAIL_OVER_SECONDS = engines.TTL_SECONDS + 10
# A process that is restarted ends first: server.drain, its jobs; then it comes up again.
RESTART_SECONDS = 30
# HAProxy's look each second lasts up to two seconds where the database of a busy machine is slow; the next look may be needed, too.
NOTICE_SECONDS = 5
# The lease of a crashed worker, and what is in doubt after a crash: send_deadline, in_doubt_grace and in_doubt_second_look.
QUIET_SECONDS = 130


def main():
    folder, program = pathlib.Path(sys.argv[1]).resolve(), str(pathlib.Path(sys.argv[2]).resolve())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    report = Report(time.monotonic())
    print("\n".join(engines.versions()), flush=True)
    print(f"The logs are in {folder}.", flush=True)
    with contextlib.ExitStack() as ends:
        database = engines.Database(folder)
        service = Service(program, folder)
        balancer = Balancer(folder, database, service.ports_by_role())
        twilio = Twilio(program, folder)
        people = People(twilio, service, balancer.url("receiver") + "/webhooks/whatsapp")
        for end in [database.stop, balancer.process.terminate, twilio.process.terminate, service.stop]:
            ends.callback(end)
        report.say("Starting the database, HAProxy, the sandbox and the service …")
        twilio.start()
        database.start()
        balancer.start(database)
        database.make_service_database()
        service.start(database, balancer, twilio)
        people.link()
        ends.callback(people.over.set)
        readiness = Readiness(balancer)
        ends.callback(readiness.stop)
        report.say("All is up, and everybody is linked.")
        Story(report, database, service, people, readiness).tell()
        verdict(report, service, people, readiness)
    report.say("Everything has ended.")
    failed = report.print()
    if not failed and "KEEP" not in os.environ:
        shutil.rmtree(folder)
    sys.exit(failed)


class Story:
    """What happens while people write."""

    def __init__(self, *parts):
        self.report, self.database, self.service, self.people, self.readiness = parts

    @contextlib.contextmanager
    def event(self, name, seconds=NOTICE_SECONDS, roles=(), retries_may_end=False):
        """An event ends when what it hit is well again, and messages were taken in after that. These roles may be away for these seconds."""
        begun = time.monotonic()
        self.report.say(name)
        yield
        well = time.monotonic()
        until(30, "messages are taken in again", lambda: self.people.acknowledged_since(well) >= PER_SECOND)
        allowed = {role: seconds if role in roles else NOTICE_SECONDS for role in self.readiness.gaps}
        self.report.event(name, begun, time.monotonic(), allowed, retries_may_end)

    def tell(self):
        self.people.start_writing()
        with self.event("nothing happens"):
            until(30, "some messages are taken in", lambda: self.people.acknowledged_since(0) >= 8 * PER_SECOND)
        self.kill_leader()
        self.switch_over()
        self.crash("b")
        for name in ROLES:
            self.restart(name)
        self.people.stop_writing()

    def kill_leader(self):
        database, report = self.database, self.report
        former = database.leader()
        standby = database.other(former)
        report.promise(database.role_of(standby) == "sync_standby", "the standby is synchronous before the leader is killed")
        with self.event("kill -9 of the leading server and its Patroni", FAIL_OVER_SECONDS, self.readiness.gaps, retries_may_end=True):
            killed = time.monotonic()
            former.kill()
            until(60, "the standby leads", lambda: database.role_of(standby) == "leader")
            report.note(f"The synchronous standby leads {time.monotonic() - killed:.0f} s after the kill; Patroni's ttl is {engines.TTL_SECONDS} s.")
            until(60, "all processes are ready", self.service.all_ready)
        with self.event("the former leader comes back"):
            former.patroni.start()
            took = until(90, "it is the synchronous standby", lambda: database.role_of(former) == "sync_standby", [former.patroni])
            report.note(f"The former leader is the synchronous standby {took:.0f} s after its start.")
            report.promise(database.leader() is standby, "the former leader does not lead when it comes back")

    def switch_over(self):
        """As for the maintenance of a server."""
        leader = self.database.leader()
        standby = self.database.other(leader)
        with self.event("switchover that an operator asks Patroni for", FAIL_OVER_SECONDS, self.readiness.gaps, retries_may_end=True):
            self.database.switch_over(leader, standby)
            until(60, "the standby leads", lambda: self.database.role_of(standby) == "leader")
            until(90, "the former leader is the synchronous standby", lambda: self.database.role_of(leader) == "sync_standby")
            until(60, "all processes are ready", self.service.all_ready)

    def crash(self, name):
        """Another process of the same roles goes on, and takes over what this one was at work on."""
        part = self.service.parts[name]
        with self.event(f"kill -9 of process {name} ({', '.join(part.roles)})"):
            part.process.kill()
            gone = time.monotonic()
            until(30, "messages are taken in without it", lambda: self.people.acknowledged_since(gone) >= 4 * PER_SECOND)
            part.start()

    def restart(self, name):
        """A role that nobody else has is away meanwhile."""
        part = self.service.parts[name]
        alone = [role for role in part.roles if sum(role in roles for roles in ROLES.values()) == 1]
        with self.event(f"SIGTERM and start of process {name} ({', '.join(part.roles)})", RESTART_SECONDS, alone):
            code = part.process.terminate()
            self.report.promise(code == 0, f"process {name} ends with code {code} after SIGTERM")
            part.start()


def verdict(report, service, people, readiness):
    """What Twilio has in the end counts, by person and text."""
    written = {(message.person, message.text): message for message in people.written}
    report.say(f"{len(written)} messages were written; waiting until all is quiet …")
    ticks = people.minutes_of_writing()

    def is_quiet():
        answers = people.answers()
        return all(answers[key] for key in written) and ticks <= set(people.ticks()) and service.jobs()[0] == 0

    with contextlib.suppress(TimeoutError):
        until(QUIET_SECONDS, "all is quiet", is_quiet)
    answers, said, (live, dead) = people.answers(), people.ticks(), service.jobs()
    report.judge_events(written, answers, readiness)
    lost = [key for key in written if not answers[key]]
    doubled = [key for key, times in answers.items() if times > 1]
    given_up = [key for key, message in written.items() if message.acknowledged_at is None]
    acknowledged = len(written) - len(given_up)
    report.note(f"{acknowledged} of {len(written)} messages were acknowledged to Twilio, {len(written) - len(lost)} were answered.")
    report.note(f"{len(given_up)} webhooks used up {RETRIES} retries; the backfill brought those messages, every {BACKFILL_EVERY_SECONDS} s.")
    report.promise(live == 0, f"{live} jobs are live within {QUIET_SECONDS} s of the last message")
    report.promise(not lost, f"{len(lost)} messages are lost{few(lost)}")
    report.promise(not doubled, f"{len(doubled)} messages were answered twice{few(doubled)}")
    report.promise(set(answers) <= set(written), "nobody read an answer to another person's message")
    report.promise(dead == 0, f"{dead} jobs gave up")
    report.promise(not service.call("GET", "/admin/api/chunks/in-doubt")["chunks"], "no send is in doubt")
    report.promise(ticks <= set(said) and set(said.values()) <= {1}, f"each of the {len(ticks)} minutes of a schedule was told once")


def few(keys):
    return f", for example {sorted(keys)[:5]}" if keys else ""


if __name__ == "__main__":
    main()
