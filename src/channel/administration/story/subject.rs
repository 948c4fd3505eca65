//! What a story is about, and all that belongs to it.

use std::str::FromStr;

use sqlx::PgConnection;
use store::delivery_records;
use store::ids::{ChunkId, DeliveryId, MessageId, TurnId};
use store::message_records::{MessageSearch, WrittenBy};
use store::{message_records, turn_records};

/// What somebody asks about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorySubject {
    /// A message, by its number.
    Message(MessageId),
    /// A message, or a part of a delivery, by Twilio's id; or a message by the dashboard's.
    Sid(String),
    /// A delivery.
    Delivery(DeliveryId),
    /// A turn.
    Turn(TurnId),
    /// A part of a delivery.
    Chunk(ChunkId),
    /// The latest message from this number.
    Number(String),
}

/// It is none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a message's number or SID, nor a delivery's id, nor turn:12, nor chunk:12, nor a phone number with its +"
)]
pub struct UnknownStorySubject(String);

impl FromStr for StorySubject {
    type Err = UnknownStorySubject;

    fn from_str(text: &str) -> Result<Self, UnknownStorySubject> {
        let text = text.trim();
        let unknown = || UnknownStorySubject(text.chars().take(80).collect());
        if text.starts_with('+') {
            let number = twilio::address::as_written(text).ok_or_else(unknown)?;
            return Ok(Self::Number(twilio::address::canonical(&number).to_string()));
        }
        if let Some((kind, number)) = text.split_once(':') {
            let number = number.parse().map_err(|_| unknown())?;
            return match kind {
                "message" => Ok(Self::Message(MessageId(number))),
                "turn" => Ok(Self::Turn(TurnId(number))),
                "chunk" => Ok(Self::Chunk(ChunkId(number))),
                _ => Err(unknown()),
            };
        }
        if let Ok(number) = text.parse() {
            return Ok(Self::Message(MessageId(number)));
        }
        if let Ok(id) = text.parse() {
            return Ok(Self::Delivery(DeliveryId(id)));
        }
        let is_sid = text.len() >= 10 && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if is_sid { Ok(Self::Sid(text.to_owned())) } else { Err(unknown()) }
    }
}

/// All that a story is made of.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) messages: Vec<MessageId>,
    pub(super) turns: Vec<TurnId>,
    pub(super) deliveries: Vec<DeliveryId>,
}

/// Retries and resends that are followed.
const MOST: usize = 20;

/// What belongs to it; `None`: there is no such thing.
pub(super) async fn resolve(
    conn: &mut PgConnection,
    subject: &StorySubject,
) -> sqlx::Result<Option<Members>> {
    match subject {
        StorySubject::Message(id) => of_message(conn, *id).await,
        StorySubject::Turn(id) => of_turn(conn, *id).await,
        StorySubject::Delivery(id) => of_delivery(conn, *id).await,
        StorySubject::Chunk(id) => match delivery_records::of_chunk(conn, *id).await? {
            Some(id) => of_delivery(conn, id).await,
            None => Ok(None),
        },
        StorySubject::Number(number) => match latest_from(conn, number).await? {
            Some(id) => of_message(conn, id).await,
            None => Ok(None),
        },
        StorySubject::Sid(sid) => {
            if let Some(id) = message_records::by_sid(conn, sid).await? {
                return of_message(conn, id).await;
            }
            match delivery_records::of_sid(conn, sid).await? {
                Some(id) => of_delivery(conn, id).await,
                None => Ok(None),
            }
        }
    }
}

/// The latest message of whoever has this number, in its canonical form.
async fn latest_from(conn: &mut PgConnection, number: &str) -> sqlx::Result<Option<MessageId>> {
    let mut latest = None;
    for address in store::addresses::by_canonical(conn, number).await? {
        let search = MessageSearch {
            writer: WrittenBy::Person(address),
            state: None,
            since: None,
            until: None,
            before: None,
            limit: 1,
        };
        let (found, _) = message_records::page(conn, &search).await?;
        latest = latest.max(found.first().copied());
    }
    Ok(latest)
}

async fn of_message(conn: &mut PgConnection, id: MessageId) -> sqlx::Result<Option<Members>> {
    let Some(message) = message_records::messages(conn, &[id]).await?.pop() else { return Ok(None) };
    let mut members = match message.turn_id {
        Some(turn) => of_turn(conn, turn).await?.unwrap_or_default(),
        None => Members::default(),
    };
    members.messages = vec![id];
    let notices = delivery_records::of_messages(conn, &[id]).await?;
    for (_, notice) in notices {
        follow(conn, notice, &mut members.deliveries).await?;
    }
    Ok(Some(members))
}

async fn of_turn(conn: &mut PgConnection, id: TurnId) -> sqlx::Result<Option<Members>> {
    let mut members = Members::default();
    let mut next = Some(id);
    while let Some(id) = next.take().filter(|_| members.turns.len() < MOST) {
        let Some(turn) = turn_records::turns_by_id(conn, &[id]).await?.pop() else { break };
        members.turns.push(id);
        members.messages.extend(turn.message_ids);
        next = turn.retry_of;
    }
    if members.turns.is_empty() {
        return Ok(None);
    }
    // Messages go with the latest of the turns, and what was said before was said by the earlier ones.
    if let Some(turn) = turn_records::turns_by_id(conn, &[id]).await?.pop()
        && let Some(successor) = turn.retried_as
        && let Some(turn) = turn_records::turns_by_id(conn, &[successor]).await?.pop()
    {
        members.turns.push(successor);
        members.messages.extend(turn.message_ids);
    }
    let replies = delivery_records::of_turns(conn, &members.turns).await?;
    for (_, reply) in replies {
        follow(conn, reply, &mut members.deliveries).await?;
    }
    Ok(Some(members))
}

async fn of_delivery(conn: &mut PgConnection, id: DeliveryId) -> sqlx::Result<Option<Members>> {
    let mut first = id;
    let mut record = None;
    for _ in 0..MOST {
        let Some(found) = delivery_records::deliveries(conn, &[first]).await?.pop() else { break };
        let from = found.resent_from;
        record = Some(found);
        match from {
            Some(from) => first = from,
            None => break,
        }
    }
    let Some(record) = record else { return Ok(None) };
    if let Some(turn) = record.turn_id {
        return of_turn(conn, turn).await;
    }
    if let Some(message) = record.message_id {
        return of_message(conn, message).await;
    }
    let mut members = Members::default();
    follow(conn, first, &mut members.deliveries).await?;
    Ok(Some(members))
}

/// A delivery and what sends anew what it did not.
async fn follow(
    conn: &mut PgConnection,
    first: DeliveryId,
    deliveries: &mut Vec<DeliveryId>,
) -> sqlx::Result<()> {
    let mut next = Some(first);
    while let Some(id) = next.take().filter(|id| deliveries.len() < MOST && !deliveries.contains(id)) {
        deliveries.push(id);
        next = delivery_records::deliveries(conn, &[id]).await?.pop().and_then(|record| record.resent_as);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_known_by_how_it_is_written() {
        let delivery = "0197a1b2-0000-7000-8000-000000000000";
        for (text, subject) in [
            ("12", StorySubject::Message(MessageId(12))),
            ("message:12", StorySubject::Message(MessageId(12))),
            ("turn:7", StorySubject::Turn(TurnId(7))),
            ("chunk:7", StorySubject::Chunk(ChunkId(7))),
            (delivery, StorySubject::Delivery(DeliveryId(delivery.parse().unwrap()))),
            ("+1 (500) 555-0100", StorySubject::Number("whatsapp:+15005550100".to_owned())),
            ("SM0123456789", StorySubject::Sid("SM0123456789".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(subject), "{text}");
        }
        for wrong in ["", "x", "turn:x", "job:1", "SM 1", "+", "+x"] {
            assert!(wrong.parse::<StorySubject>().is_err(), "{wrong}");
        }
    }
}
