//! What a schedule would do: its next slots, its audience, and the words of the first one who would get some. Nothing is sent.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use channel::app::Settings;
use channel::outbound::proactive;
use channel::outbound::proactive::assessment::Assessment;
use channel::schedules::definition::Definition;
use channel::schedules::duty;
use channel::schedules::firing;
use channel::schedules::moments;
use channel::schedules::schedule_file::Schedule;
use channel::schedules::timing::Recurrence;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use store::audiences;
use store::ids::{ScheduleName, UserId};
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use whatsapp_text::text::{Format, WhatsappText};

use super::upcoming::{Upcoming, upcoming};
use crate::commands::ordered::Ordered;

/// Users that are looked up at once.
const PAGE: i64 = 1000;

/// Of users who would be blocked for one reason no more are named.
const NAMED: usize = 20;

/// How many slots may be asked for.
pub(crate) const SLOTS: RangeInclusive<i64> = 1..=1000;

/// So many slots, where nothing is said.
pub(crate) const USUAL_SLOTS: i64 = 10;

/// So many users are looked at, where nothing is said.
pub(crate) const USUAL_USERS: i64 = 10_000;

/// How long the agent's answer will be nobody knows; it is one message at least.
const SHORTEST_ANSWER: &str = "…";

/// What a schedule would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preview {
    /// The file's stem.
    #[schema(value_type = String)]
    schedule: ScheduleName,
    /// The beginning of the hash of what the file says.
    hash: String,
    /// When it falls due, as the file says.
    when: String,
    /// How its crontab expression is read, where that may surprise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    notes: Vec<String>,
    /// Its next slots.
    next: Vec<Upcoming>,
    /// The audience's size; null: not all of it was looked at.
    audience: Option<i64>,
    /// The audience's size as the database estimates it; null: all of it was looked at.
    audience_about: Option<i64>,
    /// So many users were looked at, the first ones.
    looked_at: i64,
    /// Who of them would get no message now, by the `reason` that their delivery would have.
    #[schema(value_type = BTreeMap<String, BlockedUsers>)]
    blocked: BTreeMap<&'static str, BlockedUsers>,
    /// How long its templates would take, by `whatsapp.people_per_day`; null: there is no such limit, or nobody would get the template.
    pace: Option<Pace>,
    /// `message`, or `prompt` where the agent speaks.
    #[schema(schema_with = content_schema)]
    content: &'static str,
    /// Which signs it is written with: `auto`, `markdown` or `whatsapp`.
    #[schema(schema_with = format_schema)]
    format: Format,
    /// What the first one of the audience who has a phone would get; null: nobody has.
    rendered: Option<Rendered>,
}

fn content_schema() -> Object {
    words(&["message", "prompt"], "`message`, or `prompt` where the agent speaks.")
}

fn format_schema() -> Object {
    words(&Format::NAMES, "Which signs it is written with.")
}

/// How the HTTP interface describes a text that is one of these.
pub(super) fn words(words: &[&str], says: &str) -> Object {
    let object = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words.iter().copied()));
    object.description(Some(says)).build()
}

/// How long the templates of a schedule take while a day has room for so many people.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Pace {
    /// Who would get the template now, of those who were looked at.
    people: u64,
    /// `whatsapp.people_per_day`
    per_day: u32,
    /// From the first one to the last, if nobody else takes the room. What has expired by then is not sent.
    days: u64,
}

impl Pace {
    fn of(people: u64, per_day: u32) -> Option<Self> {
        let days =
            people.checked_div(u64::from(per_day))? + u64::from(!people.is_multiple_of(u64::from(per_day)));
        (people > 0).then_some(Self { people, per_day, days })
    }

    fn sentence(&self) -> String {
        let Self { people, per_day, days } = self;
        let days = if *days == 1 { "a day".to_owned() } else { format!("{days} days") };
        format!("{people} people, {per_day} a day: takes {days}")
    }
}

/// Users who would get nothing for one reason.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
struct BlockedUsers {
    /// How many.
    count: u64,
    /// Some of them.
    #[schema(value_type = Vec<String>)]
    users: Vec<UserId>,
}

/// What somebody would get.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct Rendered {
    /// The user.
    #[schema(value_type = String)]
    r#for: UserId,
    /// What the agent is asked; nobody knows its answer before. Left out of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    /// The WhatsApp messages. Left out of a prompt, and where the template would be sent instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<Vec<String>>,
    /// The schedule's template, which is sent while WhatsApp takes no free text. Left out of a schedule without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<RenderedTemplate>,
}

/// A filled template.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct RenderedTemplate {
    /// Twilio's id of the template.
    content_sid: String,
    /// Its variables with the user's and the slot's values.
    #[schema(value_type = BTreeMap<String, String>)]
    variables: Option<Value>,
}

/// Looks at so many slots, and at so many users of the audience, the first ones.
pub(crate) async fn preview(
    conn: &mut PgConnection,
    settings: &Settings,
    schedule: &Schedule,
    slots: i64,
    users: i64,
) -> sqlx::Result<Preview> {
    let definition = &schedule.definition;
    let audience = definition.audience.as_stored();
    let now = store::clock::now(conn).await?;
    let due_zones = firing::due_zones(conn, schedule).await?;
    let mut seen = Seen::new(settings, schedule, now);
    let mut left = users;
    let mut last_user: Option<UserId> = None;
    loop {
        let most = left.min(PAGE);
        let page = audiences::page(conn, &audience, None, last_user.as_ref(), most).await?;
        left -= most;
        seen.look_at(conn, &page).await?;
        let is_full = i64::try_from(page.len()).is_ok_and(|found| found == most);
        last_user = page.into_iter().last();
        if !is_full || left == 0 {
            break;
        }
    }
    let is_all = match (left, last_user.as_ref()) {
        (0, Some(last)) => audiences::page(conn, &audience, None, Some(last), 1).await?.is_empty(),
        _ => true,
    };
    let about = if is_all { None } else { Some(audiences::estimate(conn, &audience).await?.max(seen.users)) };
    Ok(Preview {
        schedule: schedule.name.clone(),
        hash: schedule.hash.chars().take(12).collect(),
        when: definition.when(),
        notes: match &schedule.timing.recurrence {
            Recurrence::Cron(cron) => cron.notes(),
            _ => Vec::new(),
        },
        next: upcoming(schedule, &due_zones, now, usize::try_from(slots).unwrap_or_default()),
        audience: is_all.then_some(seen.users),
        audience_about: about,
        looked_at: seen.users,
        blocked: seen.blocked,
        pace: Pace::of(seen.openings, settings.whatsapp.people_per_day),
        content: if definition.content.message.is_some() { "message" } else { "prompt" },
        format: definition.content.format(settings.agent.format),
        rendered: seen.rendered,
    })
}

/// What was seen of an audience so far.
struct Seen<'a> {
    settings: &'a Settings,
    definition: &'a Definition,
    moment: chrono::DateTime<chrono::Utc>,
    users: i64,
    blocked: BTreeMap<&'static str, BlockedUsers>,
    /// Who would get the template.
    openings: u64,
    rendered: Option<Rendered>,
}

impl<'a> Seen<'a> {
    fn new(settings: &'a Settings, schedule: &'a Schedule, now: chrono::DateTime<chrono::Utc>) -> Self {
        let next = moments::next(&schedule.timing, schedule.zone.main(), now, 1);
        Self {
            settings,
            definition: &schedule.definition,
            moment: next.first().map_or(now, |moment| moment.at),
            users: 0,
            blocked: BTreeMap::new(),
            openings: 0,
            rendered: None,
        }
    }

    async fn look_at(&mut self, conn: &mut PgConnection, page: &[UserId]) -> sqlx::Result<()> {
        let (settings, definition) = (self.settings, self.definition);
        let content = &definition.content;
        let words = content.message.as_deref().or(content.prompt.as_deref()).unwrap_or_default();
        let ids: Vec<&UserId> = page.iter().collect();
        let eligibilities = proactive::eligibility::read(conn, settings, &ids).await?;
        for id in ids {
            let Some(eligibility) = eligibilities.get(id) else { continue };
            self.users += 1;
            let filled = duty::filled(self.moment, definition, &eligibility.user, words);
            let (prompt, text) = match content.message {
                Some(_) => (None, duty::converted(settings, definition, &filled)),
                None => (Some(filled), WhatsappText::as_written(SHORTEST_ANSWER)),
            };
            let quiet = definition.quiet_rule().judge(&eligibility.user, self.moment);
            let variables = duty::variables(self.moment, definition, &eligibility.user);
            let assessment = proactive::assessment::of(Some(eligibility), &text, variables.as_ref(), quiet);
            if let Some(reason) = assessment.blocked {
                let blocked = self.blocked.entry(reason.as_str()).or_default();
                blocked.count += 1;
                blocked.users.extend((blocked.users.len() < NAMED).then(|| id.clone()));
            }
            self.openings += u64::from(assessment.blocked.is_none() && assessment.as_template);
            if self.rendered.is_none() && !assessment.chunks.is_empty() {
                self.rendered = Some(render(id, definition, prompt, variables, assessment));
            }
        }
        Ok(())
    }
}

fn render(
    id: &UserId,
    definition: &Definition,
    prompt: Option<String>,
    variables: Option<Value>,
    assessment: Assessment,
) -> Rendered {
    let template = definition.template.as_ref();
    let template =
        template.map(|template| RenderedTemplate { content_sid: template.content_sid.clone(), variables });
    let are_known = prompt.is_none() && !assessment.as_template;
    let bodies = || assessment.chunks.into_iter().map(|chunk| chunk.body).collect();
    Rendered { r#for: id.clone(), prompt, chunks: are_known.then(bodies), template }
}

impl Preview {
    /// For people.
    pub(crate) fn shown(&self) -> serde_json::Result<String> {
        let mut value = Ordered::of(self)?;
        let with_zone = self.next.iter().any(|next| next.zone() != self.next[0].zone());
        let sentences: Vec<String> = self.next.iter().map(|next| next.sentence(with_zone)).collect();
        value.replace("next", Ordered::of(&sentences)?);
        value.replace("pace", Ordered::of(&self.pace.as_ref().map(Pace::sentence))?);
        Ok(value.lines(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_audience_takes_as_many_days_as_its_people_need() {
        for (people, per_day, told) in [
            (12_000, 250, Some("12000 people, 250 a day: takes 48 days")),
            (12_001, 250, Some("12001 people, 250 a day: takes 49 days")),
            (3, 250, Some("3 people, 250 a day: takes a day")),
            (0, 250, None),
            (5, 0, None),
        ] {
            assert_eq!(Pace::of(people, per_day).map(|pace| pace.sentence()).as_deref(), told);
        }
    }
}
