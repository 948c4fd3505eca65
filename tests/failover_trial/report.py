"""What a person reads: each event with what it cost, and the promises."""

import collections
import time

Event = collections.namedtuple("Event", "name begun ended allowed retries_may_end")
HEAD = ["event", "took", "messages", "at the first try", "by a retry", "retries used up", "answered", "longest not ready (allowed)"]


class Report:
    def __init__(self, begun):
        self.begun, self.events, self.promises, self.notes = begun, [], [], []

    def say(self, words):
        print(f"{time.monotonic() - self.begun:5.0f} s  {words}", flush=True)

    def event(self, *event):
        """`allowed`: how many seconds each role may be without anybody who is ready. `retries_may_end`: a webhook may use up Twilio's."""
        self.events.append(Event(*event))

    def promise(self, holds, words):
        self.promises.append((bool(holds), words))
        if not holds:
            self.say(f"BROKEN: {words}")

    def note(self, words):
        self.notes.append(words)

    def judge_events(self, written, answers, readiness):
        """`written`: what people wrote, `answers`: how often each text was answered, both by person and text."""
        rows = [HEAD, ["---"] * len(HEAD)]
        for event in self.events:
            messages = {key: message for key, message in written.items() if event.begun <= message.at < event.ended}
            given_up = sum(message.acknowledged_at is None for message in messages.values())
            first = sum(message.acknowledged_at is not None and message.tries == 1 for message in messages.values())
            gaps = {role: readiness.longest(role, event.begun, event.ended) for role in event.allowed}
            told = ", ".join(f"{role} {gap:.1f} s ({event.allowed[role]})" for role, gap in gaps.items() if gap) or "always ready"
            answered = sum(answers[key] > 0 for key in messages)
            took, retried = f"{event.ended - event.begun:.0f} s", len(messages) - first - given_up
            rows.append([event.name, took, len(messages), first, retried, given_up, answered, told])
            late = [role for role, gap in gaps.items() if gap > event.allowed[role]]
            self.promise(not late, f"{event.name}: {', '.join(late) + ' is away for too long' if late else 'each role is ready again in time'}")
            if not event.retries_may_end:
                self.promise(given_up == 0, f"{event.name}: {given_up or 'no'} webhooks used up Twilio's retries")
        self.rows = rows

    def print(self):
        """Returns the exit code."""
        print()
        for row in self.rows:
            print("|", " | ".join(str(cell) for cell in row), "|")
        print()
        for note in self.notes:
            print(note)
        print()
        for holds, words in self.promises:
            print(f"{'ok    ' if holds else 'BROKEN'}  {words}")
        failed = sum(not holds for holds, _ in self.promises)
        print(f"\n{len(self.promises) - failed} passed, {failed} failed")
        return int(failed > 0)
