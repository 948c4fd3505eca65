#!/usr/bin/env bash
# cron-parser 5.10.6 (npm): an expression with a field too few is valid, and the missing one is taken to be the minute, as `*`.
#
# crontab knows five fields and refuses fewer. cron-parser fills up on the left: `0 9 * *`, where somebody lost a star of `0 9 * * *`, is read as
# `* 0 9 * *`, which falls due sixty times in the first hour of each month's ninth day. An empty text falls due every minute. Nothing tells the author.
#
# Output seen: `"0 9 * *": 2026-11-09T00:00:00.000Z 2026-11-09T00:01:00.000Z` and `"": 2026-11-01T00:01:00.000Z 2026-11-01T00:02:00.000Z`.
# What helps: count the fields before the parser sees them.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund cron-parser@5.10.6
output=$(node -e '
const { CronExpressionParser } = require("cron-parser");
for (const expression of ["0 9 * * *", "0 9 * *", ""]) {
    const moments = CronExpressionParser.parse(expression, { currentDate: "2026-11-01T00:00:00Z", tz: "UTC" });
    console.log(`${JSON.stringify(expression)}: ${moments.next().toISOString()} ${moments.next().toISOString()}`);
}')
echo "$output"
grep -qxF '"0 9 * * *": 2026-11-01T09:00:00.000Z 2026-11-02T09:00:00.000Z' <<<"$output"
grep -qxF '"0 9 * *": 2026-11-09T00:00:00.000Z 2026-11-09T00:01:00.000Z' <<<"$output"
grep -qxF '"": 2026-11-01T00:01:00.000Z 2026-11-01T00:02:00.000Z' <<<"$output"
