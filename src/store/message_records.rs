//! What people wrote, for administrators: when it came, what became of it, without anybody's words.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::clock;
use crate::delivery_search::LOOKED_AT;
use crate::ids::{AddressId, ConversationId, MessageId, TurnId, UserId};
use crate::messages::{ChannelName, MessageOutcome};
use crate::text_enum::{TextEnum as _, UnknownText};
use crate::turn_records::{AMISS, NumberRange};

/// How far a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// It has no outcome.
    Waiting,
    /// It has this one.
    Ended(MessageOutcome),
}

impl MessageState {
    /// The text that stands for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => WAITING,
            Self::Ended(outcome) => outcome.as_str(),
        }
    }

    /// The text of each, with what it means.
    pub fn meanings() -> impl Iterator<Item = (&'static str, &'static str)> {
        std::iter::once((WAITING, "It has no outcome yet.")).chain(MessageOutcome::MEANINGS.iter().copied())
    }
}

/// The text of a message that has not ended.
const WAITING: &str = "waiting";

/// A text that is no state of a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, {WAITING}")]
pub struct UnknownMessageState(#[from] UnknownText);

impl FromStr for MessageState {
    type Err = UnknownMessageState;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == WAITING {
            return Ok(Self::Waiting);
        }
        Ok(Self::Ended(text.parse::<MessageOutcome>()?))
    }
}

/// Who wrote what is looked for.
#[derive(Clone, Debug)]
pub enum WrittenBy {
    /// Anybody.
    Anybody,
    /// It is in this thread.
    Thread(ConversationId),
    /// This person, linked or not.
    Person(AddressId),
}

/// Which messages; what is `None` does not narrow.
#[derive(Clone, Debug)]
pub struct MessageSearch {
    /// Who wrote them.
    pub writer: WrittenBy,
    /// How far they are.
    pub state: Option<MessageState>,
    /// Received at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Of a lower number.
    pub before: Option<MessageId>,
    /// So many at most.
    pub limit: i64,
}

/// A message that somebody wrote.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct MessageRecord {
    /// Its number.
    pub id: MessageId,
    /// Twilio's id, or the dashboard's.
    pub sid: String,
    /// Where it was written.
    pub channel: ChannelName,
    /// Who wrote it; `None`: it was written in the dashboard.
    pub address_id: Option<AddressId>,
    /// The thread that it is in.
    pub conversation_id: Option<ConversationId>,
    /// Whose conversation it is in; `None`: in none, or the user was erased.
    pub user_id: Option<UserId>,
    /// The phone as it was last spelled; `None`: written in the dashboard, or erased.
    pub address: Option<String>,
    /// When the person wrote it, as far as Twilio tells.
    pub written_at: DateTime<Utc>,
    /// When it reached us.
    pub received_at: DateTime<Utc>,
    /// Its webhook never came; Twilio's list had it.
    pub backfilled: bool,
    /// When the limits let it through.
    pub admitted_at: Option<DateTime<Utc>>,
    /// When it came into its thread, for the agent to see.
    pub accepted_at: Option<DateTime<Utc>>,
    /// The turn that has it.
    pub turn_id: Option<TurnId>,
    /// How it ended; `None`: it has not.
    pub outcome: Option<MessageOutcome>,
    /// Why.
    pub outcome_reason: Option<String>,
    /// When it ended.
    pub outcome_at: Option<DateTime<Utc>>,
    /// When its outcome `failed` gave way to another try.
    pub retried_at: Option<DateTime<Utc>>,
}

/// These messages, the newest first.
pub async fn messages(conn: &mut PgConnection, ids: &[MessageId]) -> sqlx::Result<Vec<MessageRecord>> {
    sqlx::query_as(
        "SELECT m.id, m.sid, m.channel, m.address_id, m.conversation_id, c.user_id,
                (SELECT a.alias FROM channel_address_aliases a WHERE a.address_id = m.address_id ORDER BY a.last_seen_at DESC LIMIT 1) AS address,
                m.written_at, m.received_at, m.backfilled, m.admitted_at, m.accepted_at, m.turn_id, m.outcome, m.outcome_reason, m.outcome_at, m.retried_at
         FROM channel_messages m LEFT JOIN channel_conversations c ON c.id = m.conversation_id
         WHERE m.id = ANY ($1) ORDER BY m.id DESC",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// The message that Twilio, or the dashboard, knows by this id.
pub async fn by_sid(conn: &mut PgConnection, sid: &str) -> sqlx::Result<Option<MessageId>> {
    sqlx::query_scalar("SELECT id FROM channel_messages WHERE sid = $1").bind(sid).fetch_optional(conn).await
}

/// A page of numbers, the newest first, and where the walk ended before its index did.
pub type MessagePage = (Vec<MessageId>, Option<MessageId>);

/// The numbers of messages that fit, the newest first. With a person and a state, the person's newest `LOOKED_AT` messages are looked at.
pub async fn page(conn: &mut PgConnection, search: &MessageSearch) -> sqlx::Result<MessagePage> {
    let range = NumberRange {
        low: match search.since {
            Some(since) => first_message_at(conn, since - AMISS).await?,
            None => 0,
        },
        high: match search.until {
            Some(until) => first_message_at(conn, until + AMISS).await?,
            None => i64::MAX,
        },
    };
    if let (WrittenBy::Person(address), Some(state)) = (&search.writer, search.state) {
        return of_person(conn, search, range, *address, state).await;
    }
    Ok((ids(conn, search, range).await?, None))
}

/// The number of the first message that was received at a moment or later, by halves: messages are numbered in that order, and no index has their times.
async fn first_message_at(conn: &mut PgConnection, moment: DateTime<Utc>) -> sqlx::Result<i64> {
    let first: Option<i64> = sqlx::query_scalar(
        "WITH RECURSIVE search (low, high) AS (
             SELECT (SELECT min(id) FROM channel_messages), (SELECT max(id) FROM channel_messages) + 1
             UNION ALL
             SELECT CASE WHEN p.received_at < $1 THEN p.id + 1 ELSE s.low END, CASE WHEN p.received_at < $1 THEN s.high ELSE s.low + (s.high - s.low) / 2 END
             FROM search s LEFT JOIN LATERAL (
                 SELECT id, received_at FROM channel_messages WHERE id >= s.low + (s.high - s.low) / 2 AND id < s.high ORDER BY id LIMIT 1) AS p ON TRUE
             WHERE s.low < s.high)
         SELECT low FROM search WHERE low >= high LIMIT 1",
    )
    .bind(moment)
    .fetch_optional(conn)
    .await?;
    Ok(first.unwrap_or(0))
}

/// How most messages end.
const ANSWERED: MessageState = MessageState::Ended(MessageOutcome::Answered);

/// Each filter has a statement of its own, which one index answers in order. A message without an outcome is in no turn, or in one that runs.
async fn ids(
    conn: &mut PgConnection,
    search: &MessageSearch,
    range: NumberRange,
) -> sqlx::Result<Vec<MessageId>> {
    let question = match (&search.writer, search.state) {
        (WrittenBy::Anybody, None) => {
            "SELECT id FROM channel_messages WHERE id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5 ORDER BY id DESC LIMIT $2"
        }
        (WrittenBy::Anybody, Some(ANSWERED)) => {
            "SELECT id FROM channel_messages WHERE outcome = 'answered' AND id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5
             ORDER BY id DESC LIMIT $2"
        }
        (WrittenBy::Anybody, Some(MessageState::Waiting)) => {
            "SELECT id FROM (
                 SELECT id, received_at FROM channel_messages WHERE turn_id IS NULL AND outcome IS NULL
                 UNION ALL
                 SELECT m.id, m.received_at
                 FROM channel_turns t CROSS JOIN LATERAL (SELECT id, outcome, received_at FROM channel_messages WHERE turn_id = t.id OFFSET 0) AS m
                 WHERE t.state = 'running' AND m.outcome IS NULL) AS waiting
             WHERE id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5 ORDER BY id DESC LIMIT $2"
        }
        (WrittenBy::Anybody, Some(_)) => {
            "SELECT id FROM channel_messages WHERE outcome = $6 AND outcome <> 'answered' AND id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5
             ORDER BY id DESC LIMIT $2"
        }
        (WrittenBy::Thread(_), None) => {
            "SELECT id FROM channel_messages WHERE conversation_id = $6 AND id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5
             ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (WrittenBy::Thread(_), Some(ANSWERED)) => {
            "SELECT id FROM channel_messages WHERE conversation_id = $6 AND outcome = 'answered' AND id < $1 AND id >= $3 AND received_at >= $4
               AND received_at < $5 ORDER BY conversation_id DESC, id DESC LIMIT $2"
        }
        (WrittenBy::Thread(_), Some(MessageState::Waiting)) => {
            "SELECT id FROM (
                 SELECT id, received_at FROM channel_messages WHERE conversation_id = $6 AND turn_id IS NULL AND outcome IS NULL
                 UNION ALL
                 SELECT m.id, m.received_at
                 FROM channel_turns t CROSS JOIN LATERAL (SELECT id, outcome, received_at FROM channel_messages WHERE turn_id = t.id OFFSET 0) AS m
                 WHERE t.conversation_id = $6 AND t.state = 'running' AND m.outcome IS NULL) AS waiting
             WHERE id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5 ORDER BY id DESC LIMIT $2"
        }
        (WrittenBy::Thread(_), Some(_)) => {
            "SELECT id FROM channel_messages WHERE conversation_id = $6 AND outcome = $7 AND outcome <> 'answered' AND id < $1 AND id >= $3
               AND received_at >= $4 AND received_at < $5 ORDER BY conversation_id DESC, outcome DESC, id DESC LIMIT $2"
        }
        (WrittenBy::Person(_), _) => {
            "SELECT id FROM channel_messages WHERE address_id = $6 AND id < $1 AND id >= $3 AND received_at >= $4 AND received_at < $5
             ORDER BY address_id DESC, id DESC LIMIT $2"
        }
    };
    let mut ids = sqlx::query_scalar(question)
        .bind(search.before.map_or(i64::MAX, |id| id.0).min(range.high))
        .bind(search.limit)
        .bind(range.low)
        .bind(search.since.unwrap_or(DateTime::UNIX_EPOCH))
        .bind(search.until.unwrap_or(clock::FAR_OFF));
    ids = match search.writer {
        WrittenBy::Anybody => ids,
        WrittenBy::Thread(conversation) => ids.bind(conversation),
        WrittenBy::Person(address) => ids.bind(address),
    };
    match search.state {
        None | Some(ANSWERED | MessageState::Waiting) => ids,
        Some(state) => ids.bind(state.as_str()),
    }
    .fetch_all(conn)
    .await
}

async fn of_person(
    conn: &mut PgConnection,
    search: &MessageSearch,
    range: NumberRange,
    address: AddressId,
    state: MessageState,
) -> sqlx::Result<MessagePage> {
    let rows: Vec<(MessageId, bool, bool)> = sqlx::query_as(
        "SELECT id, fits, place = $8 AS is_end FROM (
             SELECT id, row_number() OVER (ORDER BY id DESC) AS place, coalesce(outcome, 'waiting') = $7 AND received_at >= $4 AND received_at < $5 AS fits
             FROM (SELECT id, outcome, received_at FROM channel_messages WHERE address_id = $6 AND id < $1 AND id >= $3
                   ORDER BY address_id DESC, id DESC LIMIT $8) AS newest
         ) AS judged WHERE fits OR place = $8 ORDER BY id DESC LIMIT $2",
    )
    .bind(search.before.map_or(i64::MAX, |id| id.0).min(range.high))
    .bind(search.limit)
    .bind(range.low)
    .bind(search.since.unwrap_or(DateTime::UNIX_EPOCH))
    .bind(search.until.unwrap_or(clock::FAR_OFF))
    .bind(address)
    .bind(state.as_str())
    .bind(LOOKED_AT)
    .fetch_all(conn)
    .await?;
    let end = rows.iter().find(|(.., is_end)| *is_end).map(|(id, ..)| *id);
    Ok((rows.into_iter().filter(|(_, fits, _)| *fits).map(|(id, ..)| id).collect(), end))
}

/// How many messages came in each of the last sixty minutes, the oldest first; of the latest ten thousand.
pub async fn by_minute(conn: &mut PgConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query_scalar(
        "SELECT coalesce(number, 0) FROM generate_series(59, 0, -1) AS ago
         LEFT JOIN (SELECT floor(extract(epoch FROM now() - received_at)::DOUBLE PRECISION / 60)::INTEGER AS minute, count(*) AS number
                    FROM (SELECT received_at FROM channel_messages ORDER BY id DESC LIMIT 10000) AS latest
                    WHERE received_at > now() - interval '1 hour' GROUP BY 1) AS minutes ON minute = ago
         ORDER BY ago DESC",
    )
    .fetch_all(conn)
    .await
}

/// About how many messages came in each of the last forty-eight half hours, the oldest first, and whether that is an estimate: where a day has more than
/// five thousand, a number out of each of five thousand stretches is looked up, at random, and stands for its stretch. For a caller that asks once a minute
/// at most.
pub async fn by_half_hour(conn: &mut PgConnection) -> sqlx::Result<Vec<(i64, bool)>> {
    sqlx::query_as(
        "WITH RECURSIVE halves AS (
             SELECT coalesce((SELECT min(id) FROM channel_messages), 1) AS low, coalesce((SELECT max(id) FROM channel_messages), 0) AS high
             UNION ALL
             SELECT CASE WHEN look.is_old THEN look.middle + 1 ELSE halves.low END, CASE WHEN look.is_old THEN halves.high ELSE look.middle END
             FROM halves CROSS JOIN LATERAL (
                 SELECT (halves.low + halves.high) / 2 AS middle,
                        (SELECT m.received_at < now() - interval '1 day' FROM channel_messages m WHERE m.id >= (halves.low + halves.high) / 2 ORDER BY m.id LIMIT 1) AS is_old) AS look
             WHERE halves.low < halves.high),
         day AS (SELECT first, last, greatest((last - first) / 5000 + 1, 1) AS step
                 FROM (SELECT (SELECT max(low) FROM halves) AS first, coalesce((SELECT max(id) FROM channel_messages), 0) AS last) AS ends),
         numbers AS MATERIALIZED (SELECT stretch + floor(random() * day.step)::BIGINT AS number, day.step
             FROM day CROSS JOIN generate_series(day.first, day.last, day.step) AS stretch),
         looked_up AS (SELECT found.received_at, step FROM numbers
             CROSS JOIN LATERAL (SELECT m.received_at FROM channel_messages m WHERE m.id = number LIMIT 1) AS found)
         SELECT coalesce(sum(step), 0)::BIGINT, (SELECT step > 1 FROM day) FROM generate_series(47, 0, -1) AS ago
         LEFT JOIN looked_up ON received_at > now() - interval '1 day' AND floor(extract(epoch FROM now() - received_at) / 1800) = ago
         GROUP BY ago ORDER BY ago DESC",
    )
    .fetch_all(conn)
    .await
}
