//! `POST /webhooks/whatsapp/status`: what became of a message. Forward only, harmless when it comes twice or late.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{OriginalUri, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use channel::outbound::status::{self, StatusReport};
use channel::write_error::WriteError;
use queue::trace::TraceParent;
use serde::Deserialize;
use store::ids::{ChunkId, DeliveryId};
use store::status_callbacks::NewStatusCallback;
use tracing::Instrument as _;
use twilio::status::{Person, StatusCallback};
use twilio::webhook::VerifiedForm;

use super::receiver::TOO_LATE;
use super::{Receiver, receiver, refuse};
use crate::public_url::Hook;

pub(crate) async fn receive(
    State(receiver): State<Receiver>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    names: Result<Query<CallbackNames>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    // Names that cannot be read are not ours; the SID says what such a callback is about.
    let names = names.map(|Query(names)| names).unwrap_or_default();
    let form = match receiver::verify(&receiver, Hook::Status, &uri, &headers, body) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let callback = match StatusCallback::parse(&form) {
        Ok(callback) => callback,
        Err(error) => {
            tracing::warn!(error = %error, "Refused a signed status callback: {error}");
            return refuse(StatusCode::BAD_REQUEST, "not a status callback");
        }
    };
    if callback.account_sid.as_deref().is_some_and(|sid| sid != receiver.account_sid) {
        tracing::warn!(sid = callback.sid, "Refused a status callback of another account");
        return refuse(StatusCode::FORBIDDEN, "not for this account");
    }
    let applying = async {
        // What Twilio reports about a send belongs to the trace that led to it.
        let trace = trace_of(&receiver, names).await?.unwrap_or_else(TraceParent::root);
        let span = tracing::info_span!("callback", trace = trace.trace_id());
        trace.scope(apply(&receiver, &form, &callback, names).instrument(span)).await
    };
    match tokio::time::timeout(receiver.database_timeout, applying).await {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(error)) => {
            tracing::error!(error = %error, "Could not store a status callback: {error}");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the database is away")
        }
        Err(_) => {
            tracing::error!(error = TOO_LATE, "Could not store a status callback in time");
            refuse(StatusCode::SERVICE_UNAVAILABLE, TOO_LATE)
        }
    }
}

/// What our own URL says the callback is about; Twilio's signature covers it.
#[derive(Clone, Copy, Default, Deserialize)]
pub(crate) struct CallbackNames {
    chunk: Option<ChunkId>,
    attempt: Option<i32>,
    delivery: Option<DeliveryId>,
}

async fn trace_of(receiver: &Receiver, names: CallbackNames) -> sqlx::Result<Option<TraceParent>> {
    let (Some(chunk), Some(attempt)) = (names.chunk, names.attempt) else { return Ok(None) };
    let trace = store::send_attempts::trace(&mut *receiver.pg.acquire().await?, chunk, attempt).await?;
    Ok(trace.as_deref().and_then(TraceParent::parse).map(|sent| sent.child()))
}

/// Keeps the callback, and does what it says.
async fn apply(
    receiver: &Receiver,
    form: &VerifiedForm,
    callback: &StatusCallback,
    names: CallbackNames,
) -> Result<(), WriteError> {
    let mut tx = receiver.queue.begin(&receiver.pg).await?;
    let report = StatusReport {
        sid: &callback.sid,
        chunk: names.chunk,
        attempt: names.attempt,
        delivery: names.delivery,
        status: &callback.status,
        error_code: callback.error_code,
        error_message: callback.error_message.as_deref(),
    };
    let chunk = status::apply(&mut tx, &receiver.settings, report).await?;
    // Twilio's words may quote ours.
    let said: Vec<&str> = chunk.iter().map(|chunk| chunk.body.as_str()).collect();
    let person = match &chunk {
        None => Person::Unknown,
        // An erasure takes the number out of what it finds, and nothing comes after it.
        Some(chunk) if chunk.sent_to.is_none() => Person::Erased,
        Some(_) => Person::Known,
    };
    let kept = NewStatusCallback {
        chunk_id: chunk.as_ref().map(|chunk| chunk.id),
        attempt: names.attempt,
        sid: &callback.sid,
        status: &callback.status,
        error_code: callback.error_code,
        params: &twilio::status::kept_params(form, person, &said),
    };
    store::status_callbacks::insert(&mut tx, kept).await?;
    tx.commit().await?;
    Ok(())
}
