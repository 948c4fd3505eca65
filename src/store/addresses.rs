//! `channel_addresses` and their aliases: one row per WhatsApp person, however that person is named.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::{AddressId, ConversationId};
use crate::text_enum::text_enum;

/// A name under which a person writes.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Name {
    /// As Twilio spells it, `whatsapp:+E164` or `whatsapp:CC.id`; it is written to under this name.
    pub alias: String,
    /// One spelling for all that mean the same person.
    pub canonical: String,
}

impl Name {
    /// Whether it is an opaque id, which stands for one person for ever. A number may change hands.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        self.phone().is_none()
    }

    /// The number as E.164; `None` where the person hides it.
    #[must_use]
    pub fn phone(&self) -> Option<&str> {
        self.alias.strip_prefix("whatsapp:").filter(|name| name.starts_with('+'))
    }
}

/// One WhatsApp person.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Address {
    /// Its number.
    pub id: AddressId,
    /// When this person last wrote.
    pub last_inbound_at: Option<DateTime<Utc>>,
}

/// What a webhook's names lead to.
#[derive(Clone, Debug, PartialEq)]
pub enum Writer {
    /// One person.
    Found(FoundAddress),
    /// Nobody yet: the number is one person's, and the opaque id beside it is another's.
    Contested(Contested),
}

/// A number that came with another opaque id than the one its holder has. Both rows are locked until the caller's transaction ends, and
/// nothing has been written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contested {
    /// Who has had the number so far.
    pub holder_id: AddressId,
    /// Who has the opaque id; `None`: it was never seen.
    pub newcomer_id: Option<AddressId>,
}

/// The person behind a webhook's names.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundAddress {
    /// The person, locked until the caller's transaction ends.
    pub address: Address,
    /// Other rows of the same person, as these names prove. They are locked too; the caller merges them.
    pub twins: Vec<AddressId>,
}

/// Finds the person who has one of these names, or makes one, and locks the row until the caller's transaction ends.
/// Names that arrive together belong to one person, so new names are added to the row. A number whose person has
/// another opaque id is contested.
///
/// # Errors
/// Database errors. `names` must not be empty.
pub async fn find_or_create(conn: &mut PgConnection, names: &[Name]) -> sqlx::Result<Writer> {
    let aliases: Vec<&str> = names.iter().map(|name| name.alias.as_str()).collect();
    let canonical: Vec<&str> = names.iter().map(|name| name.canonical.as_str()).collect();
    let (id, last_inbound_at, twins, holder): (Option<AddressId>, _, Option<Vec<AddressId>>, _) =
        sqlx::query_as(
            "SELECT address_id, last_inbound_at, twins, holder FROM channel_identify_writer($1, $2)",
        )
        .bind(aliases)
        .bind(canonical)
        .fetch_one(conn)
        .await?;
    if let Some(holder_id) = holder {
        return Ok(Writer::Contested(Contested { holder_id, newcomer_id: id }));
    }
    let id = id.ok_or(sqlx::Error::RowNotFound)?;
    Ok(Writer::Found(FoundAddress {
        address: Address { id, last_inbound_at },
        twins: twins.unwrap_or_default(),
    }))
}

/// Makes a person who is known by an opaque id and has not written yet.
pub async fn create(conn: &mut PgConnection, name: &Name) -> sqlx::Result<AddressId> {
    let id = sqlx::query_scalar("INSERT INTO channel_addresses DEFAULT VALUES RETURNING id")
        .fetch_one(&mut *conn)
        .await?;
    sqlx::query("INSERT INTO channel_address_aliases (alias, canonical, address_id, last_seen_at) VALUES ($1, $2, $3, clock_timestamp())")
        .bind(&name.alias)
        .bind(&name.canonical)
        .bind(id)
        .execute(conn)
        .await?;
    Ok(id)
}

/// Gives a number, in all its spellings, to the person who has it now. The caller holds the locks of both.
pub async fn hand_over(
    conn: &mut PgConnection,
    number: &Name,
    contested: Contested,
    to: AddressId,
) -> sqlx::Result<()> {
    sqlx::query("UPDATE channel_address_aliases SET address_id = $3 WHERE coalesce(canonical, alias) = $1 AND address_id = $2")
        .bind(&number.canonical)
        .bind(contested.holder_id)
        .bind(to)
        .execute(conn)
        .await?;
    Ok(())
}

/// Locks an address until the caller's transaction ends. A merged address leads to the row that took it over. Every
/// decision about a person is made under this lock. It is `FOR NO KEY UPDATE`, so inserting a row that refers to the
/// address does not wait for it.
pub async fn lock(conn: &mut PgConnection, id: AddressId) -> sqlx::Result<Address> {
    let mut id = id;
    loop {
        let (address, merged_into): (_, Option<AddressId>) = {
            let row: (AddressId, Option<DateTime<Utc>>, Option<AddressId>) = sqlx::query_as(
                "SELECT id, last_inbound_at, merged_into FROM channel_addresses WHERE id = $1 FOR NO KEY UPDATE",
            )
            .bind(id)
            .fetch_one(&mut *conn)
            .await?;
            (Address { id: row.0, last_inbound_at: row.1 }, row.2)
        };
        match merged_into {
            Some(survivor) => id = survivor,
            None => return Ok(address),
        }
    }
}

/// An address as it stands, without its lock.
pub async fn get(conn: &mut PgConnection, id: AddressId) -> sqlx::Result<Address> {
    sqlx::query_as("SELECT id, last_inbound_at FROM channel_addresses WHERE id = $1")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Locks the address that the user of a conversation is linked to, as [`lock`] does; nothing where there is none.
pub async fn lock_of_conversation(
    conn: &mut PgConnection,
    conversation_id: ConversationId,
) -> sqlx::Result<()> {
    sqlx::query(
        "SELECT FROM channel_addresses WHERE id = (
             SELECT l.address_id FROM channel_conversations c JOIN channel_links l ON l.user_id = c.user_id AND l.ended_at IS NULL WHERE c.id = $1)
         FOR NO KEY UPDATE",
    )
    .bind(conversation_id)
    .execute(conn)
    .await?;
    Ok(())
}

/// When this person last wrote.
pub async fn last_inbound_at(conn: &mut PgConnection, id: AddressId) -> sqlx::Result<Option<DateTime<Utc>>> {
    sqlx::query_scalar("SELECT last_inbound_at FROM channel_addresses WHERE id = $1")
        .bind(id)
        .fetch_one(conn)
        .await
}

/// Every name of a person, the one last written from first.
pub async fn names(conn: &mut PgConnection, id: AddressId) -> sqlx::Result<Vec<Name>> {
    sqlx::query_as(
        "SELECT alias, coalesce(canonical, alias) AS canonical FROM channel_address_aliases WHERE address_id = $1 ORDER BY last_seen_at DESC",
    )
    .bind(id)
    .fetch_all(conn)
    .await
}

/// The people who have a name of this canonical spelling.
pub async fn by_canonical(conn: &mut PgConnection, canonical: &str) -> sqlx::Result<Vec<AddressId>> {
    sqlx::query_scalar(
        "SELECT DISTINCT address_id FROM channel_address_aliases WHERE coalesce(canonical, alias) = $1",
    )
    .bind(canonical)
    .fetch_all(conn)
    .await
}

text_enum! {
    /// A keyword as it is remembered: whichever word was used, it says one of these.
    pub enum Keyword in ["channel_addresses.last_keyword"] {
        /// No proactive messages any more.
        Stop = "STOP",
        /// Proactive messages again.
        Start = "START",
    }
}

/// Stores a keyword that was written at this moment, and returns what stood before it. `None`: a later keyword or
/// claim is known, so this one changes nothing. The caller holds the address's lock.
pub async fn note_keyword(
    conn: &mut PgConnection,
    id: AddressId,
    keyword: Keyword,
    written_at: DateTime<Utc>,
) -> sqlx::Result<Option<Before>> {
    let (last, last_at): (Option<Keyword>, Option<DateTime<Utc>>) =
        sqlx::query_as("SELECT last_keyword, last_keyword_at FROM channel_addresses WHERE id = $1")
            .bind(id)
            .fetch_one(&mut *conn)
            .await?;
    if last_at.is_some_and(|last_at| last_at >= written_at) {
        return Ok(None);
    }
    sqlx::query("UPDATE channel_addresses SET last_keyword = $2, last_keyword_at = $3 WHERE id = $1")
        .bind(id)
        .bind(keyword)
        .bind(written_at)
        .execute(conn)
        .await?;
    Ok(Some(Before { same: last == Some(keyword) }))
}

/// What stood before a keyword.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Before {
    /// The same keyword, so it has been confirmed already.
    pub same: bool,
}

/// A claim settles what keywords before it said.
pub async fn settle_keywords(conn: &mut PgConnection, id: AddressId) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE channel_addresses SET last_keyword = NULL, last_keyword_at = clock_timestamp() WHERE id = $1",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}
