//! `cloudybot deliveries …`: what left, and what did not, for an administrator at a terminal.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use channel::administration::deliveries::{
    self, DeliveryDetail, DeliveryFilter, OutboundView, TwilioErrorView, UNDELIVERED, UnknownStates,
};
use channel::administration::story::once_in_doubt;
use channel::retries::Answered;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use queue::Queue;
use store::deliveries::{DeliveryState, Purpose};
use store::ids::{DeliveryId, UserId};
use store::send_attempts::SendOutcome;
use uuid::Uuid;

use super::choices;
use super::output::{UNANSWERED, moment, print, table};
use super::resends::Resender;
use crate::app;
use crate::config::Config;
use crate::database::Database;

#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// The newest deliveries, and what the codes of those that failed mean
    List {
        #[command(flatten)]
        filter: DeliveryArgs,
        /// Older than this delivery; the next page of a list
        #[arg(long, value_name = "DELIVERY")]
        before: Option<Uuid>,
        /// How many at most
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..=500))]
        limit: i64,
    },
    /// One delivery: its parts, each attempt to send one, what Twilio reported
    Show {
        /// The delivery's id
        id: Uuid,
    },
    /// Send anew what a delivery did not, by a delivery of its own, under all checks; or all that fit and were not sent anew yet, the oldest first; without --since those of the last day
    Resend {
        /// The delivery's id; without it, a filter is needed
        #[arg(conflicts_with_all = ["user", "number", "state", "reason", "purpose", "error_code", "since", "until"])]
        id: Option<Uuid>,
        #[command(flatten)]
        filter: DeliveryArgs,
        /// Do not ask before all that fit are sent anew
        #[arg(long)]
        yes: bool,
        /// Only say how many fit
        #[arg(long, conflicts_with = "id")]
        dry_run: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct DeliveryArgs {
    /// Of this user
    #[arg(long)]
    user: Option<UserId>,
    /// To this number, in any spelling with its country's code
    #[arg(long, conflicts_with = "user")]
    number: Option<String>,
    /// Where it stands
    #[arg(long, value_parser = choices::one_of(choices::with_meanings(deliveries::state_words()), states))]
    state: Option<States>,
    /// The reason begins like this, quota say
    #[arg(long)]
    reason: Option<String>,
    /// What it is
    #[arg(long, value_parser = choices::text_of::<Purpose>())]
    purpose: Option<Purpose>,
    /// A part of it has this error code of Twilio's
    #[arg(long, value_name = "CODE")]
    error_code: Option<i32>,
    /// Planned at this moment or later, 2026-11-29T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<DateTime<Utc>>,
    /// Planned before this moment
    #[arg(long, value_name = "TIME")]
    until: Option<DateTime<Utc>>,
}

/// One state, or several under one word.
#[derive(Clone, Debug)]
struct States(Vec<DeliveryState>);

fn states(word: &str) -> Result<States, UnknownStates> {
    deliveries::states(word).map(States)
}

impl From<DeliveryArgs> for DeliveryFilter {
    fn from(args: DeliveryArgs) -> Self {
        Self {
            user: args.user,
            number: args.number,
            states: args.state.map(|States(states)| states).unwrap_or_default(),
            reason: args.reason,
            purpose: args.purpose,
            error_code: args.error_code,
            since: args.since,
            until: args.until,
            before: None,
        }
    }
}

/// Does what was asked; prints a table, or JSON for a program.
pub(crate) async fn run(config: &Config, command: DeliveriesCommand, as_json: bool) -> anyhow::Result<()> {
    let database = Database::open_answering(config).await?;
    let pg = database.pool(2, Duration::from_secs(10));
    match command {
        DeliveriesCommand::List { filter, before, limit } => {
            let filter = DeliveryFilter { before: before.map(DeliveryId), ..filter.into() };
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let list = deliveries::list(&mut conn, &filter, limit).await?;
            print(as_json, &list, || {
                let mut text = table(&HEAD, list.deliveries.iter().map(row));
                text += &meanings(list.deliveries.iter().filter_map(OutboundView::error));
                text + &next(list.next.map(|id| id.to_string()), list.deliveries.len(), limit)
            })
        }
        DeliveriesCommand::Show { id } => {
            let mut conn = pg.acquire().await.context(UNANSWERED)?;
            let shown = deliveries::show(&mut conn, DeliveryId(id)).await.context(UNANSWERED)?;
            let shown = shown.with_context(|| format!("there is no delivery {id}"))?;
            print(as_json, &shown, || detail(&shown))
        }
        DeliveriesCommand::Resend { id, filter, yes, dry_run } => {
            let settings =
                app::settings(config, config.keys.server.listen, app::secret_keys(config, &pg).await?);
            let resender =
                Resender { queue: Queue::open(pg.clone(), config.keys.queue.clone()), pg, settings };
            let done = match id {
                Some(id) => resender.one(DeliveryId(id), as_json).await,
                None if dry_run => resender.count(filter.into(), as_json).await,
                None => resender.all(filter.into(), yes, as_json).await,
            };
            resender.queue.flush_notifications().await;
            done
        }
    }
}

/// Says what was done; what was refused is an error.
pub(super) fn tell(as_json: bool, answered: Answered) -> anyhow::Result<()> {
    match answered {
        Answered::Retried(done) => {
            print(as_json, &serde_json::json!({ "done": done }), || format!("done: {done}\n"))
        }
        Answered::Refused(reason) => anyhow::bail!("refused: {reason}"),
    }
}

/// How a list goes on.
pub(super) fn next(next: Option<String>, shown: usize, limit: i64) -> String {
    match next {
        None => String::new(),
        Some(next) if i64::try_from(shown).is_ok_and(|shown| shown < limit) => {
            format!("Among the newest 5,000 no more fit; older ones: --before {next}\n")
        }
        Some(next) => format!("The next page: --before {next}\n"),
    }
}

const HEAD: [&str; 8] = ["DELIVERY", "PLANNED", "USER", "TO", "PURPOSE", "STATE", "CODE", "REASON"];

fn row(delivery: &OutboundView) -> Vec<String> {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    vec![
        delivery.id.to_string(),
        moment(delivery.created_at),
        delivery.user.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
        or_dash(&delivery.to),
        delivery.purpose.to_string(),
        match delivery.resent_as {
            Some(_) => format!("{}, resent", delivery.state),
            None => delivery.state.to_string(),
        },
        delivery.error().map_or_else(|| "-".to_owned(), |error| error.code.to_string()),
        or_dash(&delivery.reason),
    ]
}

/// What the codes of a list mean, each once.
pub(super) fn meanings<'a>(errors: impl Iterator<Item = &'a TwilioErrorView>) -> String {
    let mut errors: Vec<&TwilioErrorView> = errors.collect();
    errors.sort_by_key(|error| error.code);
    errors.dedup_by_key(|error| error.code);
    errors.iter().map(|error| format!("{}: {} {}\n", error.code, error.cause, error.remedy)).collect()
}

fn detail(shown: &DeliveryDetail) -> String {
    let OutboundView { id, user, to, purpose, state, reason, turn, message, schedule, .. } = &shown.delivery;
    let mut text = String::new();
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "{name:<12} {value}");
        }
    };
    let delivery = &shown.delivery;
    line("delivery", Some(id.to_string()));
    line("user", user.as_ref().map(ToString::to_string));
    line("to", to.clone());
    line("purpose", Some(purpose.to_string()));
    line("state", Some(state.to_string()));
    line("reason", reason.clone());
    line("turn", turn.map(|turn| turn.to_string()));
    line("message", message.map(|message| message.to_string()));
    line("schedule", schedule.as_ref().map(ToString::to_string));
    line("resent from", delivery.resent_from.map(|id| id.to_string()));
    line("resent as", delivery.resent_as.map(|id| id.to_string()));
    line("planned", Some(moment(delivery.created_at)));
    line("waits until", delivery.waits_until.map(moment));
    line("expires", Some(moment(delivery.expires_at)));
    line("closed", delivery.closed_at.map(moment));
    for chunk in &delivery.chunks {
        let flags = format!("meterProactive {}, proactive {}", chunk.meter_proactive, chunk.proactive);
        let sid = chunk.sid.as_deref().unwrap_or("no SID");
        line(
            "part",
            Some(format!("{} (chunk {}): {}, {sid}, {flags}", chunk.index + 1, chunk.id, chunk.state)),
        );
        line("", chunk.reason.clone());
        line(
            "",
            chunk.error.as_ref().map(|error| format!("{}: {} {}", error.code, error.cause, error.remedy)),
        );
    }
    for attempt in &shown.send_attempts {
        let outcome =
            attempt.outcome.map_or_else(|| "under way, or its process died".to_owned(), |is| is.to_string());
        let reason = match (attempt.outcome, attempt.reason.as_deref()) {
            (Some(SendOutcome::Accepted), Some(reason)) => once_in_doubt(reason),
            (_, Some(reason)) => format!(": {reason}"),
            (_, None) => String::new(),
        };
        let at = moment(attempt.started_at);
        line(
            "attempt",
            Some(format!("{at}  chunk {} attempt {}: {outcome}{reason}", attempt.chunk, attempt.attempt)),
        );
    }
    for callback in &shown.callbacks {
        let code = callback.error.as_ref().map(|error| format!(" {}", error.code)).unwrap_or_default();
        let at = moment(callback.received_at);
        line("callback", Some(format!("{at}  chunk {}: {}{code}", callback.chunk, callback.status)));
    }
    if UNDELIVERED.contains(&delivery.state) && delivery.resent_as.is_none() {
        line("to resend", Some(format!("`cloudybot deliveries resend {id}` sends it anew, or says why not")));
    }
    text
}
