//! What a failed send attempt means for the chunk, its job and the sender.

use std::time::Duration;

use queue::failure::Failure;
use queue::transaction::Transaction;
use store::alerts::AlertCause;
use store::chunks::{Chunk, End};
use store::ids::AddressId;
use store::send_attempts::Unsent;
use twilio::address::is_number;
use twilio::errors::ErrorClass;
use twilio::sending::SendError;

use crate::alerts;
use crate::app::App;
use crate::opt_out::{OptOut, opt_out};
use crate::outbound::sender;

/// What a failed send attempt means.
pub(super) struct FailedSend {
    /// For the job.
    pub(super) failure: Failure,
    /// Twilio refuses our account or sender.
    pub(super) sender_refused: bool,
}

/// What a failed request means. Only what is proven unsent goes back to be sent again.
pub(super) async fn judge(
    app: &App,
    chunk: &Chunk,
    send_attempt: i32,
    to: &str,
    error: SendError,
) -> Result<FailedSend, Failure> {
    let mut tx = app.begin().await?;
    let address = store::addresses::lock(&mut tx, chunk.address_id).await?;
    store::chunks::lock(&mut tx, chunk.id).await?;
    let text = error.to_string();
    let mut sender_refused = false;
    let failure = match error {
        SendError::NotSent { class: ErrorClass::DailyCap, .. } => {
            sender_refused = true;
            hold_back(app, &mut tx, chunk, send_attempt, &text, app.settings.sending.daily_cap_probe_every)
                .await?
        }
        SendError::NotSent { retry_after, .. } => {
            store::send_attempts::return_to_planned(&mut tx, chunk.id, send_attempt, Unsent::NotSent, &text)
                .await?;
            retry_after.map_or_else(
                || Failure::retry(text.clone()),
                |delay| Failure::RetryAfter(delay, text.clone().into()),
            )
        }
        SendError::InDoubt { .. } => {
            store::in_doubt::raise(&mut tx, chunk.id, send_attempt, &text).await?;
            tracing::warn!(
                chunk.id = chunk.id.0,
                "Nobody knows whether Twilio has chunk {}: {text}",
                chunk.id
            );
            Failure::Snooze(app.settings.sending.until_looked_up())
        }
        // Nothing is wrong with the message: it waits for the operator.
        SendError::Refused { class: ErrorClass::Configuration, .. } => {
            sender_refused = true;
            hold_back(app, &mut tx, chunk, send_attempt, &text, app.settings.sending.probe_every).await?
        }
        SendError::Refused { class: ErrorClass::DailyCap, .. } => {
            sender_refused = true;
            hold_back(app, &mut tx, chunk, send_attempt, &text, app.settings.sending.daily_cap_probe_every)
                .await?
        }
        SendError::Refused { class: ErrorClass::Template, .. } => {
            store::send_attempts::return_to_planned(&mut tx, chunk.id, send_attempt, Unsent::NotSent, &text)
                .await?;
            alerts::raise(&mut tx, &app.settings, AlertCause::Template, &text).await?;
            Failure::RetryAfter(TEMPLATE_PAUSE, text.clone().into())
        }
        SendError::Refused { code: Some(code @ NO_NUMBER), .. }
            if !is_number(to) && has_number(&mut tx, address.id).await? =>
        {
            store::send_attempts::return_to_planned(
                &mut tx,
                chunk.id,
                send_attempt,
                Unsent::Refused(code),
                &text,
            )
            .await?;
            tracing::warn!(
                chunk.id = chunk.id.0,
                "Twilio takes no message to the person's id; chunk {} goes to the number",
                chunk.id
            );
            Failure::Snooze(Duration::ZERO)
        }
        SendError::Refused { class, code, .. } => {
            store::chunks::end(&mut tx, chunk.id, End::Failed, code, &text).await?;
            store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
            if class == ErrorClass::OptedOut {
                opt_out(&mut tx, &app.settings.secret_keys, address.id, OptOut::Provider(code)).await?;
            }
            Failure::abort(text.clone())
        }
    };
    tx.commit().await?;
    Ok(FailedSend { failure, sender_refused })
}

/// Whether a person can be written to by a number, too.
async fn has_number(tx: &mut Transaction, id: AddressId) -> sqlx::Result<bool> {
    Ok(store::addresses::names(tx, id).await?.iter().any(|name| !name.is_opaque()))
}

/// Twilio: "Invalid 'To' Phone Number". Some accounts have it of every opaque id, too.
const NO_NUMBER: i32 = 21211;

/// WhatsApp pauses a template for three hours at first.
const TEMPLATE_PAUSE: Duration = Duration::from_secs(3 * 3600);

/// Nothing goes out before an operator, or tomorrow: the sender is held back as a whole, and tried out now and then.
async fn hold_back(
    app: &App,
    tx: &mut Transaction,
    chunk: &Chunk,
    send_attempt: i32,
    reason: &str,
    every: Duration,
) -> Result<Failure, Failure> {
    store::send_attempts::return_to_planned(tx, chunk.id, send_attempt, Unsent::NotSent, reason).await?;
    alerts::raise(tx, &app.settings, AlertCause::SenderRefused, reason).await?;
    sender::hold_back(tx, every, reason).await?;
    Ok(Failure::Snooze(Duration::from_secs(1)))
}
