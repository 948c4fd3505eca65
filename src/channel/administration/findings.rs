//! What was found by looking: how it stands with one thing, how urgent that is, and what helps. `cloudybot status`, `cloudybot check` and
//! `/admin/api/status` tell the same.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

/// How much a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// People are not served: somebody must act now.
    Now,
    /// Somebody must act, and a while later will do.
    Soon,
    /// Nobody must act; worth knowing.
    Note,
    /// All is well.
    Fine,
}

impl Urgency {
    /// Whether a person is needed.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        matches!(self, Self::Now | Self::Soon)
    }

    /// As a line begins with it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Now => "NOW",
            Self::Soon => "SOON",
            Self::Note => "note",
            Self::Fine => "ok",
        }
    }
}

/// What a finding is about. Of equal urgency the former stands first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// The settings of this process.
    Configuration,
    /// Whether the database is there and takes writes.
    Database,
    /// The processes that work.
    Workers,
    /// Whether Twilio takes what we send.
    Sender,
    /// Twilio's answer to our credentials.
    Twilio,
    /// Where Twilio's webhooks arrive.
    Webhooks,
    /// Rules at Twilio that change how it calls our webhooks.
    WebhookRules,
    /// What WhatsApp says of the templates that schedules name.
    Templates,
    /// What WhatsApp's terms ask of a deployment.
    Compliance,
    /// The product's own service, which is told what becomes of deliveries.
    Callbacks,
    /// The operator's own service, which is told of alerts.
    AlertWebhook,
    /// The agent.
    Agent,
    /// Paused pools and kinds.
    Pauses,
    /// Jobs that gave up.
    DeadJobs,
    /// Jobs of kinds that no process knows.
    UnknownKinds,
    /// Sends of which nobody knows whether they arrived.
    InDoubt,
    /// Messages that did not arrive.
    Undelivered,
    /// What is due and waits.
    Backlog,
    /// Alerts that nobody has acknowledged.
    Alerts,
    /// Operators' cron duties.
    Schedules,
    /// Messages whose webhook never came.
    Backfill,
    /// People who are being forgotten.
    Erasures,
    /// People's WhatsApp ids.
    WhatsappIds,
    /// The keys behind hashes.
    SecretKeys,
    /// Users' allowances.
    Allowances,
    /// This machine's clock beside the database's.
    Clock,
    /// The rules of time zones.
    TimeZones,
}

impl Subject {
    /// As a line names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Database => "database",
            Self::Workers => "workers",
            Self::Sender => "sender",
            Self::Twilio => "twilio",
            Self::Webhooks => "webhook address",
            Self::WebhookRules => "webhook rules",
            Self::Templates => "templates",
            Self::Compliance => "compliance",
            Self::Callbacks => "callbacks",
            Self::AlertWebhook => "alert webhook",
            Self::Agent => "agent",
            Self::Pauses => "pauses",
            Self::DeadJobs => "dead jobs",
            Self::UnknownKinds => "unknown kinds",
            Self::InDoubt => "in doubt",
            Self::Undelivered => "undelivered",
            Self::Backlog => "backlog",
            Self::Alerts => "alerts",
            Self::Schedules => "schedules",
            Self::Backfill => "backfill",
            Self::Erasures => "erasures",
            Self::WhatsappIds => "whatsapp ids",
            Self::SecretKeys => "secret keys",
            Self::Allowances => "allowances",
            Self::Clock => "clock",
            Self::TimeZones => "time zones",
        }
    }
}

/// What tells a finding from others of its subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// Nothing.
    #[default]
    General,
    /// An agent answers nobody; `agent` is which.
    AgentOutage,
}

/// How it stands with one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// How much a person is needed.
    pub urgency: Urgency,
    /// What it is about.
    pub subject: Subject,
    /// What of it.
    pub kind: FindingKind,
    /// The agent that answers nobody, as its outages name it; null: it is about none.
    pub agent: Option<String>,
    /// How it stands, in words.
    pub text: String,
    /// Since when; null: that is not known, or no question.
    pub since: Option<DateTime<Utc>>,
    /// When what it tells was seen last, where others had seen it before; null: it was looked at just now.
    pub seen_at: Option<DateTime<Utc>>,
    /// What helps, where possible a command; null: nothing has to be done.
    pub remedy: Option<String>,
}

impl Finding {
    /// All is well with this.
    #[must_use]
    pub fn fine(subject: Subject, text: impl Into<String>) -> Self {
        Self {
            urgency: Urgency::Fine,
            subject,
            kind: FindingKind::General,
            agent: None,
            text: text.into(),
            since: None,
            seen_at: None,
            remedy: None,
        }
    }

    /// Something that a person should know of, and what helps.
    #[must_use]
    pub fn of(
        urgency: Urgency,
        subject: Subject,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { urgency, remedy: Some(remedy.into()), ..Self::fine(subject, text) }
    }

    /// It is an outage of this agent.
    #[must_use]
    pub fn outage_of(self, agent: impl Into<String>) -> Self {
        Self { kind: FindingKind::AgentOutage, agent: Some(agent.into()), ..self }
    }

    /// Whether it is an outage of this agent.
    #[must_use]
    pub fn is_outage_of(&self, agent: &str) -> bool {
        self.kind == FindingKind::AgentOutage && self.agent.as_deref() == Some(agent)
    }

    /// What it tells of is over, and what is left of it to do is not urgent.
    pub fn is_past(&mut self) {
        if self.urgency == Urgency::Now {
            self.urgency = Urgency::Soon;
            self.text = format!("it works again; before, {}", self.text);
            self.remedy = self.remedy.take().map(|remedy| {
                match remedy.rfind('`').and_then(|end| remedy[..end].rfind('`')) {
                    Some(last_command) => remedy[last_command..].to_owned(),
                    None => remedy,
                }
            });
        }
    }

    /// It has been so since then.
    #[must_use]
    pub fn since(self, since: impl Into<Option<DateTime<Utc>>>) -> Self {
        Self { since: since.into(), ..self }
    }

    /// It was seen then, and not looked at now.
    #[must_use]
    pub fn seen(self, at: impl Into<Option<DateTime<Utc>>>) -> Self {
        Self { seen_at: at.into(), ..self }
    }
}

impl fmt::Display for Finding {
    /// A line, with what helps on the next one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<6} {:<16} {}", self.urgency.as_str(), self.subject.as_str(), self.text)?;
        if let Some(since) = self.since {
            write!(f, ", since {}", since.format("%Y-%m-%d %H:%M:%SZ"))?;
        }
        if let Some(seen) = self.seen_at {
            write!(f, ", last seen {}", seen.format("%Y-%m-%d %H:%M:%SZ"))?;
        }
        if let Some(remedy) = &self.remedy {
            write!(f, "\n{:<6} {:<16} → {remedy}", "", "")?;
        }
        Ok(())
    }
}

/// Puts what is most urgent first.
pub fn sort(findings: &mut [Finding]) {
    findings.sort_by_key(|finding| (finding.urgency, finding.subject));
}

/// Whether any of these needs a person.
#[must_use]
pub fn need_a_person(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.urgency.needs_a_person())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_is_past_the_last_command_is_left_to_do() {
        let mut past =
            Finding::of(Urgency::Now, Subject::Agent, "nobody is there", "`check` it; then `turns retry`");

        past.is_past();

        assert_eq!((past.urgency, past.remedy.as_deref()), (Urgency::Soon, Some("`turns retry`")));
    }

    #[test]
    fn an_outage_is_known_by_its_agent_and_not_by_its_words() {
        let outage =
            Finding::of(Urgency::Now, Subject::Agent, "some words", "`check`").outage_of("gateway main");
        let other = Finding::of(Urgency::Now, Subject::Agent, "gateway main answers nobody", "`check`");

        assert!(outage.is_outage_of("gateway main") && !outage.is_outage_of("main"));
        assert!(!other.is_outage_of("gateway main"));
    }

    #[test]
    fn what_is_most_urgent_stands_first_with_its_remedy_below() {
        let mut findings = vec![
            Finding::fine(Subject::Database, "takes writes"),
            Finding::of(Urgency::Soon, Subject::Alerts, "1 alert", "look"),
            Finding::of(Urgency::Now, Subject::Workers, "no process works", "start one")
                .since(DateTime::UNIX_EPOCH),
        ];

        sort(&mut findings);

        assert_eq!(
            findings.iter().map(|finding| finding.subject).collect::<Vec<_>>(),
            [Subject::Workers, Subject::Alerts, Subject::Database]
        );
        assert!(need_a_person(&findings) && !need_a_person(&findings[2..]));
        assert_eq!(
            findings[0].to_string(),
            "NOW    workers          no process works, since 1970-01-01 00:00:00Z\n                        → start one"
        );
    }
}
