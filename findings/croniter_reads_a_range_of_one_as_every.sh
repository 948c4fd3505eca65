#!/usr/bin/env bash
# croniter 7.0.0 (PyPI): a range whose ends are the same value means every value.
#
# `0 9 * * 5-5` says Fridays at nine, and cron runs it on Fridays. croniter takes the range for the whole field, so it falls due every day; `0 5-5 * * *`
# falls due every hour, and `5-5 9 * * *` every minute of the hour. The expression counts as valid, and the same field written `5` is read as meant. Programs
# that write a range from two inputs of a form make such expressions.
#
# Output seen: `0 9 * * 5-5: 7 times in a week` and `0 9 * * 5: 1 times in a week`.
# What helps: write a single value where both ends are the same, or refuse such a range where expressions are read.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet croniter==7.0.0
output=$("$folder/venv/bin/python" - <<'PY'
from datetime import datetime, timedelta

from croniter import croniter

start = datetime(2026, 10, 31, 23, 59)
for expression in ("0 9 * * 5-5", "0 9 * * 5", "0 5-5 * * *", "0 5 * * *"):
    assert croniter.is_valid(expression), expression
    moments = croniter(expression, start)
    due = 0
    while moments.get_next(datetime) < start + timedelta(days=7):
        due += 1
    print(f"{expression}: {due} times in a week")
PY
)
echo "$output"
grep -qx "0 9 \* \* 5-5: 7 times in a week" <<<"$output"
grep -qx "0 9 \* \* 5: 1 times in a week" <<<"$output"
grep -qx "0 5-5 \* \* \*: 168 times in a week" <<<"$output"
grep -qx "0 5 \* \* \*: 7 times in a week" <<<"$output"
