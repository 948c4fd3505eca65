"""Watches, from outside and through HAProxy, whether somebody is ready for each role."""

import collections
import threading
import time

from processes import status_of

EVERY_SECONDS = 0.2

# A time in which a role was not ready: from the last good answer to the next one. It belongs to the event in which the first bad answer came.
Gap = collections.namedtuple("Gap", "good bad ended")


class Readiness:
    def __init__(self, balancer):
        self.gaps = {role: [] for role in balancer.ports}
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.watch, args=[balancer.url(role), role], daemon=True) for role in balancer.ports]
        for thread in self.threads:
            thread.start()

    def watch(self, url, role):
        gaps, good, is_ready = self.gaps[role], time.monotonic(), True
        while not self.over.wait(EVERY_SECONDS):
            asked = time.monotonic()
            was_ready, is_ready = is_ready, status_of(f"{url}/readyz/{role}") == 200
            if is_ready and not was_ready:
                gaps[-1] = gaps[-1]._replace(ended=time.monotonic())
            elif was_ready and not is_ready:
                gaps.append(Gap(good, time.monotonic(), None))
            if is_ready:
                good = asked

    def longest(self, role, begun, ended):
        """In seconds, of the gaps that belong to this time."""
        now = time.monotonic()
        return max(((gap.ended or now) - gap.good for gap in list(self.gaps[role]) if begun <= gap.bad < ended), default=0)

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(10)
