"""Processes that the trial starts, and ends by their own id."""

import random
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request

taken = set()


class Process:
    """A program with a log of its own. The kernel sends it SIGTERM if the trial's main thread, which starts it, is killed."""

    def __init__(self, name, folder, argv, user=None, env=None):
        self.name, self.folder, self.env, self.process = name, folder, env, None
        as_user = ["--reuid", user, "--regid", user, "--init-groups"] if user else []
        self.argv = ["setpriv", "--pdeathsig", "TERM", *as_user, *(str(word) for word in argv)]

    def start(self):
        with open(self.folder / f"{self.name}.log", "a") as log:
            self.process = subprocess.Popen(
                self.argv, env=self.env, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def ask_to_end(self):
        """SIGTERM."""
        if self.is_running():
            self.process.terminate()

    def terminate(self, patience=60):
        """SIGTERM, and whatever the program does then. Returns its exit code."""
        self.ask_to_end()
        return self.ended(patience)

    def ended(self, patience=60):
        """Waits until it has ended. Returns its exit code."""
        if self.process is None:
            return None
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.name} did not end within {patience} seconds of SIGTERM")

    def kill(self):
        """As a crash, or the machine's lack of memory."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def said(self):
        """The last lines of its log."""
        return (self.folder / f"{self.name}.log").read_text(errors="replace")[-2000:]


def program_of(name, *others):
    """The first of these programs that the machine has."""
    found = next((path for path in map(shutil.which, (name, *others)) if path), None)
    if found is None:
        raise RuntimeError(f"{name} is not on the PATH")
    return found


def free_port():
    """A port below those that the system gives to clients: a client could take one of those before the server starts."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            taken.add(port)
            return port


def status_of(url, seconds=5):
    """The status of an answer to GET; None: there was no answer."""
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None


def until(seconds, what, holds, of=()):
    """Looks again and again until it holds. Ends at once when one of these processes has ended. Returns the seconds that it took."""
    begun = time.monotonic()
    while not holds():
        for process in of:
            if not process.is_running():
                raise RuntimeError(f"{process.name} ended: {process.said()}")
        if time.monotonic() - begun > seconds:
            raise TimeoutError(f"in {seconds} seconds not: {what}")
        time.sleep(0.1)
    return time.monotonic() - begun
