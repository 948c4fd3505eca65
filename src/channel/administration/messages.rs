//! What people wrote and what it came to, for an administrator, without anybody's words.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::attachments::{Attachment, AttachmentState};
use store::delivery_records;
use store::ids::{DeliveryId, MessageId, TurnId, UserId};
use store::message_records::{self, MessageRecord, MessageSearch, MessageState, WrittenBy};
use store::messages::{ChannelName, MessageOutcome};
use utoipa::ToSchema;

use super::deliveries::{self, ListError, OutboundView};
use super::fate::DeliveryFate;
use super::people::{self, Writers};

/// Which messages; what is `None` does not narrow.
#[derive(Clone, Debug, Default)]
pub struct MessageFilter {
    /// In the thread of this user.
    pub user: Option<UserId>,
    /// From this number, in any spelling, linked or not.
    pub number: Option<String>,
    /// How far they are.
    pub state: Option<MessageState>,
    /// Received at this moment or later.
    pub since: Option<DateTime<Utc>>,
    /// Received before this moment.
    pub until: Option<DateTime<Utc>>,
    /// Of a lower number.
    pub before: Option<MessageId>,
}

/// A page of messages, the newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageList {
    pub messages: Vec<MessageView>,
    /// `before` of the next page; null: there is none. Where it is set beside fewer messages than were asked for, the newest 5,000 of this number have no
    /// more that fit, and older ones were not looked at.
    #[schema(value_type = Option<i64>)]
    pub next: Option<MessageId>,
}

/// A message that somebody wrote.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WrittenMessage)]
pub struct MessageView {
    #[schema(value_type = i64)]
    pub id: MessageId,
    /// Twilio's id, or the dashboard's.
    pub sid: String,
    /// Where it was written.
    pub channel: ChannelName,
    /// null: it is in nobody's conversation.
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// Its writer's number without its middle; null: it was written in the dashboard.
    pub from: Option<String>,
    pub received_at: DateTime<Utc>,
    /// Its webhook never came; Twilio's list had it.
    pub backfilled: bool,
    /// The turn that answers it.
    #[schema(value_type = Option<i64>)]
    pub turn: Option<TurnId>,
    /// How it ended; null: it has not.
    pub outcome: Option<MessageOutcome>,
    /// Why.
    pub reason: Option<String>,
    /// What became of what was said to it: the turn's reply, or a notice; null: nothing is to be sent to a phone.
    pub delivery: Option<DeliveryFate>,
    /// Its files, as far as a turn has needed them.
    pub attachments: Vec<AttachmentView>,
}

impl MessageView {
    /// How far it is.
    #[must_use]
    pub fn state(&self) -> MessageState {
        self.outcome.map_or(MessageState::Waiting, MessageState::Ended)
    }
}

/// A file that came with a message.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WrittenFile)]
pub struct AttachmentView {
    pub index: i32,
    /// What its writer says it is.
    pub content_type: String,
    /// What came of it.
    pub state: AttachmentState,
    pub size_bytes: Option<i64>,
    /// Why it could not be shown.
    pub reason: Option<String>,
}

impl From<Attachment> for AttachmentView {
    fn from(attachment: Attachment) -> Self {
        let Attachment { index, content_type, state, size_bytes, reason, .. } = attachment;
        Self { index, content_type, state, size_bytes, reason }
    }
}

/// The newest messages that fit.
pub async fn list(
    conn: &mut PgConnection,
    filter: &MessageFilter,
    limit: i64,
) -> Result<MessageList, ListError> {
    let writers = match people::writers(conn, filter.user.as_ref(), filter.number.as_deref()).await? {
        Writers::All => vec![WrittenBy::Anybody],
        Writers::Thread(conversation) => vec![WrittenBy::Thread(conversation)],
        Writers::People(addresses) => addresses.into_iter().map(WrittenBy::Person).collect(),
        Writers::Nobody => Vec::new(),
    };
    let (mut ids, mut floor) = (Vec::new(), None);
    for writer in writers {
        let MessageFilter { state, since, until, before, .. } = *filter;
        let search = MessageSearch { writer, state, since, until, before, limit: limit + 1 };
        let (found, end) = message_records::page(conn, &search).await?;
        ids.extend(found);
        floor = floor.max(end);
    }
    ids.sort_unstable_by(|one: &MessageId, other| other.cmp(one));
    ids.retain(|id| floor.is_none_or(|floor| *id >= floor));
    let limit = usize::try_from(limit).unwrap_or(0);
    let next = if ids.len() > limit { ids.get(limit.saturating_sub(1)).copied() } else { floor };
    ids.truncate(limit);
    Ok(MessageList { messages: views(conn, &ids).await?, next })
}

/// These messages, the newest first.
pub async fn views(conn: &mut PgConnection, ids: &[MessageId]) -> sqlx::Result<Vec<MessageView>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let records = message_records::messages(conn, ids).await?;
    let mut attachments = store::attachments::of_messages(conn, ids).await?;
    let turns: Vec<TurnId> = records.iter().filter_map(|record| record.turn_id).collect();
    let of_turns = delivery_records::of_turns(conn, &turns).await?;
    let notices = delivery_records::of_messages(conn, ids).await?;
    let delivery_ids: Vec<DeliveryId> =
        of_turns.iter().map(|(_, id)| *id).chain(notices.iter().map(|(_, id)| *id)).collect();
    let deliveries = deliveries::views(conn, &delivery_ids).await?;
    let view = |record: MessageRecord| {
        let of_turn = of_turns.iter().find(|(turn, _)| Some(*turn) == record.turn_id).map(|(_, id)| *id);
        let notice = notices.iter().find(|(message, _)| *message == record.id).map(|(_, id)| *id);
        let delivery = of_turn.or(notice).and_then(|id| find(&deliveries, id)).map(DeliveryFate::of);
        let own = attachments.extract_if(.., |file| file.message_id == record.id).map(AttachmentView::from);
        MessageView {
            attachments: own.collect(),
            id: record.id,
            sid: record.sid,
            channel: record.channel,
            user: record.user_id,
            from: record.address.as_deref().map(twilio::address::masked),
            received_at: record.received_at,
            backfilled: record.backfilled,
            turn: record.turn_id,
            outcome: record.outcome,
            reason: record.outcome_reason,
            delivery,
        }
    };
    Ok(records.into_iter().map(view).collect())
}

fn find(deliveries: &[OutboundView], id: DeliveryId) -> Option<&OutboundView> {
    deliveries.iter().find(|delivery| delivery.id == id)
}
