"""The rows that a person reads at the end."""

import threading


class Table:
    def __init__(self):
        self.rows, self.lock = [], threading.Lock()

    def row(self, case, done, got, told, expected, asked=None):
        """A case, what was done, what the person got, what administrators were told, and what should hold of it, as pairs of whether and what."""
        wrong = [words for holds, words in expected if not holds]
        calls = "" if asked is None else f" ({asked} model calls)"
        with self.lock:
            self.rows.append((case, done + calls, brief(got), brief(told) or "nothing", wrong))
        print(f"{'ok    ' if not wrong else 'FAILED'}  {case}: {done}{''.join(f'{chr(10)}        not: {words}' for words in wrong)}", flush=True)

    def print(self):
        """The exit code."""
        print("\n| case | done | what the person got | what the administrator was told | |\n|---|---|---|---|---|")
        for case, done, got, told, wrong in sorted(self.rows, key=lambda row: row[0]):
            print(f"| {case} | {done} | {got} | {told} | {'not: ' + '; '.join(wrong) if wrong else 'ok'} |")
        failed = sum(bool(row[-1]) for row in self.rows)
        print(f"\n{len(self.rows) - failed} passed, {failed} failed")
        return int(failed > 0)


def brief(texts):
    """On one line, and not too long for a cell."""
    lines = [" ".join(text.split()).replace("|", "/") for text in texts if text]
    return " · ".join(dict.fromkeys(line if len(line) <= 220 else line[:217] + "…" for line in lines))
