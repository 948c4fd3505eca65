//! Schedules that are late: due and not fired, since no process has the present version of the file or none runs; or fired and not worked off.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use sqlx::PgConnection;
use store::schedules::ScheduleRow;

use super::schedule_file::Schedule;
use super::{firing, moments};

/// What is late by more than this; `None`: nothing.
pub async fn in_words(conn: &mut PgConnection, by: Duration) -> sqlx::Result<Option<String>> {
    let mut late = Vec::new();
    for row in store::schedules::all(conn).await? {
        if let Some(moment) = unfired(conn, &row, by).await? {
            late.push(format!("{} is due since {} and nobody fires it", row.name, at(moment)));
        }
    }
    for slots in store::slots::late(conn, by.as_secs_f64()).await? {
        late.push(format!(
            "{} slots of {} are not worked off since {}",
            slots.slots,
            slots.schedule,
            at(slots.since)
        ));
    }
    Ok((!late.is_empty()).then(|| late.join("; ")))
}

/// The first moment of a schedule that should have been fired so long ago.
async fn unfired(
    conn: &mut PgConnection,
    row: &ScheduleRow,
    by: Duration,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    let Some(until) = row.now.checked_sub_signed(by).filter(|until| row.enabled && row.fired_until < *until)
    else {
        return Ok(None);
    };
    let definition = serde_json::from_value(row.definition.clone()).ok();
    let schedule = definition.and_then(|definition| Schedule::of(&row.name, definition).ok());
    let Some(schedule) = schedule.filter(|schedule| schedule.definition.enabled) else { return Ok(None) };
    let mut first: Option<DateTime<Utc>> = None;
    for due_zone in firing::due_zones(conn, &schedule).await? {
        let next = moments::next(&schedule.timing, due_zone.zone, row.fired_until, 1);
        let due = next.first().map(|moment| moment.at).filter(|moment| *moment < until);
        first = first.into_iter().chain(due).min();
    }
    Ok(first)
}

fn at(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true)
}
