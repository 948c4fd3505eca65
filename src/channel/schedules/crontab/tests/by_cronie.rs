//! 110 lines with what the parser of cronie 1.7.2 makes of each.

use serde::Deserialize;

use super::differences::differences;
use super::{Cron, Meaning};

#[derive(Deserialize)]
pub(super) struct Row {
    pub(super) expression: String,
    pub(super) cronie: Cronie,
    days: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Cronie {
    Refused(String),
    Taken { min: String, hour: String, dom: String, mon: String, dow: String },
}

impl Row {
    /// cronie's field sets; `None` when it refuses.
    pub(super) fn meaning(&self) -> Option<Meaning> {
        match &self.cronie {
            Cronie::Refused(word) => {
                assert_eq!(word, "refused");
                None
            }
            Cronie::Taken { min, hour, dom, mon, dow } => {
                Some(Meaning::of([min, hour, dom, mon, dow], self.days.as_deref() == Some("or")))
            }
        }
    }
}

pub(super) fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("by_cronie.json")).unwrap()
}

#[test]
fn expressions_mean_what_cronie_makes_of_them_but_for_the_listed_differences() {
    let listed = differences();
    let mut alike = (0, 0);
    for row in rows() {
        if listed.iter().any(|difference| difference.expression == row.expression) {
            continue;
        }
        match (Cron::parse(&row.expression), row.meaning()) {
            (Ok(cron), Some(meaning)) => {
                assert_eq!(Meaning::read(&cron), meaning, "{}", row.expression);
                alike.0 += 1;
            }
            (Err(_), None) => alike.1 += 1,
            (Ok(_), None) => panic!("{:?}: cronie refuses it", row.expression),
            (Err(told), Some(_)) => panic!("cronie takes it: {told}"),
        }
    }
    assert_eq!(rows().len(), 110);
    assert_eq!(alike, (55, 25), "taken alike, refused alike");
}
