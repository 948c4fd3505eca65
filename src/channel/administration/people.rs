//! Whom an administrator means: a user by id, or a person by a number in any spelling.

use sqlx::PgConnection;
use store::delivery_search::WhoseDeliveries;
use store::ids::{AddressId, ConversationId, UserId};

use super::deliveries::ListError;

/// Nobody was meant that we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownPerson {
    /// Both were given.
    #[error("give a user or a number, not both")]
    Both,
    /// It is no number.
    #[error(
        "number: it needs its country's code, +15005550100 for example; an opaque id is written like US.abc"
    )]
    NoNumber,
}

/// WhoseDeliveries deliveries are asked for. Nobody of this name or number: an empty list.
pub(super) async fn whose_deliveries<'a>(
    conn: &mut PgConnection,
    user: Option<&'a UserId>,
    number: Option<&str>,
) -> Result<Option<WhoseDeliveries<'a>>, ListError> {
    match (user, number) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(UnknownPerson::Both.into()),
        (None, Some(number)) => Ok(Some(WhoseDeliveries::People(by_number(conn, number).await?))),
        (Some(id), None) => {
            let conversation = store::conversations::find(conn, id).await?;
            let addresses = store::links::addresses_of_user(conn, id).await?;
            Ok(Some(WhoseDeliveries::User { id, conversation, addresses }))
        }
    }
}

/// The people who have this number, in any spelling: one, seldom none, and two where two rows have not yet proven to be one person.
pub(super) async fn by_number(conn: &mut PgConnection, number: &str) -> Result<Vec<AddressId>, ListError> {
    let alias = twilio::address::as_written(number).ok_or(UnknownPerson::NoNumber)?;
    Ok(store::addresses::by_canonical(conn, &twilio::address::canonical(&alias)).await?)
}

/// WhoseDeliveries messages are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Writers {
    /// Everybody's.
    All,
    /// What is in this thread.
    Thread(ConversationId),
    /// What these people wrote, linked or not.
    People(Vec<AddressId>),
    /// Nobody's: the user has no thread.
    Nobody,
}

/// WhoseDeliveries messages are asked for.
pub(super) async fn writers(
    conn: &mut PgConnection,
    user: Option<&UserId>,
    number: Option<&str>,
) -> Result<Writers, ListError> {
    match (user, number) {
        (None, None) => Ok(Writers::All),
        (Some(_), Some(_)) => Err(UnknownPerson::Both.into()),
        (None, Some(number)) => Ok(Writers::People(by_number(conn, number).await?)),
        (Some(user), None) => {
            Ok(store::conversations::find(conn, user).await?.map_or(Writers::Nobody, Writers::Thread))
        }
    }
}

/// The thread that turns are asked for of: of a number, its user's, or its last user's.
pub(super) async fn thread(
    conn: &mut PgConnection,
    user: Option<&UserId>,
    number: Option<&str>,
) -> Result<Writers, ListError> {
    let writers = writers(conn, user, number).await?;
    let Writers::People(addresses) = &writers else { return Ok(writers) };
    let user = store::links::latest_user_of(conn, addresses).await?;
    match user {
        None => Ok(Writers::Nobody),
        Some(user) => {
            Ok(store::conversations::find(conn, &user).await?.map_or(Writers::Nobody, Writers::Thread))
        }
    }
}
