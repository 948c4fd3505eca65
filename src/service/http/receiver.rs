//! `POST /webhooks/whatsapp`: a message arrives. It is verified, stored and handed to a job, and nothing else: the receiver never
//! calls Twilio or the agent.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{OriginalUri, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use channel::inbound::intake::{self, TakenIn, WayIn};
use channel::write_error::WriteError;
use queue::trace::TraceParent;
use tracing::Instrument as _;
use twilio::address::canonical;
use twilio::inbound::InboundMessage;
use twilio::signature::SignatureError;
use twilio::webhook::{UnverifiedRequest, VerifiedForm, WebhookError};

use super::{Receiver, WebhookRefusal, refuse};
use crate::public_url::{self, Hook};

/// Why a webhook was given up.
pub(super) const TOO_LATE: &str = "the database does not answer";

/// Tells Twilio to do nothing.
const EMPTY_TWIML: &str = r#"<?xml version="1.0" encoding="UTF-8"?><Response></Response>"#;

pub(crate) async fn receive(
    State(receiver): State<Receiver>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let form = match verify(&receiver, Hook::Message, &uri, &headers, body) {
        Ok(form) => form,
        Err(refusal) => return refusal.into_response(),
    };
    let message = match InboundMessage::parse(&form) {
        Ok(message) => message,
        Err(error) => {
            tracing::warn!(error = %error, "Refused a signed webhook that is no message: {error}");
            return refuse(StatusCode::BAD_REQUEST, "not a message webhook");
        }
    };
    if !is_ours(&receiver, &message) {
        return refuse(StatusCode::FORBIDDEN, "not for this account");
    }
    let trace = headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(TraceParent::parse);
    let trace = trace.map_or_else(TraceParent::root, |from| from.child());
    let span = tracing::info_span!("webhook", trace = trace.trace_id());
    let keeping = trace.scope(keep(&receiver, &form, &message).instrument(span));
    match tokio::time::timeout(receiver.database_timeout, keeping).await {
        Ok(Ok(())) => ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], EMPTY_TWIML).into_response(),
        Ok(Err(error)) => {
            tracing::error!(error = %error, "Could not store message {}: {error}", message.sid);
            refuse(StatusCode::SERVICE_UNAVAILABLE, "the database is away")
        }
        Err(_) => {
            tracing::error!(error = TOO_LATE, "Could not store message {} in time", message.sid);
            refuse(StatusCode::SERVICE_UNAVAILABLE, TOO_LATE)
        }
    }
}

/// The body as a form whose signature was checked, or the refusal. Nothing is looked up before this.
pub(crate) fn verify(
    receiver: &Receiver,
    hook: Hook,
    uri: &Uri,
    headers: &HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<VerifiedForm, WebhookRefusal> {
    let body = body.map_err(|rejection| {
        WebhookRefusal(rejection.status(), "the body cannot be read, or is too large")
    })?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
    let urls = match &receiver.public_url {
        Some(public_url) => public_url.candidates(hook, path_and_query),
        None => public_url::as_received(
            text("host").as_deref(),
            text("x-forwarded-proto").as_deref(),
            path_and_query,
        ),
    };
    let request = UnverifiedRequest {
        urls,
        content_type: text("content-type"),
        signature: text("x-twilio-signature"),
        signature_settings: text("x-twilio-webhooks-signature-settings"),
        body: body.to_vec(),
    };
    request.verify(&receiver.signature).map_err(|error| match error {
        WebhookError::Signature(reason) => {
            let tried = tried(receiver, hook, uri.path(), &reason);
            tracing::warn!(error = reason.cause(), "Refused a webhook: {reason}{tried}");
            WebhookRefusal(StatusCode::FORBIDDEN, "signature refused")
        }
        WebhookError::Form => {
            tracing::warn!("Refused a signed webhook: it is not a form in UTF-8");
            WebhookRefusal(StatusCode::BAD_REQUEST, "not a form")
        }
    })
}

/// The URLs of which Twilio should have signed one, for whoever compares them with what is configured at Twilio.
fn tried(receiver: &Receiver, hook: Hook, path: &str, reason: &SignatureError) -> String {
    match (&receiver.public_url, reason) {
        (Some(public_url), SignatureError::Mismatch | SignatureError::KeyMismatch(_)) => {
            let tried = public_url.candidates(hook, path);
            let tried: Vec<String> = tried.iter().map(|url| public_url::shown(url)).collect();
            format!("; tried {}", tried.join(", "))
        }
        _ => String::new(),
    }
}

/// A signed message of another account or for another number has strayed here.
fn is_ours(receiver: &Receiver, message: &InboundMessage) -> bool {
    let account = message.account_sid.as_deref().is_none_or(|sid| sid == receiver.account_sid);
    // Twilio may spell our own number in the other way that it has.
    let number = message.to.as_deref().is_none_or(|to| canonical(to) == canonical(&receiver.whatsapp_number));
    if !(account && number) {
        tracing::warn!("Refused message {}: its AccountSid or To is not ours", message.sid);
    }
    account && number
}

/// Message, writer and job in one transaction, which it shares with other messages where it can. A second webhook of the same message changes
/// nothing.
async fn keep(receiver: &Receiver, form: &VerifiedForm, message: &InboundMessage) -> Result<(), WriteError> {
    let taken = match receiver.together.take_in(&receiver.settings, message, form.to_json()).await {
        Some(taken) => taken,
        None => keep_alone(receiver, form, message).await?,
    };
    match taken {
        TakenIn::New(id) => {
            receiver.pg.note_commit();
            tracing::info!(message.id = id.0, message.sid = message.sid, "Took in message {id}");
        }
        TakenIn::Known => tracing::info!("Had message {} already", message.sid),
    }
    Ok(())
}

async fn keep_alone(
    receiver: &Receiver,
    form: &VerifiedForm,
    message: &InboundMessage,
) -> Result<TakenIn, WriteError> {
    let mut tx = receiver.queue.begin(&receiver.pg).await?;
    let taken =
        intake::take_in(&mut tx, &receiver.settings, message, &form.to_json(), WayIn::Webhook).await?;
    if taken == TakenIn::Known {
        return Ok(taken);
    }
    if let Err(error) = tx.commit().await {
        // The answer to a COMMIT may be lost although it happened.
        let mut conn = receiver.pg.acquire().await?;
        if store::messages::exists(&mut conn, &message.sid).await? {
            return Ok(taken);
        }
        return Err(error.into());
    }
    Ok(taken)
}
