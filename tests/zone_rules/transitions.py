"""The offsets of time zones from 2025 to 2030 by the tzdata package of PyPI: names on standard input, a line for each on standard output.

A line has the name, the first offset, and for each change the first full or half hour at which it shows and the new offset.
`offsets.rs` and `src/channel/schedules/zones/transitions.txt` have the same lines."""

import sys
import zoneinfo
from datetime import datetime, timezone

HALF_AN_HOUR = 1800


def shown(seconds):
    sign, seconds = ("-" if seconds < 0 else "+"), abs(seconds)
    minutes = f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{minutes}:{seconds % 60:02}" if seconds % 60 else minutes


# The package alone, never the machine's files.
zoneinfo.reset_tzpath(to=[])
begin, end = (int(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp()) for year in (2025, 2031))
for name in sys.stdin.read().split():
    zone = zoneinfo.ZoneInfo(name)
    line, before = [name], None
    for seconds in range(begin, end, HALF_AN_HOUR):
        offset = datetime.fromtimestamp(seconds, zone).utcoffset()
        if offset != before:
            if before is not None:
                line.append(datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%MZ"))
            line.append(shown(int(offset.total_seconds())))
            before = offset
    print(" ".join(line))
