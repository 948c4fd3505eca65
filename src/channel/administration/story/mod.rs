//! What happened with a message, from its webhook to the last word of Twilio's about what was said to it: one list in order, and a verdict in words ahead
//! of it. Nobody's words are in it.

/// What was learned of a send.
mod sends;
/// The steps of a story.
mod steps;
/// What a story is about.
mod subject;
/// What a story comes to, in words.
mod verdict;

use chrono::{DateTime, Utc};
use queue::job_stories::{self, About, AttemptStory, JobStory};
use serde::Serialize;
use sqlx::PgConnection;
use store::delivery_records::{self, CallbackRecord, SendAttemptRecord};
use store::ids::{ChunkId, DeliveryId, MessageId, TurnId, UserId};
use store::message_records::{self, MessageRecord};
use utoipa::ToSchema;

use super::deliveries::{self, OutboundView};
use super::turns::{self, TurnView};
use crate::lanes;

pub use self::sends::once_in_doubt;
pub use self::subject::{StorySubject, UnknownStorySubject};

/// What happened, in order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Story {
    /// What became of it, in a sentence or two.
    pub verdict: String,
    /// What helps, where something does.
    pub remedy: Option<String>,
    /// Whose; null: nobody's, or the user was erased.
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// The messages that it begins with.
    #[schema(value_type = Vec<i64>)]
    pub messages: Vec<MessageId>,
    /// The turns that answered them, the latest last.
    #[schema(value_type = Vec<i64>)]
    pub turns: Vec<TurnId>,
    /// What was said to them, the latest last.
    #[schema(value_type = Vec<Uuid>)]
    pub deliveries: Vec<DeliveryId>,
    /// What happened, in order.
    pub steps: Vec<StoryStep>,
    /// What is not remembered any more.
    pub forgotten: Vec<String>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoryStep {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took; null: it has no length, or has not ended.
    pub took_ms: Option<i64>,
    /// To what it happened.
    pub part: StoryPart,
    /// The number or id of that.
    pub id: String,
    /// What happened.
    pub what: String,
}

/// To what something happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum StoryPart {
    /// A message that somebody wrote.
    Message,
    /// A job of the queue.
    Job,
    /// A run of the agent.
    Turn,
    /// What was to be said to a person at once.
    Delivery,
    /// A part of a delivery.
    Chunk,
}

impl StoryPart {
    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Job => "job",
            Self::Turn => "turn",
            Self::Delivery => "delivery",
            Self::Chunk => "chunk",
        }
    }
}

/// All that is known of what a story is about.
struct Facts {
    messages: Vec<MessageRecord>,
    /// The latest last.
    turns: Vec<TurnView>,
    /// The latest last.
    deliveries: Vec<OutboundView>,
    send_attempts: Vec<SendAttemptRecord>,
    callbacks: Vec<CallbackRecord>,
    jobs: Vec<JobStory>,
    job_attempts: Vec<AttemptStory>,
    now: DateTime<Utc>,
}

/// Tells what happened; `None`: there is no such thing.
pub async fn tell(conn: &mut PgConnection, subject: &StorySubject) -> sqlx::Result<Option<Story>> {
    let Some(members) = subject::resolve(conn, subject).await? else { return Ok(None) };
    let mut messages = message_records::messages(conn, &members.messages).await?;
    messages.reverse();
    let mut turns = Vec::new();
    for id in &members.turns {
        turns.extend(turns::show(conn, *id).await?);
    }
    turns.sort_by_key(|turn| turn.id);
    let mut deliveries = deliveries::views(conn, &members.deliveries).await?;
    deliveries.reverse();
    let chunks: Vec<ChunkId> =
        deliveries.iter().flat_map(|delivery| delivery.chunks.iter().map(|chunk| chunk.id)).collect();
    let send_attempts = delivery_records::attempts(conn, &chunks).await?;
    let callbacks = delivery_records::callbacks(conn, &chunks).await?;
    let people = delivery_records::people(conn, &members.deliveries).await?;
    let jobs = jobs(conn, &messages, &deliveries, &people).await?;
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    let job_attempts = job_stories::attempts(conn, &ids).await?;
    let now = store::clock::now(conn).await?;
    let facts = Facts { messages, turns, deliveries, send_attempts, callbacks, jobs, job_attempts, now };
    Ok(Some(facts.story()))
}

/// The jobs of these messages and parts. A job names what it is about in its payload.
async fn jobs(
    conn: &mut PgConnection,
    messages: &[MessageRecord],
    deliveries: &[OutboundView],
    people: &[(DeliveryId, store::ids::AddressId)],
) -> sqlx::Result<Vec<JobStory>> {
    let mut jobs = Vec::new();
    for message in messages {
        let mut lanes: Vec<String> = message
            .address_id
            .iter()
            .flat_map(|address| [lanes::inbound(*address), lanes::browser(*address)])
            .collect();
        lanes.extend(message.conversation_id.iter().flat_map(|conversation| {
            [lanes::conversation(*conversation), lanes::dashboard_browser(*conversation)]
        }));
        let moments: Vec<_> = std::iter::once(message.received_at).chain(message.accepted_at).collect();
        let payload = serde_json::json!({ "message": message.id });
        let about = About { payload, lanes: &lanes, moments: &moments };
        jobs.extend(job_stories::about(conn, &about).await?);
    }
    for delivery in deliveries {
        let lanes: Vec<String> = people
            .iter()
            .filter(|(id, _)| *id == delivery.id)
            .flat_map(|(_, address)| [lanes::replies(*address), lanes::proactive(*address)])
            .collect();
        for chunk in &delivery.chunks {
            let payload = serde_json::json!({ "chunk": chunk.id });
            let about = About { payload, lanes: &lanes, moments: &[delivery.created_at] };
            jobs.extend(job_stories::about(conn, &about).await?);
        }
    }
    jobs.sort_by_key(|job| job.id);
    jobs.dedup_by_key(|job| job.id);
    Ok(jobs)
}

impl Facts {
    fn story(self) -> Story {
        let (verdict, remedy) = self.verdict();
        Story {
            verdict,
            remedy,
            user: self
                .messages
                .iter()
                .find_map(|message| message.user_id.clone())
                .or_else(|| self.turns.iter().find_map(|turn| turn.user.clone()))
                .or_else(|| self.deliveries.iter().find_map(|delivery| delivery.user.clone())),
            messages: self.messages.iter().map(|message| message.id).collect(),
            turns: self.turns.iter().map(|turn| turn.id).collect(),
            deliveries: self.deliveries.iter().map(|delivery| delivery.id).collect(),
            steps: self.steps(),
            forgotten: self.forgotten(),
        }
    }

    /// What the queue's history has no more: finished jobs are pruned by age, and one that was enqueued long after what it is about is not found.
    fn forgotten(&self) -> Vec<String> {
        let mut forgotten = Vec::new();
        let of_message = |job: &JobStory| job.kind != "send_chunk";
        if self.messages.iter().any(|message| message.outcome != Some(KEYWORD))
            && !self.jobs.iter().any(of_message)
        {
            forgotten.push("no job of the message is found: finished jobs are pruned by age".to_owned());
        }
        if !self.send_attempts.is_empty() && self.jobs.iter().all(of_message) {
            forgotten.push("no job of a chunk is found: finished jobs are pruned by age".to_owned());
        }
        forgotten
    }
}

/// A keyword is obeyed in the transaction of its webhook, without a job.
const KEYWORD: store::messages::MessageOutcome = store::messages::MessageOutcome::Keyword;
