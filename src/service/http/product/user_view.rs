//! What is known of a user, as the interface and the command line show it.

use std::collections::BTreeMap;

use channel::app::Settings;
use channel::opt_out;
use chrono::{DateTime, NaiveTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use store::claim_tokens::{LatestToken, TokenEnding};
use store::consents::{Consent, ConsentAction, ConsentMethod};
use store::ids::UserId;
use store::links::Link;
use store::users::User;
use utoipa::ToSchema;

use super::agents::AgentView;
use super::usage::{self, UsageView};

/// All we know of a user.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UserView {
    #[schema(value_type = String)]
    pub(crate) user: UserId,
    pub(crate) plan: String,
    /// On which day billing periods begin; null: calendar months.
    period_anchor: Option<u32>,
    pub(crate) paused: bool,
    /// The user's own time zone; null: not known.
    pub(crate) timezone: Option<String>,
    /// When nothing scheduled is sent, nor notifications that heed it, on the clocks of the user's zone; null: never.
    pub(crate) quiet_hours: Option<QuietHoursView>,
    /// What schedules' texts may say of the user.
    pub(crate) attributes: BTreeMap<String, String>,
    /// The agent that the user has of their own; null: the deployment's.
    agent: Option<AgentView>,
    /// The linked phone; null: none.
    pub(crate) whatsapp: Option<LinkView>,
    /// Wants no scheduled and proactive messages.
    pub(crate) opted_out: bool,
    /// The latest claim token; null: there never was one.
    pub(crate) claim: Option<ClaimState>,
    /// Everything the user agreed to and took back, in order.
    consents: Vec<ConsentView>,
    pub(crate) usage: UsageView,
    created_at: DateTime<Utc>,
}

/// Two times of the day, like 22:00 and 07:00. They may go over midnight, and differ.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuietHoursView {
    /// The first time that they cover.
    #[schema(min_length = 5, max_length = 5, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub(crate) from: String,
    /// The first time that they do not cover any more.
    #[schema(min_length = 5, max_length = 5, pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    pub(crate) to: String,
}

impl From<(NaiveTime, NaiveTime)> for QuietHoursView {
    fn from((from, to): (NaiveTime, NaiveTime)) -> Self {
        let spelled = |time: NaiveTime| time.format("%H:%M").to_string();
        Self { from: spelled(from), to: spelled(to) }
    }
}

/// A linked phone.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LinkView {
    /// As Twilio spells it: `whatsapp:+E164`, or `whatsapp:` and an opaque id.
    pub(crate) address: String,
    pub(crate) linked_at: DateTime<Utc>,
    /// Its number came with another WhatsApp id, so it may be somebody else's now: nothing is sent to it until the user claims a phone again.
    pub(crate) unproven: bool,
    /// Since when; null: it is proven.
    unproven_since: Option<DateTime<Utc>>,
}

/// What became of a claim token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ClaimState {
    /// How it ended, or whether it may still be sent.
    pub(crate) state: ClaimStanding,
    pub(crate) expires_at: DateTime<Utc>,
    /// What helps, where something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// Where a claim token stands.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClaimStanding {
    /// Nobody has sent it yet.
    Waiting,
    /// Its time was over before anybody sent it.
    Expired,
    /// Its phone is linked.
    Redeemed,
    /// A new one was handed out.
    Voided,
    /// The phone is another user's, and the token may not replace.
    NumberLinkedElsewhere,
    /// The user's plan has no WhatsApp.
    Plan,
    /// The assistant may not talk to people of the phone's country.
    Country,
}

impl From<LatestToken> for ClaimStanding {
    fn from(token: LatestToken) -> Self {
        match token.ending {
            None if token.expired => Self::Expired,
            None => Self::Waiting,
            Some(TokenEnding::Redeemed) => Self::Redeemed,
            Some(TokenEnding::Voided) => Self::Voided,
            Some(TokenEnding::NumberLinkedElsewhere) => Self::NumberLinkedElsewhere,
            Some(TokenEnding::Plan) => Self::Plan,
            Some(TokenEnding::Country) => Self::Country,
        }
    }
}

/// Something the user agreed to or took back.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConsentView {
    phone: Option<String>,
    /// How.
    method: ConsentMethod,
    /// Which of both.
    action: ConsentAction,
    text: String,
    version: String,
    message_sid: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Consent> for ConsentView {
    fn from(consent: Consent) -> Self {
        let Consent { phone, method, action, text, version, message_sid, created_at } = consent;
        Self { phone, method, action, text, version, message_sid, created_at }
    }
}

/// A user as the interface and the command line show it.
pub(crate) async fn view(conn: &mut PgConnection, settings: &Settings, user: User) -> sqlx::Result<UserView> {
    let link = store::links::of_user(conn, &user.id).await?;
    let names = match &link {
        Some(link) => Some(store::addresses::names(conn, link.address_id).await?),
        None => None,
    };
    let opted_out = opt_out::stands(conn, &settings.secret_keys, &user.id, names.as_deref()).await?;
    let whatsapp = link.zip(names).map(|(link, names)| {
        let address = names.into_iter().next().map(|name| name.alias).unwrap_or_default();
        let Link { linked_at, unproven_since, .. } = link;
        LinkView { address, linked_at, unproven: unproven_since.is_some(), unproven_since }
    });
    let claim = store::claim_tokens::latest(conn, &user.id).await?.map(|token| {
        let remedy = match token.ending {
            Some(TokenEnding::NumberLinkedElsewhere) => {
                Some("the phone is linked to another user; a claim with \"replace\": true moves it")
            }
            Some(TokenEnding::Country) => {
                Some("claim a phone of a country where the assistant may talk to people on WhatsApp")
            }
            _ => None,
        };
        ClaimState { expires_at: token.expires_at, remedy, state: token.into() }
    });
    let consents = store::consents::of_user(conn, &user.id).await?;
    let agent = store::user_agents::get(conn, &user.id).await?.map(AgentView::from);
    let usage = usage::view(conn, settings, &user).await?;
    Ok(UserView {
        agent,
        whatsapp,
        opted_out,
        claim,
        consents: consents.into_iter().map(ConsentView::from).collect(),
        usage,
        user: user.id,
        plan: user.plan,
        period_anchor: user.anchor.day,
        paused: user.paused,
        timezone: user.timezone,
        quiet_hours: user.quiet_hours.map(QuietHoursView::from),
        attributes: user.attributes,
        created_at: user.created_at,
    })
}
