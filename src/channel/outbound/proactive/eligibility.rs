//! What counts when something is to be said to users of our own accord: read for many at once, before anything is decided.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use store::allowances;
use store::ids::UserId;
use store::periods::Period;
use store::recipients::Phone;
use store::users::User;

use crate::allowance::Allowance;
use crate::app::Settings;

/// What counts for a user.
#[derive(Clone, Debug)]
pub struct Eligibility {
    /// The user.
    pub user: User,
    /// The phone; `None`: not linked.
    pub phone: Option<Phone>,
    /// The assistant may talk to people of the user's country.
    pub(super) country_is_listed: bool,
    /// Wants no proactive messages.
    pub opted_out: bool,
    /// WhatsApp lets free text through.
    pub(super) window_is_open: bool,
    /// The billing period that runs.
    pub period: Period,
    /// What may be sent in it, and was.
    pub allowance: Allowance,
    /// When this was read, by the database's clock.
    pub read_at: DateTime<Utc>,
}

/// Eligibilities by the users' ids; an unknown user has none.
pub type Eligibilities = HashMap<UserId, Eligibility>;

/// Reads what counts for these users now. What is decided upon it holds only under the locks of their addresses.
pub async fn read(
    conn: &mut PgConnection,
    settings: &Settings,
    user_ids: &[&UserId],
) -> sqlx::Result<Eligibilities> {
    let known: Vec<store::recipients::Recipient> =
        store::recipients::of_users(conn, user_ids).await?.into_values().collect();
    let people: Vec<_> = known
        .iter()
        .map(|known| known.phone.as_ref().map(|phone| phone.names.as_slice()).unwrap_or_default())
        .collect();
    let opted_out = store::opt_outs::among(conn, &settings.secret_keys, &people).await?;
    let periods: Vec<(&UserId, Period)> =
        known.iter().map(|known| (&known.user.id, known.user.anchor.period(known.read_at))).collect();
    let mut usages = allowances::usages(conn, &periods).await?;
    let eligibilities = known.iter().enumerate().map(|(place, known)| {
        let last_inbound_at = known.phone.as_ref().and_then(|phone| phone.last_inbound_at);
        let eligibility = Eligibility {
            user: known.user.clone(),
            phone: known.phone.clone(),
            country_is_listed: settings.compliance.allows(people[place]),
            opted_out: opted_out.contains(&place),
            window_is_open: settings.window_is_open(last_inbound_at, known.read_at),
            period: known.user.anchor.period(known.read_at),
            read_at: known.read_at,
            allowance: Allowance::of(
                settings,
                &known.user,
                usages.remove(&known.user.id).unwrap_or_default(),
            ),
        };
        (known.user.id.clone(), eligibility)
    });
    Ok(eligibilities.collect())
}
