//! Erasing a user: numbers and texts are removed; an opt-out stays as a keyed hash from which nobody can tell the
//! number.
//!
//! The first transaction removes the user, the link and the names, and cancels what was to be sent. Texts are emptied
//! afterwards page by page, the newest first. Pages keep locks short, and their progress is stored in
//! `channel_erasures`, so another process goes on after a crash.

use sqlx::PgConnection;

use crate::ids::{AddressId, ChunkId, DeliveryId, ErasureId, UserId};
use crate::links::{self, LinkEnding};
use crate::secret_keys::SecretKeys;
use crate::text_enum::text_enum;
use crate::{addresses, claim_tokens, opt_outs};

text_enum! {
    /// What is still to be emptied of an erased person.
    pub enum ErasurePart in ["channel_erasures.part"] {
        /// What was written in the conversation.
        MessagesOfConversation = "messages_of_conversation",
        /// What was written from the phone.
        MessagesOfAddress = "messages_of_address",
        /// What the agent said.
        TurnsOfConversation = "turns_of_conversation",
        /// What was sent to the phone.
        DeliveriesOfAddress = "deliveries_of_address",
        /// What was to be sent to the user.
        DeliveriesOfUser = "deliveries_of_user",
        /// A chunk that may have reached Twilio: it keeps its text until that is settled.
        Chunk = "chunk",
    }
}

/// Forgets a user, and notes what is to be emptied with [`empty_page`]. False: there is none.
pub async fn begin(conn: &mut PgConnection, keys: &SecretKeys, user_id: &UserId) -> sqlx::Result<bool> {
    let address_ids: Vec<AddressId> = sqlx::query_scalar(
        "SELECT p.address_id FROM (
             SELECT l.address_id FROM channel_links l WHERE l.user_id = $1
             UNION
             -- By their number they were taken for the same person.
             SELECT c.newcomer_id FROM channel_links l JOIN channel_changed_ids c ON c.link_id = l.id AND c.state = 'let_through' WHERE l.user_id = $1) AS p
         WHERE NOT EXISTS (SELECT FROM channel_links o WHERE o.address_id = p.address_id AND o.ended_at IS NULL AND o.user_id <> $1)
         ORDER BY p.address_id",
    )
    .bind(user_id)
    .fetch_all(&mut *conn)
    .await?;
    for id in &address_ids {
        addresses::lock(conn, *id).await?;
    }
    // Whoever redeems one has it before the user and the conversation.
    claim_tokens::lock_all(conn, user_id).await?;
    let user = sqlx::query("SELECT FROM channel_users WHERE id = $1 FOR UPDATE")
        .bind(user_id)
        .execute(&mut *conn)
        .await?;
    if user.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("SELECT FROM channel_conversations WHERE user_id = $1 FOR UPDATE")
        .bind(user_id)
        .execute(&mut *conn)
        .await?;
    if let Some(link) = links::of_user(conn, user_id).await? {
        links::end(conn, keys, &link, LinkEnding::Erased).await?;
    }
    for id in &address_ids {
        let names = addresses::names(conn, *id).await?;
        opt_outs::erase(conn, keys, &names).await?;
    }
    sqlx::query(NOTE_PARTS).bind(user_id).bind(&address_ids).execute(&mut *conn).await?;
    for statement in FORGET_PEOPLE {
        sqlx::query(statement).bind(&address_ids).execute(&mut *conn).await?;
    }
    for statement in FORGET_USER {
        sqlx::query(statement).bind(user_id).execute(&mut *conn).await?;
    }
    // Nobody has looked at the newest messages yet, and nobody shall.
    for part in parts(conn, user_id, ErasurePart::MessagesOfAddress).await? {
        empty(conn, &part).await?;
    }
    Ok(true)
}

const NOTE_PARTS: &str = "INSERT INTO channel_erasures (user_id, part, subject)
     SELECT $1, part, a.id FROM unnest($2::BIGINT[]) AS a (id), unnest(ARRAY['messages_of_address', 'deliveries_of_address']) AS part
     UNION ALL SELECT $1, part, c.id FROM (SELECT id FROM channel_conversations WHERE user_id = $1) AS c,
                                          unnest(ARRAY['messages_of_conversation', 'turns_of_conversation']) AS part
     UNION ALL SELECT $1, 'deliveries_of_user', NULL";

const FORGET_PEOPLE: [&str; 2] = [
    "DELETE FROM channel_notices WHERE address_id = ANY ($1)",
    "DELETE FROM channel_address_aliases WHERE address_id = ANY ($1)",
];

const FORGET_USER: [&str; 9] = [
    "UPDATE channel_deliveries SET state = 'cancelled', reason = 'the user was erased', closed_at = clock_timestamp() WHERE user_id = $1 AND state = 'waiting'",
    // What nobody has answered is not answered any more …
    "UPDATE channel_messages SET outcome = 'erased', outcome_at = clock_timestamp()
     WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $1) AND turn_id IS NULL AND outcome IS NULL",
    // … and a run of the agent that is under way finds its turn ended, and its reply is dropped.
    "WITH ended AS (
         UPDATE channel_turns SET state = 'failed', error = 'the user was erased', finished_at = clock_timestamp()
         WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $1) AND state = 'running' RETURNING id)
     UPDATE channel_messages SET outcome = 'erased', outcome_at = clock_timestamp() WHERE turn_id = ANY (ARRAY(SELECT id FROM ended)) AND outcome IS NULL",
    "DELETE FROM channel_takeovers WHERE conversation_id = (SELECT id FROM channel_conversations WHERE user_id = $1)",
    "UPDATE channel_conversations SET user_id = NULL WHERE user_id = $1",
    "UPDATE whatsapp_consents SET phone = NULL WHERE user_id = $1",
    "DELETE FROM channel_claim_tokens WHERE user_id = $1",
    // The links stay without a user: their deliveries still refer to them, and find them ended.
    "UPDATE channel_links SET user_id = NULL WHERE user_id = $1",
    "DELETE FROM channel_users WHERE id = $1",
];

/// A part of an erasure that is not done.
#[derive(sqlx::FromRow)]
struct PartToEmpty {
    id: ErasureId,
    user_id: UserId,
    part: ErasurePart,
    /// The conversation, address or chunk, as the part says; `None`: the user.
    subject: Option<i64>,
    /// Of a message or a turn, as the part says.
    next_id: i64,
    next_delivery: DeliveryId,
}

/// The parts of a user's erasure of one sort, locked.
async fn parts(
    conn: &mut PgConnection,
    user_id: &UserId,
    part: ErasurePart,
) -> sqlx::Result<Vec<PartToEmpty>> {
    sqlx::query_as(
        "SELECT id, user_id, part, subject, next_id, next_delivery FROM channel_erasures WHERE user_id = $1 AND part = $2 ORDER BY id FOR UPDATE",
    )
    .bind(user_id)
    .bind(part)
    .fetch_all(conn)
    .await
}

/// Empties the next due page of an erasure, of this user or of any. False: nothing is due, or other processes have it
/// locked. The caller commits after each page.
pub async fn empty_page(conn: &mut PgConnection, user_id: Option<&UserId>) -> sqlx::Result<bool> {
    let part: Option<PartToEmpty> = sqlx::query_as(
        "SELECT id, user_id, part, subject, next_id, next_delivery FROM channel_erasures
         WHERE due_at <= clock_timestamp() AND user_id = coalesce($1, user_id) ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
    )
    .bind(user_id)
    .fetch_optional(&mut *conn)
    .await?;
    let Some(part) = part else { return Ok(false) };
    empty(conn, &part).await?;
    Ok(true)
}

/// Whether an erasure has pages that are due. Chunks in doubt are due later.
pub async fn is_due(conn: &mut PgConnection, user_id: Option<&UserId>) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM channel_erasures WHERE due_at <= clock_timestamp() AND user_id = coalesce($1, user_id))",
    )
    .bind(user_id)
    .fetch_one(conn)
    .await
}

/// Empties a page of a part. The last page takes the part with it.
async fn empty(conn: &mut PgConnection, part: &PartToEmpty) -> sqlx::Result<()> {
    let (next_id, next_delivery) = match part.part {
        ErasurePart::MessagesOfConversation => (rows(conn, MESSAGES_OF_CONVERSATION, part).await?, None),
        ErasurePart::MessagesOfAddress => (rows(conn, MESSAGES_OF_ADDRESS, part).await?, None),
        ErasurePart::TurnsOfConversation => (rows(conn, TURNS_OF_CONVERSATION, part).await?, None),
        ErasurePart::Chunk => return empty_chunk(conn, part).await,
        ErasurePart::DeliveriesOfAddress | ErasurePart::DeliveriesOfUser => {
            (None, deliveries(conn, part).await?)
        }
    };
    if next_id.is_none() && next_delivery.is_none() {
        sqlx::query("DELETE FROM channel_erasures WHERE id = $1").bind(part.id).execute(conn).await?;
        return Ok(());
    }
    sqlx::query("UPDATE channel_erasures SET next_id = coalesce($2, next_id), next_delivery = coalesce($3, next_delivery) WHERE id = $1")
        .bind(part.id)
        .bind(next_id)
        .bind(next_delivery)
        .execute(conn)
        .await?;
    Ok(())
}

/// Empties a page of messages or turns; returns the last one's number if there may be more.
async fn rows(
    conn: &mut PgConnection,
    statement: &'static str,
    part: &PartToEmpty,
) -> sqlx::Result<Option<i64>> {
    let (last, number): (Option<i64>, i64) =
        sqlx::query_as(statement).bind(part.subject).bind(part.next_id).bind(PAGE).fetch_one(conn).await?;
    Ok(last.filter(|_| number == PAGE))
}

/// Rows of a page.
const PAGE: i64 = 500;

const MESSAGES_OF_CONVERSATION: &str = "WITH page AS (
         SELECT id FROM channel_messages WHERE conversation_id = $1 AND id < $2 ORDER BY conversation_id DESC, id DESC LIMIT $3
     ), files AS (
         DELETE FROM channel_attachments WHERE message_id = ANY (ARRAY(SELECT id FROM page))
     ), emptied AS (
         UPDATE channel_messages SET body = '', params = '{}', outcome = coalesce(outcome, 'erased'), outcome_at = coalesce(outcome_at, clock_timestamp())
         WHERE id = ANY (ARRAY(SELECT id FROM page))
     )
     SELECT min(id), count(*) FROM page";

const MESSAGES_OF_ADDRESS: &str = "WITH page AS (
         SELECT id FROM channel_messages WHERE address_id = $1 AND id < $2 ORDER BY address_id DESC, id DESC LIMIT $3
     ), files AS (
         DELETE FROM channel_attachments WHERE message_id = ANY (ARRAY(SELECT id FROM page))
     ), emptied AS (
         UPDATE channel_messages SET body = '', params = '{}', outcome = coalesce(outcome, 'erased'), outcome_at = coalesce(outcome_at, clock_timestamp())
         WHERE id = ANY (ARRAY(SELECT id FROM page))
     )
     SELECT min(id), count(*) FROM page";

const TURNS_OF_CONVERSATION: &str = "WITH page AS (
         SELECT id FROM channel_turns WHERE conversation_id = $1 AND id < $2 ORDER BY conversation_id DESC, id DESC LIMIT $3
     ), emptied AS (
         UPDATE channel_turns SET reply = '' WHERE id = ANY (ARRAY(SELECT id FROM page)) AND reply IS NOT NULL
     )
     SELECT min(id), count(*) FROM page";

/// Empties a page of deliveries with their chunks and what Twilio reported of them; returns the last one's id if there may be more.
async fn deliveries(conn: &mut PgConnection, part: &PartToEmpty) -> sqlx::Result<Option<DeliveryId>> {
    let page = match part.subject {
        Some(address_id) => {
            sqlx::query_scalar("SELECT id FROM channel_deliveries WHERE address_id = $1 AND id < $2 ORDER BY address_id DESC, id DESC LIMIT $3 FOR UPDATE")
                .bind(address_id)
        }
        None => sqlx::query_scalar(
            "SELECT d.id FROM channel_deliveries d WHERE d.user_id = $1 AND d.id < $2
               AND d.created_at <= (SELECT begun_at FROM channel_erasures WHERE id = $4)
             ORDER BY d.user_id DESC, d.id DESC LIMIT $3 FOR UPDATE",
        )
        .bind(&part.user_id),
    };
    let page: Vec<DeliveryId> = match part.subject {
        Some(_) => page.bind(part.next_delivery).bind(PAGE).fetch_all(&mut *conn).await?,
        None => page.bind(part.next_delivery).bind(PAGE).bind(part.id).fetch_all(&mut *conn).await?,
    };
    sqlx::query("UPDATE channel_deliveries SET text = '', content_variables = NULL WHERE id = ANY ($1)")
        .bind(&page)
        .execute(&mut *conn)
        .await?;
    let chunks: Vec<(ChunkId, bool)> = sqlx::query_as(
        "SELECT id, state = 'sending' FROM channel_chunks WHERE delivery_id = ANY ($1) ORDER BY id FOR UPDATE",
    )
    .bind(&page)
    .fetch_all(&mut *conn)
    .await?;
    let in_doubt = chunks.iter().filter(|(_, is_sending)| *is_sending).map(|(id, _)| *id).collect::<Vec<_>>();
    let settled = chunks.iter().filter(|(_, is_sending)| !is_sending).map(|(id, _)| *id).collect::<Vec<_>>();
    sqlx::query("INSERT INTO channel_erasures (user_id, part, subject, due_at) SELECT $1, 'chunk', id, clock_timestamp() + interval '15 minutes' FROM unnest($2::BIGINT[]) AS id")
        .bind(&part.user_id)
        .bind(&in_doubt)
        .execute(&mut *conn)
        .await?;
    empty_chunks(conn, &settled).await?;
    Ok(page.last().copied().filter(|_| i64::try_from(page.len()).is_ok_and(|number| number == PAGE)))
}

async fn empty_chunks(conn: &mut PgConnection, ids: &[ChunkId]) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_chunks SET body = '', sent_to = NULL WHERE id = ANY ($1)")
        .bind(ids)
        .execute(&mut *conn)
        .await?;
    sqlx::query("UPDATE channel_status_callbacks SET params = '{}' WHERE chunk_id = ANY ($1)")
        .bind(ids)
        .execute(conn)
        .await?;
    Ok(())
}

/// Empties a chunk that may have reached Twilio, once that is settled.
async fn empty_chunk(conn: &mut PgConnection, part: &PartToEmpty) -> sqlx::Result<()> {
    let chunk_id = part.subject.map(ChunkId);
    let is_sending: Option<bool> =
        sqlx::query_scalar("SELECT state = 'sending' FROM channel_chunks WHERE id = $1 FOR UPDATE")
            .bind(chunk_id)
            .fetch_optional(&mut *conn)
            .await?;
    if is_sending == Some(true) {
        sqlx::query(
            "UPDATE channel_erasures SET due_at = clock_timestamp() + interval '15 minutes' WHERE id = $1",
        )
        .bind(part.id)
        .execute(conn)
        .await?;
        return Ok(());
    }
    empty_chunks(conn, chunk_id.as_slice()).await?;
    sqlx::query("DELETE FROM channel_erasures WHERE id = $1").bind(part.id).execute(conn).await?;
    Ok(())
}
