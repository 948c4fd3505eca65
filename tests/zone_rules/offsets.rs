//! The offsets of time zones from 2025 to 2030 by the rules that the service would take: names on standard input, a line for each on standard output,
//! as `transitions.py` writes them. The argument is the zoneinfo folder, as `schedules.zoneinfo`.
#![expect(clippy::print_stdout, reason = "the lines are what was asked for")]

use std::path::Path;

use channel::schedules::zones;
use channel::schedules::zones::tz::Tz;
use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _, Utc};

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_default();
    let rules = zones::choose(Path::new(&folder));
    eprintln!("The program goes by {rules}");
    for name in std::io::stdin().lines() {
        let name = name.expect("names are lines of text");
        match rules.zone(&name) {
            Ok(zone) => println!("{name} {}", offsets(zone)),
            Err(unknown) => println!("{name} {unknown}"),
        }
    }
}

fn offsets(zone: Tz) -> String {
    let year =
        |year| Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).earliest().expect("it is a year of the calendar");
    let (mut moment, end): (DateTime<Utc>, _) = (year(2025), year(2031));
    let (mut line, mut before) = (String::new(), None);
    while moment < end {
        let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
        if before != Some(offset) {
            if before.is_some() {
                line += &moment.format(" %Y-%m-%dT%H:%MZ ").to_string();
            }
            line += &offset.to_string();
            before = Some(offset);
        }
        moment += TimeDelta::minutes(30);
    }
    line
}
