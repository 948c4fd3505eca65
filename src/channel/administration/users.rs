//! Looking for users.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::ids::UserId;
use store::user_search::{self, ListedUser};
use utoipa::ToSchema;

/// Which users are wanted: all, or those that one of these names.
#[derive(Clone, Debug, Default)]
pub struct WantedUsers {
    /// The id begins with this.
    pub id: Option<String>,
    /// They are on this plan.
    pub plan: Option<String>,
    /// The attribute `name` begins with this, in small or large letters.
    pub name: Option<String>,
    /// Their phone has this number or opaque id, in any spelling.
    pub phone: Option<String>,
}

/// A page of users.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UserPage {
    /// By id; where a name is looked for, by name.
    pub users: Vec<ListedUserView>,
    /// `after` of the next page; null: there is none.
    #[schema(value_type = Option<String>)]
    pub next: Option<UserId>,
}

/// A user of a list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListedUserView {
    /// CloudyBot's id.
    #[schema(value_type = String)]
    pub user: UserId,
    /// The plan.
    pub plan: String,
    /// What the product calls the user; null: it has told no name.
    pub name: Option<String>,
    /// Whether a phone is linked now.
    pub linked: bool,
    /// The assistant is silent.
    pub paused: bool,
    /// When we first heard of the account.
    pub created_at: DateTime<Utc>,
}

impl From<ListedUser> for ListedUserView {
    fn from(user: ListedUser) -> Self {
        let ListedUser { id, plan, name, paused, is_linked, created_at } = user;
        Self { user: id, plan, name, linked: is_linked, paused, created_at }
    }
}

/// Why nobody was looked for.
#[derive(Debug, thiserror::Error)]
pub enum UserSearchError {
    /// One thing at a time is looked for.
    #[error("say one of id, plan, name and phone")]
    Several,
    /// Not a number that anybody has.
    #[error("phone: {0:?} is neither a number with its country, like +49 151 23456789, nor an opaque id")]
    Phone(String),
    /// The database refused or was away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// A page of the users that are wanted, behind this id.
pub async fn list(
    conn: &mut PgConnection,
    wanted: WantedUsers,
    after: Option<&UserId>,
    limit: i64,
) -> Result<UserPage, UserSearchError> {
    let (found, has_pages) = match wanted {
        WantedUsers { id: None, plan: None, name: None, phone: None } => {
            (user_search::all(conn, after, limit).await?, true)
        }
        WantedUsers { id: Some(id), plan: None, name: None, phone: None } => {
            (user_search::by_id(conn, &id, after, limit).await?, true)
        }
        WantedUsers { id: None, plan: Some(plan), name: None, phone: None } => {
            (user_search::of_plan(conn, &plan.to_lowercase(), after, limit).await?, true)
        }
        WantedUsers { id: None, plan: None, name: Some(name), phone: None } => {
            (user_search::by_name(conn, &name, limit).await?, false)
        }
        WantedUsers { id: None, plan: None, name: None, phone: Some(phone) } => {
            let address = address(&phone).ok_or(UserSearchError::Phone(phone))?;
            (user_search::by_address(conn, &twilio::address::canonical(&address)).await?, false)
        }
        _ => return Err(UserSearchError::Several),
    };
    let is_full = i64::try_from(found.len()).is_ok_and(|number| number == limit);
    let next = found.last().filter(|_| has_pages && is_full).map(|user| user.id.clone());
    Ok(UserPage { users: found.into_iter().map(ListedUserView::from).collect(), next })
}

/// An address as WhatsApp spells it, of a number as people write it.
fn address(phone: &str) -> Option<String> {
    let phone = phone.trim();
    let bare = phone.strip_prefix("whatsapp:").unwrap_or(phone);
    let digits: String = bare.chars().filter(char::is_ascii_digit).collect();
    let is_number = bare.chars().all(|c| c.is_ascii_digit() || " +-()./".contains(c));
    if is_number {
        let digits = digits.strip_prefix("00").unwrap_or(&digits);
        return (7..=15).contains(&digits.len()).then(|| format!("whatsapp:+{digits}"));
    }
    let is_opaque = bare.len() > 3 && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    is_opaque.then(|| format!("whatsapp:{bare}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_in_whatever_way_it_is_written() {
        for written in
            ["+49 151 23456789", "0049 151/234-567-89", "whatsapp:+4915123456789", "(49) 151.23456789"]
        {
            assert_eq!(address(written).as_deref(), Some("whatsapp:+4915123456789"), "{written}");
        }
        assert_eq!(address("US.13491208655302741918").as_deref(), Some("whatsapp:US.13491208655302741918"));
        for nobody in ["", "12", "a b", "hello!"] {
            assert_eq!(address(nobody), None, "{nobody}");
        }
    }
}
