//! `DIFFERENCES.md` says what is so.

use super::by_cronie::rows;
use super::{Cron, Meaning, next};

/// A row of the tables.
pub(super) struct Difference {
    pub(super) expression: String,
    cronie: String,
    here: String,
}

pub(super) fn differences() -> Vec<Difference> {
    let rows = include_str!("../DIFFERENCES.md").lines().filter_map(|line| line.strip_prefix("| `"));
    let differences = rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches('|').split('|').map(str::trim).collect();
        let [expression, cronie, here, ..] = cells[..] else { panic!("{row}") };
        Difference {
            expression: expression.trim_end_matches('`').to_owned(),
            cronie: cronie.to_owned(),
            here: here.to_owned(),
        }
    });
    differences.collect()
}

/// The expression in "as `…`".
fn likened(cell: &str) -> Option<&str> {
    cell.strip_prefix("as `")?.strip_suffix('`')
}

/// What the tables say in words, as the first moments of 2027.
const IN_WORDS: [(&str, &[&str]); 8] = [
    ("0 0 L * *", &["2027-01-31 00:00:00", "2027-02-28 00:00:00"]),
    // The 31st of January is a Sunday, the 28th of February too.
    ("0 0 LW * *", &["2027-01-29 00:00:00", "2027-02-26 00:00:00", "2027-03-31 00:00:00"]),
    (
        "0 0 15W * *",
        &[
            "2027-01-15 00:00:00",
            "2027-02-15 00:00:00",
            "2027-03-15 00:00:00",
            "2027-04-15 00:00:00",
            "2027-05-14 00:00:00",
        ],
    ),
    ("* * * * MON#1", &["2027-01-04 00:00:00", "2027-01-04 00:01:00"]),
    ("0 0 * * FRI#3", &["2027-01-15 00:00:00", "2027-02-19 00:00:00"]),
    ("0 0 * * 5#3", &["2027-01-15 00:00:00", "2027-02-19 00:00:00"]),
    ("0 0 * * 5L", &["2027-01-29 00:00:00", "2027-02-26 00:00:00"]),
    ("30 0 9 * * MON", &["2027-01-04 09:00:30", "2027-01-11 09:00:30"]),
];

#[test]
fn the_tables_say_what_is_done_here() {
    for Difference { expression, here, .. } in differences() {
        let read = Cron::parse(&expression);
        if here == "refused" {
            assert!(read.is_err(), "{expression} is taken");
            continue;
        }
        let read = read.unwrap();
        if let Some(other) = likened(&here) {
            assert_eq!(Meaning::read(&read), Meaning::read(&Cron::parse(other).unwrap()), "{expression}");
        } else if let Some((_, moments)) = IN_WORDS.iter().find(|(told, _)| *told == expression) {
            assert_eq!(next(&expression, "2026-12-31T23:59:59Z", moments.len()), *moments, "{expression}");
        } else {
            // The one row about clock changes; `moments` has the proof.
            assert_eq!((expression.as_str(), read.every_hour), ("*/30 1 * * *", false));
        }
    }
}

#[test]
fn the_tables_say_what_cronie_does() {
    let rows = rows();
    for Difference { expression, cronie, .. } in differences() {
        let Some(row) = rows.iter().find(|row| row.expression == expression) else { continue };
        let meaning = row.meaning();
        match cronie.as_str() {
            "refused" => assert_eq!(meaning, None, "{expression}"),
            "never due" => assert!(meaning.unwrap().sets.iter().any(|set| set.is_empty()), "{expression}"),
            told => match likened(told) {
                Some(other) => {
                    assert_eq!(meaning, Some(Meaning::read(&Cron::parse(other).unwrap())), "{expression}");
                }
                None => assert!(meaning.is_some(), "{expression}"),
            },
        }
    }
}

#[test]
fn what_crontab_refuses_says_how_it_is_read() {
    for Difference { expression, cronie, here } in differences() {
        let spelling = ["?", "@"].iter().any(|sign| expression.contains(sign));
        if here != "refused" && !spelling && (cronie == "refused" || cronie == "never due") {
            assert_ne!(Cron::parse(&expression).unwrap().notes(), Vec::<String>::new(), "{expression}");
        }
    }
}
