//! `/v1/users/{user}/notifications`: an alert of the product's own accord: metered, under plan and opt-out.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use channel::conversation::dashboard;
use channel::outbound::delivery_view::reason_schema;
use channel::outbound::planning;
use channel::outbound::proactive::{self, Request};
use channel::outbound::quiet_rule::{QuietRule, WhenQuiet};
use channel::outbound::template;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use store::deliveries::{DeliveryState, Purpose};
use store::ids::DeliveryId;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use whatsapp_text::text::{Format, WhatsappText};

use super::{Product, UserPath, known_user};
use crate::http::input::{self, NO_NUL};
use crate::http::problem::Problem;

/// What shall be said.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct NotificationRequest {
    /// The words, at most 20,000 characters. They are split into messages as WhatsApp takes them.
    #[schema(min_length = 1, max_length = 20_000, pattern = r"^[^\x00]*[^\s\x00][^\x00]*$")]
    text: String,
    /// Whose signs the words have; WhatsApp's without it.
    #[serde(default = "as_written")]
    #[schema(schema_with = format_schema)]
    format: Format,
    /// What is sent instead while WhatsApp takes no free text from us.
    template: Option<TemplateRequest>,
    /// What is not sent by then is not sent any more; a day from now without it.
    expires_at: Option<DateTime<Utc>>,
    /// Rather than being blocked because WhatsApp takes no free text, it waits for the person's next message.
    #[serde(default)]
    wait_for_inbound: bool,
    /// In the user's quiet hours it waits for their end, and `expiresAt` moves on by as much.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    respect_quiet_hours: bool,
}

fn as_written() -> Format {
    Format::Whatsapp
}

fn format_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(Format::NAMES))
        .default(Some(Value::from(Format::NAMES[2])))
        .description(Some(
            "Whose signs the words have. whatsapp: they are sent as written. markdown: they are turned into WhatsApp's. auto: the same, unless they have WhatsApp's already.",
        ))
        .build()
}

/// An approved template.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TemplateRequest {
    /// `HX` and 32 hex digits.
    #[schema(min_length = 34, max_length = 34, pattern = "^HX[0-9A-Fa-f]{32}$")]
    content_sid: String,
    /// Its variables, texts by name: at most 100, names of at most 16 characters, values of at most 1024 that are not blank and have no
    /// line breaks, tabs or four spaces in a row.
    #[serde(default)]
    #[schema(schema_with = variables_schema)]
    variables: serde_json::Map<String, Value>,
}

fn variables_schema() -> Object {
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(1024))
        .pattern(Some(NO_NUL));
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(16))
        .pattern(Some(NO_NUL));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .property_names(Some(name))
        .additional_properties(Some(value))
        .max_properties(Some(100))
        .description(Some(
            "Texts by name. Values are not blank and have no line breaks, tabs or four spaces in a row; names have no spaces and braces.",
        ))
        .build()
}

/// What was decided.
#[derive(Serialize, ToSchema)]
pub(super) struct NotificationView {
    delivery: DeliverySummary,
}

/// A delivery in short.
#[derive(Serialize, ToSchema)]
struct DeliverySummary {
    #[schema(value_type = Uuid)]
    id: DeliveryId,
    /// `open`, `waiting` or `blocked` at first.
    state: DeliveryState,
    #[schema(schema_with = reason_schema)]
    reason: Option<String>,
}

/// Sends a notification, or says why not. The same `Idempotency-Key` with the same body within a day is the same delivery.
#[utoipa::path(post, path = "/users/{user}/notifications", operation_id = "notifyUser", tag = "deliveries", params(UserPath, ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[ -~]*$", description = "Makes a second request harmless")), request_body = NotificationRequest, responses((status = 202, body = NotificationView), (status = 404, description = "There is no such user.")))]
pub(super) async fn create(
    State(product): State<Product>,
    UserPath { user }: UserPath,
    headers: HeaderMap,
    input::Json(request): input::Json<NotificationRequest>,
) -> Result<(StatusCode, Json<NotificationView>), Problem> {
    let key = idempotency_key(&headers)?;
    let hash = Sha256::digest(serde_json::to_vec(&request).unwrap_or_default()).to_vec();
    let mut tx = product.queue.begin(&product.pg).await?;
    let now = store::clock::now(&mut tx).await?;
    let expires_at = check(&product, &request, now)?;
    let user = known_user(&mut tx, &user).await?;
    if let Some(key) = key
        && let Some(kept) = store::idempotency_keys::find(&mut tx, &user.id, key).await?
    {
        if kept.body_hash != hash {
            return Err(Problem::invalid(
                "Idempotency-Key: it was used for another request within the last day",
            ));
        }
        let delivery = store::deliveries::get(&mut tx, kept.delivery_id).await?;
        let delivery = delivery.ok_or_else(|| Problem::not_found("the delivery of this key is gone"))?;
        return Ok(accepted(delivery.id, delivery.state, delivery.reason));
    }
    let text = WhatsappText::of(&request.text, request.format);
    if planning::is_blank(text.as_str()) {
        return Err(Problem::invalid("text: nothing of it can be seen in WhatsApp; say what shall be sent"));
    }
    let variables = request.template.as_ref().map(|template| Value::Object(template.variables.clone()));
    let quiet = request.respect_quiet_hours.then(|| QuietRule {
        hours: None,
        then: WhenQuiet::Wait,
        timezone: "UTC".to_owned(),
        lasts: (expires_at - now).to_std().unwrap_or_default(),
        waits_for_inbound: request.wait_for_inbound,
    });
    let planned = proactive::plan(
        &mut tx,
        &product.settings,
        Request {
            user_id: &user.id,
            purpose: Purpose::Notification,
            text: &text,
            template: request
                .template
                .as_ref()
                .zip(variables.as_ref())
                .map(|(template, variables)| (template.content_sid.as_str(), variables)),
            expires_at,
            waits_for_inbound: request.wait_for_inbound,
            quiet: quiet.as_ref(),
            due_at: None,
            not_before: None,
        },
    )
    .await?;
    if let Some(key) = key {
        store::idempotency_keys::keep(&mut tx, &user.id, key, &hash, planned.id).await?;
    }
    tx.commit().await?;
    Ok(accepted(planned.id, planned.state, planned.reason.map(str::to_owned)))
}

fn accepted(
    id: DeliveryId,
    state: DeliveryState,
    reason: Option<String>,
) -> (StatusCode, Json<NotificationView>) {
    (StatusCode::ACCEPTED, Json(NotificationView { delivery: DeliverySummary { id, state, reason } }))
}

/// Refuses what makes no sense; returns when the notification expires.
fn check(
    product: &Product,
    request: &NotificationRequest,
    now: DateTime<Utc>,
) -> Result<DateTime<Utc>, Problem> {
    dashboard::check_text(&request.text)?;
    if let Some(wanted) = &request.template {
        template::check_content_sid(&wanted.content_sid)
            .map_err(|remedy| Problem::invalid(format!("template.contentSid: {remedy}")))?;
        let variables = wanted.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        template::check_variables(variables).map_err(|wrong| Problem::invalid(wrong.to_string()))?;
    }
    let expires_at = request.expires_at.unwrap_or(now + product.settings.deliveries.notification_expires);
    if expires_at <= now {
        return Err(Problem::invalid("expiresAt: it is past"));
    }
    Ok(expires_at)
}

pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().ok().filter(|key| (1..=255).contains(&key.len()));
    key.map(Some).ok_or_else(|| Problem::invalid("Idempotency-Key: it must have 1 to 255 visible characters"))
}
