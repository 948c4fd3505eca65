//! What a schedule would do: its next slots, its audience, and the words of the first one who would get some. Nothing is sent.

use std::collections::BTreeMap;

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
use whatsapp_text::text::{Format, WhatsappText};

use super::upcoming::{Upcoming, upcoming};

/// Users that are looked up at once.
const PAGE: i64 = 1000;

/// Of users who would be blocked for one reason no more are named.
const NAMED: usize = 20;

/// What a schedule would do.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Preview {
    schedule: String,
    hash: String,
    when: String,
    /// How its crontab expression is read, where that may surprise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
    next: Vec<Upcoming>,
    /// Its size; `None`: not all of it was looked at.
    audience: Option<i64>,
    /// Its size as the database estimates it, where not all of it was looked at.
    audience_about: Option<i64>,
    looked_at: i64,
    blocked: BTreeMap<&'static str, Blocked>,
    content: &'static str,
    format: Format,
    rendered: Option<Rendered>,
}

/// Users who would get nothing for one reason.
#[derive(Clone, Debug, Default, Serialize)]
struct Blocked {
    count: u64,
    /// Some of them.
    users: Vec<String>,
}

/// What the first one of an audience would get. Of a prompt it is what the agent is asked.
#[derive(Clone, Debug, Serialize)]
struct Rendered {
    r#for: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chunks: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template: Option<RenderedTemplate>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RenderedTemplate {
    content_sid: String,
    variables: Option<Value>,
}

/// Looks at so many slots, and at so many users of the audience, the first ones.
pub(crate) async fn preview(
    conn: &mut PgConnection,
    settings: &Settings,
    schedule: &Schedule,
    slots: usize,
    users: i64,
) -> sqlx::Result<Preview> {
    let definition = &schedule.definition;
    let audience = definition.audience.as_stored();
    let now = store::clock::now(conn).await?;
    let places = firing::places(conn, schedule).await?;
    let mut seen = Seen::new(settings, schedule, now);
    let mut left = users;
    let mut last_user: Option<String> = None;
    loop {
        let most = left.min(PAGE);
        let page = audiences::page(conn, &audience, None, last_user.as_deref(), most).await?;
        left -= most;
        seen.look_at(conn, &page).await?;
        let is_full = i64::try_from(page.len()).is_ok_and(|found| found == most);
        last_user = page.into_iter().last();
        if !is_full || left == 0 {
            break;
        }
    }
    let is_all = match (left, last_user.as_deref()) {
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
        next: upcoming(schedule, &places, now, slots),
        audience: is_all.then_some(seen.users),
        audience_about: about,
        looked_at: seen.users,
        blocked: seen.blocked,
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
    blocked: BTreeMap<&'static str, Blocked>,
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
            rendered: None,
        }
    }

    async fn look_at(&mut self, conn: &mut PgConnection, page: &[String]) -> sqlx::Result<()> {
        let (settings, definition) = (self.settings, self.definition);
        let content = &definition.content;
        let words = content.message.as_deref().or(content.prompt.as_deref()).unwrap_or_default();
        let ids: Vec<&str> = page.iter().map(String::as_str).collect();
        let eligibilities = proactive::eligibility::read(conn, settings, &ids).await?;
        for id in ids {
            let Some(eligibility) = eligibilities.get(id) else { continue };
            self.users += 1;
            let text = duty::filled(self.moment, definition, &eligibility.user, words);
            let text = match content.message {
                Some(_) => duty::converted(settings, definition, &text),
                None => WhatsappText::as_written(text),
            };
            let quiet = definition.quiet_rule().judge(&eligibility.user, self.moment);
            let variables = duty::variables(self.moment, definition, &eligibility.user);
            let assessment = proactive::assessment::of(Some(eligibility), &text, variables.as_ref(), quiet);
            if let Some(reason) = assessment.blocked {
                let blocked = self.blocked.entry(reason.as_str()).or_default();
                blocked.count += 1;
                blocked.users.extend((blocked.users.len() < NAMED).then(|| id.to_owned()));
            }
            if self.rendered.is_none() && !assessment.chunks.is_empty() {
                self.rendered = Some(render(id, definition, variables, assessment));
            }
        }
        Ok(())
    }
}

fn render(id: &str, definition: &Definition, variables: Option<Value>, assessment: Assessment) -> Rendered {
    let template = definition.template.as_ref().filter(|_| assessment.as_template);
    let template =
        template.map(|template| RenderedTemplate { content_sid: template.content_sid.clone(), variables });
    let bodies = || assessment.chunks.into_iter().map(|chunk| chunk.body).collect();
    Rendered { r#for: id.to_owned(), chunks: template.is_none().then(bodies), template }
}

impl Preview {
    /// For people.
    pub(crate) fn shown(&self) -> serde_json::Result<String> {
        let mut value = serde_json::to_value(self)?;
        let with_zone = self.next.iter().any(|next| next.zone() != self.next[0].zone());
        let sentences: Vec<String> = self.next.iter().map(|next| next.sentence(with_zone)).collect();
        value["next"] = sentences.into();
        Ok(crate::users_command::lines(&value, ""))
    }
}
