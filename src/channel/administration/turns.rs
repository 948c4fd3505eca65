//! Runs of the agent, each with its calls and what became of its reply, for an administrator.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::apologies::NoApology;
use store::delivery_records;
use store::ids::{DeliveryId, MessageId, ScheduleName, TurnId, UserId};
use store::messages::ChannelName;
use store::turn_records::{self, CallRecord, TurnRecord, TurnSearch};
use store::turns::TurnState;
use store::withheld::WithheldKind;
use utoipa::ToSchema;

use super::deliveries::{self, ListError};
use super::fate::DeliveryFate;
use super::people::{self, Writers};

/// Which turns; what is `None` does not narrow.
#[derive(Clone, Debug, Default)]
pub struct TurnFilter {
    /// Of this user.
    pub user: Option<UserId>,
    /// Of the user who has this number, in any spelling, or had it last.
    pub number: Option<String>,
    /// In this state.
    pub state: Option<TurnState>,
    /// Begun at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Begun before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Of a lower number.
    pub before: Option<TurnId>,
}

/// A page of turns, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnList {
    pub turns: Vec<TurnView>,
    /// `before` of the next page; null: there is none.
    #[schema(value_type = Option<i64>)]
    pub next: Option<TurnId>,
}

/// A run of the agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TurnView {
    #[schema(value_type = i64)]
    pub id: TurnId,
    /// null: the user was erased.
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// Where it is answered.
    pub channel: ChannelName,
    /// How far it is.
    pub state: TurnState,
    /// Who was asked.
    pub agent: String,
    /// The schedule that asked; null: somebody wrote.
    #[schema(value_type = Option<String>)]
    pub schedule: Option<ScheduleName>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    /// From the first call to the end.
    pub latency_ms: Option<i64>,
    /// What its answer held that is not for a person, and went to nobody.
    pub withheld: Vec<WithheldKind>,
    /// Why it failed.
    pub error: Option<String>,
    /// Why nobody apologised though it failed: `retried`, it was tried again by hand; `same_outage`, the person had read an apology since the agent last
    /// answered.
    pub no_apology: Option<NoApology>,
    /// Its calls of the agent that count. One that began no run, because the gateway was away or wanted to be left alone, does not.
    pub runs: i32,
    /// When the person was told that it takes longer, or was not since they had read an apology in the same outage of the agent; null: not at all.
    pub told_at: Option<DateTime<Utc>>,
    /// The agent is left alone until then; null: it is at work, or the turn has ended.
    pub ask_again_at: Option<DateTime<Utc>>,
    /// The failed turn whose messages it answers; null: it is nobody's successor.
    #[schema(value_type = Option<i64>)]
    pub retry_of: Option<TurnId>,
    /// The turn that answers its messages once more.
    #[schema(value_type = Option<i64>)]
    pub retried_as: Option<TurnId>,
    /// The messages it answers.
    #[schema(value_type = Vec<i64>)]
    pub messages: Vec<MessageId>,
    /// What became of its reply, or of the apology; null: nothing is to be sent to a phone.
    pub delivery: Option<DeliveryFate>,
    /// Its calls of the agent; a second one after a crash or a failure.
    #[serde(rename = "attempts")]
    pub calls: Vec<AgentCallView>,
}

/// A call of the agent.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = AgentCall)]
pub struct AgentCallView {
    #[serde(rename = "attempt")]
    pub call: i32,
    /// How often the agent was asked under this number: more than once while no run began. The times and the error are those of the latest.
    pub tries: i32,
    pub started_at: DateTime<Utc>,
    /// null: under way, or its process died.
    pub ended_at: Option<DateTime<Utc>>,
    pub latency_ms: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
}

impl From<CallRecord> for AgentCallView {
    fn from(record: CallRecord) -> Self {
        let CallRecord { call, tries, started_at, ended_at, error, .. } = record;
        Self { call, tries, started_at, ended_at, latency_ms: took_ms(started_at, ended_at), error }
    }
}

fn took_ms(started_at: DateTime<Utc>, ended_at: Option<DateTime<Utc>>) -> Option<i64> {
    ended_at.map(|ended_at| TimeDelta::num_milliseconds(&(ended_at - started_at)))
}

/// The newest turns that fit.
pub async fn list(conn: &mut PgConnection, filter: &TurnFilter, limit: i64) -> Result<TurnList, ListError> {
    let conversation = match people::thread(conn, filter.user.as_ref(), filter.number.as_deref()).await? {
        Writers::Thread(conversation) => Some(conversation),
        Writers::All => None,
        Writers::People(_) | Writers::Nobody => return Ok(TurnList { turns: Vec::new(), next: None }),
    };
    let TurnFilter { state, since, until, before, .. } = *filter;
    let filter = TurnSearch { conversation, state, since, until, before, limit: limit + 1 };
    let mut records = turn_records::turns(conn, &filter).await?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let is_cut = records.len() > limit;
    records.truncate(limit);
    let next = records.last().map(|turn| turn.id).filter(|_| is_cut);
    Ok(TurnList { turns: of_records(conn, records).await?, next })
}

/// A turn; `None`: there is none.
pub async fn show(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<TurnView>> {
    let records = turn_records::turns_by_id(conn, &[id]).await?;
    Ok(of_records(conn, records).await?.pop())
}

async fn of_records(conn: &mut PgConnection, records: Vec<TurnRecord>) -> sqlx::Result<Vec<TurnView>> {
    let ids: Vec<TurnId> = records.iter().map(|turn| turn.id).collect();
    let mut calls = turn_records::calls(conn, &ids).await?;
    let of_turns = delivery_records::of_turns(conn, &ids).await?;
    let delivery_ids: Vec<DeliveryId> = of_turns.iter().map(|(_, id)| *id).collect();
    let deliveries = deliveries::views(conn, &delivery_ids).await?;
    let view = |record: TurnRecord| {
        let own = calls.extract_if(.., |call| call.turn_id == record.id);
        let delivery = of_turns.iter().find(|(turn, _)| *turn == record.id).map(|(_, id)| *id);
        TurnView {
            calls: own.map(AgentCallView::from).collect(),
            delivery: delivery
                .and_then(|id| deliveries.iter().find(|delivery| delivery.id == id))
                .map(DeliveryFate::of),
            id: record.id,
            user: record.user_id,
            channel: record.channel,
            state: record.state,
            agent: record.agent,
            schedule: record.schedule,
            started_at: record.started_at,
            finished_at: record.finished_at,
            latency_ms: took_ms(record.started_at, record.finished_at),
            withheld: record.withheld,
            error: record.error,
            no_apology: record.no_apology,
            runs: record.runs,
            told_at: record.told_at,
            ask_again_at: record.ask_again_at,
            retry_of: record.retry_of,
            retried_as: record.retried_as,
            messages: record.message_ids,
        }
    };
    Ok(records.into_iter().map(view).collect())
}
