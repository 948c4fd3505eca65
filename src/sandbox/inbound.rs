//! `POST /sandbox/inbound`: a person writes. The message is listed, and its webhook goes to the service with every parameter that Twilio
//! sends.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::api_error::ApiError;
use crate::clock;
use crate::exchanges::ExchangeKind;
use crate::journal::NotKept;
use crate::media::{attachment, message_type};
use crate::message::SandboxMessage;
use crate::resource::random_hex;
use crate::state::SandboxState;
use crate::webhook::{WebhookAnswer, deliver};

/// Who writes unless somebody else is named.
const USUAL_PERSON: &str = "+15005550100";

/// What is said to whoever names nobody.
pub(crate) const NOBODY: &str = "nobody on WhatsApp: a number like +15005550100, or the id of a person who hides the number, like US.13491208655302741918";

/// What a phone shows of an inbound message beside its text and file.
const SHOWN_PARAMETERS: [&str; 7] =
    ["ProfileName", "Latitude", "Longitude", "Label", "Address", "ButtonText", "OriginalRepliedMessageSid"];

pub(crate) async fn inject(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(given) = fields(&headers, &body) else {
        return refused("send a form or a JSON object of texts, for example From and Body");
    };
    let from = given.iter().find(|(name, _)| name == "From").map(|(_, from)| whatsapp_address(from));
    if from.is_some_and(|from| !is_person(&from)) {
        return refused(&format!("From is {NOBODY}"));
    }
    match write(&sandbox, &given).await {
        Err(error) => ApiError::from(error).into_response(),
        Ok(WrittenMessage { sid, webhook: None }) => {
            Json(json!({"sid": sid, "webhook": null})).into_response()
        }
        Ok(WrittenMessage { sid, webhook: Some(Ok(answered)) }) => {
            Json(json!({"sid": sid, "webhook": {"status": answered.status.as_u16(), "body": answered.body}}))
                .into_response()
        }
        Ok(WrittenMessage { sid, webhook: Some(Err(reason)) }) => {
            (StatusCode::BAD_GATEWAY, Json(json!({"sid": sid, "webhook": {"error": reason}}))).into_response()
        }
    }
}

fn refused(why: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": why }))).into_response()
}

/// A message that a person wrote.
pub(crate) struct WrittenMessage {
    pub(crate) sid: String,
    /// What its webhook was answered, or why it was not; `None`: it was not to be delivered.
    pub(crate) webhook: Option<Result<WebhookAnswer, String>>,
}

/// A person writes: these parameters, and the usual ones for the rest.
pub(crate) async fn write(
    sandbox: &Arc<SandboxState>,
    given: &[(String, String)],
) -> Result<WrittenMessage, NotKept> {
    let field = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let params = params(sandbox, given);
    let sid = value(&params, "MessageSid").to_owned();
    let now = clock::now();
    let message = SandboxMessage {
        sid: sid.clone(),
        direction: "inbound".to_owned(),
        from: value(&params, "From").to_owned(),
        to: value(&params, "To").to_owned(),
        body: value(&params, "Body").to_owned(),
        status: "received".to_owned(),
        error_code: None,
        status_callback: None,
        content_sid: None,
        content_variables: None,
        media_url: field("MediaUrl0").filter(|url| !url.is_empty()).map(str::to_owned),
        messaging_service_sid: None,
        send_at: None,
        validity_period: None,
        created_at: now,
        updated_at: now,
        sent_at: Some(now),
        typing_at: None,
        deleted: false,
        parameters: SHOWN_PARAMETERS
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), field(name)?.to_owned())))
            .collect(),
    };
    // The same message again is a webhook that Twilio sends twice.
    sandbox.add(message.clone())?;
    if field("deliver") == Some("false") {
        return Ok(WrittenMessage { sid, webhook: None });
    }
    // On a task of its own: Twilio goes on though whoever asked for this has gone.
    let url = sandbox.webhook_url();
    let delivering = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move {
            let delivered = sandbox
                .stop
                .run_until_cancelled(deliver(&sandbox, ExchangeKind::InboundMessage, &url, &params))
                .await;
            delivered.unwrap_or_else(|| Err("the sandbox was stopped".to_owned()))
        })
    };
    let webhook = delivering.await.unwrap_or_else(|error| Err(error.to_string()));
    if let Ok(answered) = &webhook {
        say(sandbox, &message, answered)?;
    }
    Ok(WrittenMessage { sid, webhook: Some(webhook) })
}

/// What a webhook's answer makes Twilio say to the person: a text, or a `<Message>` of TwiML.
fn say(sandbox: &SandboxState, message: &SandboxMessage, answered: &WebhookAnswer) -> Result<(), NotKept> {
    let is = |kind: &str| answered.content_type.starts_with(kind);
    let is_text = is("text/plain") && !answered.body.is_empty();
    let is_twiml =
        (is("text/xml") || is("application/xml") || is("text/html")) && answered.body.contains("<Message");
    if !answered.status.is_success() || !(is_text || is_twiml) {
        return Ok(());
    }
    let now = clock::now();
    sandbox.add(SandboxMessage {
        sid: format!("SM{}", random_hex()),
        direction: "outbound-reply".to_owned(),
        from: message.to.clone(),
        to: message.from.clone(),
        body: answered.body.clone(),
        status: "delivered".to_owned(),
        created_at: now,
        updated_at: now,
        sent_at: Some(now),
        media_url: None,
        typing_at: None,
        parameters: BTreeMap::new(),
        ..message.clone()
    })
}

/// The captured set of parameters of a text, or of a file if there is a `MediaUrl0`, with what was given in its place.
fn params(sandbox: &SandboxState, given: &[(String, String)]) -> Vec<(String, String)> {
    let field = |name: &str| given.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let from = whatsapp_address(&field("From").unwrap_or_else(|| USUAL_PERSON.to_owned()));
    let attachment = field("MediaUrl0").filter(|url| !url.is_empty()).map(|url| attachment(sandbox, &url));
    let usual_sid =
        attachment.as_ref().map_or_else(|| format!("SM{}", random_hex()), |it| it.message_sid.clone());
    let sid = field("MessageSid").unwrap_or(usual_sid);
    let content_type =
        attachment.map(|attachment| field("MediaContentType0").unwrap_or(attachment.content_type));
    let message_type = content_type.as_deref().map_or("text", message_type);
    // A person who hides the number has an id instead, and no `WaId`.
    let digits = from.strip_prefix("whatsapp:+");
    let usual = [
        ("SmsMessageSid", sid.clone()),
        ("NumMedia", if content_type.is_some() { "1" } else { "0" }.to_owned()),
        ("ProfileName", "Sandbox Person".to_owned()),
        ("MessageType", message_type.to_owned()),
        ("SmsSid", sid.clone()),
        ("WaId", digits.unwrap_or_default().to_owned()),
        ("SmsStatus", "received".to_owned()),
        ("Body", String::new()),
        ("To", sandbox.settings.whatsapp_number.clone()),
        ("NumSegments", "1".to_owned()),
        ("ReferralNumMedia", "0".to_owned()),
        ("AccountSid", sandbox.settings.account_sid.clone()),
        ("ApiVersion", "2010-04-01".to_owned()),
    ];
    let mut params: Vec<(String, String)> =
        usual.into_iter().map(|(name, value)| (name.to_owned(), field(name).unwrap_or(value))).collect();
    params.push(("MessageSid".to_owned(), sid));
    params.extend(content_type.map(|content_type| ("MediaContentType0".to_owned(), content_type)));
    if digits.is_none() && field("ExternalUserId").is_none() {
        params.push(("ExternalUserId".to_owned(), from.clone()));
    }
    params.push(("From".to_owned(), from));
    for (name, value) in given {
        if name != "deliver" && !params.iter().any(|(known, _)| known == name) {
            params.push((name.clone(), value.clone()));
        }
    }
    params
}

/// `whatsapp:+15005550100` or `whatsapp:US.123`, from whatever of it was given. A form that was not encoded has a space for the `+`.
pub(crate) fn whatsapp_address(given: &str) -> String {
    let name = given.strip_prefix("whatsapp:").unwrap_or(given).replace([' ', '+'], "");
    let is_number = !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit());
    format!("whatsapp:{}{name}", if is_number { "+" } else { "" })
}

/// A number, or a country's two letters, a dot, and an id.
pub(crate) fn is_person(address: &str) -> bool {
    let name = address.trim_start_matches("whatsapp:");
    let is_id = |(country, id): (&str, &str)| {
        country.len() == 2
            && country.bytes().all(|b| b.is_ascii_uppercase())
            && !id.is_empty()
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
    };
    let is_number = |digits: &str| (2..=15).contains(&digits.len()) && !digits.starts_with('0');
    name.strip_prefix('+').is_some_and(is_number) || name.split_once('.').is_some_and(is_id)
}

fn value<'a>(params: &'a [(String, String)], name: &str) -> &'a str {
    params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// A form or a flat JSON object.
fn fields(headers: &HeaderMap, body: &[u8]) -> Option<Vec<(String, String)>> {
    let is_json = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.starts_with("application/json"));
    if !is_json {
        return Some(url::form_urlencoded::parse(body).into_owned().collect());
    }
    let object: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
    Some(
        object
            .into_iter()
            .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect(),
    )
}
