#!/usr/bin/env bash
# Debian 12's crontab (cron 3.0pl1-162): signs behind a star, and `#` behind a number, pass the check of `crontab -n`.
#
# `crontab -n` checks a file without installing it. Its manual knows neither `*15`, where a slash is missing, nor `5#3`, the third Friday elsewhere, and the
# check finds nothing wrong with them. A letter in the same place, as in `0 9 * * 5L`, is refused, so the check looks strict to whoever tries it once.
#
# Output seen: `*15 * * * *: taken`, `0 9 * * 5#3: taken` and `0 9 * * 5L: refused`.
# What helps: a checker of one's own, with the position and the likely meaning. Needs Debian 12, and root for a /var/spool of its own.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
chmod 755 .
apt-get download -qq cron=3.0pl1-162 2>/dev/null
dpkg -x cron_*.deb unpacked
cat >try.sh <<'SH'
mount -t tmpfs tmpfs /var/spool
mkdir -p /var/spool/cron/crontabs
for fields in "*/15 * * * *" "*15 * * * *" "0 9 * * 5#3" "0 9 * * 5L"; do
    echo "$fields true" >tab
    if unpacked/usr/bin/crontab -n tab >/dev/null 2>&1; then echo "$fields: taken"; else echo "$fields: refused"; fi
done
SH
output=$(unshare --mount bash -f try.sh)
echo "$output"
grep -qxF '*/15 * * * *: taken' <<<"$output"
grep -qxF '*15 * * * *: taken' <<<"$output"
grep -qxF '0 9 * * 5#3: taken' <<<"$output"
grep -qxF '0 9 * * 5L: refused' <<<"$output"
