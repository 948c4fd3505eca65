//! What the product says of a user.

use std::collections::BTreeMap;

use channel::quiet_hours::QuietHours;
use channel::user_attributes;
use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use serde::{Deserialize, Deserializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    KnownFormat, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use super::agents::AgentRequest;
use super::user_view::QuietHoursView;
use crate::http::input::NO_NUL;
use crate::http::problem::Problem;

/// What changes; what is left out stays as it is.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct UserRequest {
    /// A plan by its name, in any case. A new user without one gets the default plan.
    #[schema(min_length = 1, max_length = 100, pattern = r"^[^\x00]*$")]
    pub(super) plan: Option<String>,
    /// On which day of the month billing periods begin, 1 to 31 or a date; null: calendar months. A change holds from the end of the running
    /// period.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<PeriodAnchor>)]
    pub(super) period_anchor: Option<Option<PeriodAnchor>>,
    /// The assistant is silent; STOP and START still work.
    pub(super) paused: Option<bool>,
    /// The user's own time zone, by its IANA name; null: not known.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 64, pattern = r"^[^\x00]*$")]
    pub(super) timezone: Option<Option<String>>,
    /// When nothing scheduled is sent, nor notifications that heed it, on the clocks of the user's zone; null: never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<QuietHoursView>)]
    pub(super) quiet_hours: Option<Option<QuietHours>>,
    /// What schedules' texts may say of the user.
    #[serde(default, deserialize_with = "given")]
    #[schema(schema_with = attributes_schema)]
    pub(super) attributes: Option<Option<BTreeMap<String, String>>>,
    /// The agent that the user has of their own, in place of what there was; null: the deployment's.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<AgentRequest>)]
    pub(super) agent: Option<Option<AgentRequest>>,
}

fn attributes_schema() -> Object {
    let value = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(user_attributes::VALUE_BYTES))
        .pattern(Some(NO_NUL));
    let name = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(user_attributes::NAME_BYTES))
        .pattern(Some("^[A-Za-z0-9_-]*$"));
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .property_names(Some(name))
        .additional_properties(Some(value))
        .max_properties(Some(user_attributes::ATTRIBUTES))
        .description(Some(
            "What schedules' texts may say of the user, as `{{user.attributes.NAME}}`, in place of what there was: at most 50 texts of at most 1024 bytes. null: nothing.",
        ))
        .build()
}

/// Tells null from nothing.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A day of the month: by itself, or that of a date or of a moment in UTC.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum PeriodAnchor {
    Day(u32),
    Date(NaiveDate),
    Moment(DateTime<Utc>),
}

impl PartialSchema for PeriodAnchor {
    fn schema() -> RefOr<Schema> {
        let day = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(31));
        let text = |format| {
            ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::KnownFormat(format)))
        };
        OneOfBuilder::new()
            .item(day)
            .item(text(KnownFormat::Date))
            .item(text(KnownFormat::DateTime))
            .description(Some("A day of the month: by itself, or that of a date or of a moment in UTC."))
            .into()
    }
}

impl ToSchema for PeriodAnchor {}

impl PeriodAnchor {
    pub(super) fn day(self) -> Result<u32, Problem> {
        let day = match self {
            Self::Day(day) => day,
            Self::Date(date) => date.day(),
            Self::Moment(moment) => moment.day(),
        };
        if (1..=31).contains(&day) {
            return Ok(day);
        }
        Err(Problem::invalid(format!(
            "periodAnchor: {day} is no day of a month; it must be 1 to 31, or a date"
        )))
    }
}
