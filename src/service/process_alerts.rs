//! What may be wrong with one process, whichever: each looks at itself twice a minute.

use channel::app::Settings;
use queue::connections::Connections;
use store::alerts::AlertCause;
use store::keys_in_use::{self, KeysError};

use crate::own_clock::{self, LastLead};
use crate::zone_rules::ZoneReport;

/// What is wrong with this process, in words.
pub(crate) async fn found(
    pg: &Connections,
    settings: &Settings,
    last_lead: &LastLead,
) -> sqlx::Result<Vec<(AlertCause, String)>> {
    let mut conn = pg.acquire().await?;
    let mut found = Vec::new();
    let (_, lead) = own_clock::read(&mut conn).await?;
    last_lead.note(lead);
    if lead.is_too_large() {
        found.push((AlertCause::Clock, lead.to_string()));
    }
    let wrong_moments = ZoneReport::read(&mut conn).await?.wrong_moments;
    if !wrong_moments.is_empty() {
        found.push((AlertCause::TimeZones, wrong_moments.join("; ")));
    }
    match keys_in_use::check(&mut conn, &settings.secret_keys).await {
        Ok(()) => {}
        Err(KeysError::Database(error)) => return Err(error),
        Err(lost @ KeysError::Lost(_)) => found.push((AlertCause::SecretKey, lost.to_string())),
    }
    Ok(found)
}
