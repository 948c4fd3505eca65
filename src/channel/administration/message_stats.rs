//! What was sent month by month, for administrators at a terminal and over HTTP.

use chrono::NaiveDate;
use serde::Serialize;
use sqlx::PgConnection;
use store::sent_messages::{self, SentCounts, SentKind};
use utoipa::ToSchema;

use crate::app::Costs;

/// How many months, where nothing is said.
pub const USUAL_MONTHS: i32 = 12;

/// What was sent month by month.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MessageStats {
    /// The latest first. A month without a message is left out.
    pub months: Vec<MonthView>,
    /// `costs.monthly_cap`; null: there is none.
    pub monthly_cap: Option<u32>,
}

/// What was sent in a calendar month, in UTC.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct MonthView {
    /// `2026-11`
    pub month: String,
    /// Messages that Twilio accepted.
    pub total: i64,
    /// Replies and notices: what no allowance bounds, and `costs.monthly_cap` counts.
    pub not_metered: i64,
    /// By kind.
    pub messages: SentView,
}

/// Messages that Twilio accepted, by what WhatsApp charges for.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SentView {
    /// Of the assistant.
    pub replies: i64,
    /// The channel's own words, a confirmation say.
    pub notices: i64,
    /// Texts of our own accord, which allowances count. Allowances count templates, too.
    pub metered: i64,
    /// Templates that WhatsApp calls marketing.
    pub marketing_templates: i64,
    /// Templates that WhatsApp calls utility.
    pub utility_templates: i64,
    /// Templates that WhatsApp calls authentication.
    pub authentication_templates: i64,
    /// Templates whose category was not known when they were sent.
    pub other_templates: i64,
}

impl From<&SentCounts> for SentView {
    fn from(counts: &SentCounts) -> Self {
        Self {
            replies: counts.of(SentKind::Reply),
            notices: counts.of(SentKind::Notice),
            metered: counts.of(SentKind::Metered),
            marketing_templates: counts.of(SentKind::MarketingTemplate),
            utility_templates: counts.of(SentKind::UtilityTemplate),
            authentication_templates: counts.of(SentKind::AuthenticationTemplate),
            other_templates: counts.of(SentKind::Template),
        }
    }
}

impl MonthView {
    fn of(month: NaiveDate, counts: &SentCounts) -> Self {
        let (total, not_metered) = (counts.total(), counts.not_metered());
        Self { month: month.format("%Y-%m").to_string(), total, not_metered, messages: counts.into() }
    }
}

/// What was sent in the running month and those before it.
pub async fn read(conn: &mut PgConnection, costs: &Costs, months: i32) -> sqlx::Result<MessageStats> {
    let counted = sent_messages::months(conn, months).await?;
    let cap = costs.monthly_cap;
    Ok(MessageStats {
        months: counted.iter().map(|(month, counts)| MonthView::of(*month, counts)).collect(),
        monthly_cap: (cap > 0).then_some(cap),
    })
}
