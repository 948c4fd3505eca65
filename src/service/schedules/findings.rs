//! What is wrong with the files of a folder, and what would surprise their author: duties that never fall due, or all too often; texts that are too
//! long; files that are no schedules; users whom nobody knows.

use std::collections::BTreeSet;

use channel::outbound::planning::{self, ChunkLimits, Origin};
use channel::plans::Plans;
use channel::schedules::definition::Definition;
use channel::schedules::moments;
use channel::schedules::schedule_file::{DefinitionError, Folder, Schedule};
use channel::schedules::timing::Recurrence;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::ids::{ScheduleName, UserId};
use utoipa::ToSchema;
use whatsapp_text::text::WhatsappText;

/// More messages a day than this to one person are told of.
const BURST: usize = 24;

/// A text of more messages than this is told of.
const LONG: usize = 3;

/// What was found.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Findings {
    /// Schedules that can be read.
    #[schema(value_type = Vec<String>)]
    pub(crate) right: Vec<ScheduleName>,
    /// What must be mended.
    pub(crate) wrong: Vec<String>,
    /// What may not be meant.
    pub(crate) warnings: Vec<String>,
    /// The stems of the files that must be mended.
    #[serde(skip)]
    pub(crate) wrong_files: BTreeSet<String>,
}

impl Findings {
    /// Looks at the files, by these plans.
    #[expect(
        clippy::disallowed_methods,
        reason = "files are judged without a database; a clock that is wrong by hours changes no finding"
    )]
    pub(crate) fn of_files(folder: &Folder, plans: &Plans) -> Self {
        let now = Utc::now();
        let mut found = Self::default();
        found.add_wrong(folder.errors.iter());
        for schedule in &folder.schedules {
            match schedule.check_plan(plans) {
                Ok(()) => found.right.push(schedule.name.clone()),
                Err(error) => found.add_wrong([&error]),
            }
            let told = warnings(schedule, now);
            found.warnings.extend(told.into_iter().map(|told| format!("schedule {}: {told}", schedule.name)));
        }
        found.warnings.extend(folder.ignored_in_words());
        found
    }

    fn add_wrong<'a>(&mut self, errors: impl IntoIterator<Item = &'a DefinitionError>) {
        for error in errors {
            self.wrong.push(error.to_string());
            self.wrong_files.insert(error.name.clone());
        }
    }

    /// Looks for users that the database does not know.
    pub(crate) async fn add_unknown_users(
        &mut self,
        conn: &mut PgConnection,
        schedules: &[Schedule],
    ) -> sqlx::Result<()> {
        let named: BTreeSet<&UserId> =
            schedules.iter().flat_map(|schedule| users(&schedule.definition)).collect();
        let named: Vec<&UserId> = named.into_iter().collect();
        let unknown: BTreeSet<UserId> = store::users::unknown(conn, &named).await?.into_iter().collect();
        for schedule in schedules {
            let strangers: Vec<&UserId> =
                users(&schedule.definition).filter(|user| unknown.contains(*user)).collect();
            if let Some((first, others)) = strangers.split_first() {
                let others =
                    if others.is_empty() { String::new() } else { format!(", nor {} others", others.len()) };
                self.warnings
                    .push(format!("schedule {}: there is no user {first:?} yet{others}", schedule.name));
            }
        }
        Ok(())
    }
}

/// So many files, in words.
pub(crate) fn files(number: usize) -> String {
    if number == 1 { "1 file".to_owned() } else { format!("{number} files") }
}

/// The users that a file names.
fn users(definition: &Definition) -> impl Iterator<Item = &UserId> {
    let audience = &definition.audience;
    audience.user.iter().chain(audience.users.iter().flatten()).chain(&audience.except_users)
}

fn warnings(schedule: &Schedule, now: DateTime<Utc>) -> Vec<String> {
    let definition = &schedule.definition;
    let mut told = Vec::new();
    if let Recurrence::Cron(cron) = &schedule.timing.recurrence {
        told.extend(cron.notes());
    }
    told.extend(frequency(schedule, now));
    if let Some(message) = &definition.content.message {
        let text = WhatsappText::of(message, definition.content.format(whatsapp_text::text::Format::Auto));
        let chunks = planning::plan(&text, Origin::Proactive, &ChunkLimits::default()).chunks.len();
        if chunks > LONG {
            told.push(format!(
                "its message is so long that it takes {chunks} WhatsApp messages, each metered"
            ));
        }
    }
    if definition.template.as_ref().is_some_and(|template| template.variables.is_empty()) {
        told.push("its template has no variables: everybody is sent the same words".to_owned());
    }
    told
}

/// How often it falls due, where that is never or very often.
fn frequency(schedule: &Schedule, now: DateTime<Utc>) -> Option<String> {
    let (timing, zone) = (&schedule.timing, schedule.zone.main());
    let Some(first) = moments::next(timing, zone, now, 1).first().copied() else {
        return Some("it does not fall due any more, in the next five years at least".to_owned());
    };
    let day = moments::between(timing, zone, first.at - TimeDelta::seconds(1), first.at + TimeDelta::days(1));
    let number = day.iter().filter(|moment| moment.at < first.at + TimeDelta::days(1)).count();
    let whom = match &schedule.definition.audience {
        audience if audience.everyone => "everybody who has a phone".to_owned(),
        audience => match (&audience.user, &audience.plan) {
            (Some(user), _) => format!("user {user}"),
            (None, Some(plan)) => format!("everybody on the plan {plan}"),
            (None, None) => "each of its users".to_owned(),
        },
    };
    (number > BURST).then(|| format!("it falls due {number} times a day, with a message each time to {whom}"))
}
