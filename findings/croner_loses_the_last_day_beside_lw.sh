#!/usr/bin/env bash
# croner 4.0.3 (crates.io): in a list, `LW` takes the place of `L`.
#
# `L` is the last day of the month and `LW` its last day from Monday to Friday; each alone is read as meant, and so is `15W,L`. The list `L,LW` says both
# days, for what happens at a month's end and on its last workday. croner keeps one mark for "last" and one for "weekday" for the whole field, so that the
# second item changes the first one: a month that ends on a weekend loses its last day, without an error. January 2026 ends on a Saturday.
#
# Output seen: `L: 2026-01-31`, `LW: 2026-01-30`, `15W,L: 2026-01-15 2026-01-31` and `L,LW: 2026-01-30`, where 2026-01-31 is missing.
# What helps: two schedules, one for each day, or a reader of one's own.
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
croner = "=4.0.3"
TOML
cat >src/main.rs <<'RUST'
use croner::Cron;

fn main() {
    let day = |month, day| chrono::NaiveDate::from_ymd_opt(2026, month, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
    for days in ["L", "LW", "15W,L", "L,LW"] {
        let cron: Cron = format!("0 9 {days} * *").parse().unwrap();
        let january = cron.iter_after(day(1, 1)).take_while(|moment| *moment < day(2, 1));
        let dates: Vec<String> = january.map(|moment| moment.date().to_string()).collect();
        println!("{days}: {}", dates.join(" "));
    }
}
RUST
output=$(cargo run -q)
echo "$output"
grep -qx "L: 2026-01-31" <<<"$output"
grep -qx "LW: 2026-01-30" <<<"$output"
grep -qx "15W,L: 2026-01-15 2026-01-31" <<<"$output"
grep -qx "L,LW: 2026-01-30" <<<"$output"
