//! `POST /webhooks/whatsapp/status`: what became of a message. Forward only, harmless when it comes twice or late.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jobs::post_alert::{self, AlertError};
use jobs::proactive::{self, PlanError};
use jobs::{lanes, sending};
use queue::trace::TraceParent;
use store::chunks::Accepted;
use store::status_callbacks::NewStatusCallback;
use tracing::Instrument as _;
use twilio::errors::ErrorClass;
use twilio::status::StatusCallback;
use twilio::webhook::VerifiedForm;

use super::{Receiver, receiver, refuse};

pub(crate) async fn receive(
    State(receiver): State<Receiver>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let form = match receiver::verify(&receiver, &uri, &headers, body) {
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
    let names = Names::read(uri.query().unwrap_or_default());
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
        Err(_) => refuse(StatusCode::SERVICE_UNAVAILABLE, "the database does not answer"),
    }
}

/// What our own URL says the callback is about; Twilio's signature covers it.
#[derive(Clone, Copy, Default)]
struct Names {
    chunk: Option<i64>,
    attempt: Option<i32>,
}

impl Names {
    fn read(query: &str) -> Self {
        let value = |name: &str| {
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        Self {
            chunk: value("chunk").and_then(|id| id.parse().ok()),
            attempt: value("attempt").and_then(|number| number.parse().ok()),
        }
    }
}

async fn trace_of(receiver: &Receiver, names: Names) -> sqlx::Result<Option<TraceParent>> {
    let (Some(chunk), Some(attempt)) = (names.chunk, names.attempt) else { return Ok(None) };
    let trace = store::chunks::trace_of_attempt(&mut *receiver.pg.acquire().await?, chunk, attempt).await?;
    Ok(trace.as_deref().and_then(TraceParent::parse).map(|sent| sent.child()))
}

/// Keeps the callback; moves its chunk, which it may prove to have been sent; wakes the jobs that wait for it.
async fn apply(
    receiver: &Receiver,
    form: &VerifiedForm,
    callback: &StatusCallback,
    names: Names,
) -> Result<(), ApplyError> {
    let mut tx = receiver.queue.begin(&receiver.pg).await?;
    let named = match names.chunk {
        Some(id) => Some(id),
        // Reported to another URL than the one we gave: the SID may still be one of ours.
        None => store::chunks::find_by_sid(&mut tx, &callback.sid).await?,
    };
    let failed_for_good = matches!(callback.status.as_str(), "failed" | "undelivered");
    let wants_none = failed_for_good
        && callback.error_code.is_some()
        && twilio::errors::class_of_callback(callback.error_code) == ErrorClass::OptedOut;
    let mut person = None;
    if let (Some(id), true) = (named, wants_none) {
        // The person is locked before the chunk, as everywhere.
        if let Some(chunk) = store::chunks::get(&mut tx, id).await? {
            person = Some(store::addresses::lock(&mut tx, chunk.address_id).await?.id);
        }
    }
    let chunk = match named {
        Some(id) => store::chunks::lock(&mut tx, id).await?,
        None => None,
    };
    let kept = NewStatusCallback {
        chunk_id: chunk.as_ref().map(|chunk| chunk.id),
        attempt: names.attempt,
        sid: &callback.sid,
        status: &callback.status,
        error_code: callback.error_code,
        params: &form.to_json(),
    };
    store::status_callbacks::insert(&mut tx, kept).await?;
    if let Some(chunk) = chunk {
        let attempt = names.attempt.unwrap_or(chunk.attempt);
        if let Accepted::DoubleSend { first_sid } =
            store::chunks::accept(&mut tx, chunk.id, attempt, &callback.sid).await?
        {
            let detail = format!("chunk {} went out as {first_sid} and again as {}", chunk.id, callback.sid);
            post_alert::raise(&mut tx, &receiver.settings, "double_send", &detail).await?;
        } else {
            let message = callback.error_message.as_deref();
            if store::chunks::apply_status(&mut tx, chunk.id, &callback.status, callback.error_code, message)
                .await?
            {
                tracing::info!(
                    chunk.id = chunk.id,
                    status = callback.status,
                    "Chunk {} is {}",
                    chunk.id,
                    callback.status
                );
            }
        }
        if failed_for_good && receiver.settings.credit_failed {
            store::allowances::credit(&mut tx, chunk.id).await?;
        }
        if let Some(address_id) = person {
            sending::opt_out_by_provider(&mut tx, &receiver.settings, address_id, callback.error_code)
                .await?;
        }
        store::deliveries::follow_chunks(&mut tx, chunk.delivery_id).await?;
        if chunk.state == "sending" || chunk.state == "unknown" {
            // What waited behind a send in doubt has no job any more.
            proactive::go_on(&mut tx, chunk.delivery_id).await?;
        }
        tx.wake(&lanes::chunk_key(chunk.id)).await?;
        if let Some(next) = store::chunks::after(&mut tx, chunk.id).await? {
            tx.wake(&lanes::chunk_key(next)).await?;
        }
    }
    tx.commit().await?;
    Ok(())
}

/// Why a callback was not stored.
#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("{0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Plan(#[from] PlanError),
    #[error("{0}")]
    Alert(#[from] AlertError),
}
