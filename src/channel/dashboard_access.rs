//! Who may open a user's dashboard: whoever has a link that the product was given for the user. The link holds a code that is exchanged for a session once.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rand::RngCore as _;
use sha2::{Digest as _, Sha256};
use sqlx::PgConnection;
use store::dashboard_sessions;
use store::ids::UserId;

/// A link is followed at once, or asked for again.
pub const CODE_LASTS: Duration = Duration::from_secs(5 * 60);

/// A session ends after this, however it is used: a working day.
pub const SESSION_LASTS: Duration = Duration::from_secs(12 * 3600);

/// What a link or a cookie holds. The database has its hash alone, and nothing shows it by mistake.
pub struct AccessSecret(String);

impl AccessSecret {
    fn generate() -> Self {
        let mut bytes = [0; 32];
        rand::rng().fill_bytes(&mut bytes);
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// To be handed over.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessSecret(…)")
    }
}

/// Makes a code for a user, valid until the time that is returned. `None`: there is no such user here.
pub async fn make_code(
    conn: &mut PgConnection,
    user_id: &UserId,
) -> sqlx::Result<Option<(AccessSecret, DateTime<Utc>)>> {
    let code = AccessSecret::generate();
    let ends_at = dashboard_sessions::keep_code(conn, &hash(code.expose()), user_id, CODE_LASTS).await?;
    Ok(ends_at.map(|ends_at| (code, ends_at)))
}

/// Uses a code up for a session, both in the caller's transaction. `None`: the code was used, is over, or never was one.
pub async fn exchange(conn: &mut PgConnection, code: &str) -> sqlx::Result<Option<AccessSecret>> {
    match dashboard_sessions::use_code(conn, &hash(code)).await? {
        Some(user_id) => begin(conn, &user_id).await,
        None => Ok(None),
    }
}

/// Begins a session for a user. `None`: there is no such user here.
pub async fn begin(conn: &mut PgConnection, user_id: &UserId) -> sqlx::Result<Option<AccessSecret>> {
    let session = AccessSecret::generate();
    let is_begun = dashboard_sessions::begin(conn, &hash(session.expose()), user_id, SESSION_LASTS).await?;
    Ok(is_begun.then_some(session))
}

/// Whose session it is; `None`: nobody's, or not any more.
pub async fn user_of(conn: &mut PgConnection, session: &str) -> sqlx::Result<Option<UserId>> {
    dashboard_sessions::user_of(conn, &hash(session)).await
}

/// Ends a session.
pub async fn end(conn: &mut PgConnection, session: &str) -> sqlx::Result<()> {
    dashboard_sessions::end(conn, &hash(session)).await
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_the_same_and_no_log_shows_one() {
        let [one, other] = [(); 2].map(|()| AccessSecret::generate());

        assert_eq!(one.expose().len(), 64);
        assert_ne!(one.expose(), other.expose());
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
