//! Alerts: what a person must look at.

use queue::job::NewJob;
use queue::transaction::Transaction;
use store::alerts::AlertCause;

use crate::app::Settings;
use crate::kinds::PostAlert;
use crate::write_error::WriteError;

/// Raises an alert in the caller's transaction: a row that stays until somebody acknowledges it, an `error!` line and a post to the operator's webhook,
/// once per cause and hour.
pub async fn raise(
    tx: &mut Transaction,
    settings: &Settings,
    cause: AlertCause,
    detail: &str,
) -> Result<(), WriteError> {
    let detail = &outside::words::without_phone_numbers(detail);
    let Some(alert) = store::alerts::raise(tx, cause, detail).await? else { return Ok(()) };
    tracing::error!(alert.id = alert, cause = cause.as_str(), "Alert {alert}, {cause}: {detail}");
    if settings.alert_webhook.is_some() {
        tx.enqueue(NewJob::of(&PostAlert { alert })).await?;
    }
    Ok(())
}
