//! States, reasons and outcomes: enums that the database keeps as text. Each is defined once, beside its table, and names the columns that hold it; a
//! test compares those columns' checks with it. The description of the HTTP interface has the same texts.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};

/// A text that is none of an enum's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} cannot be {text:?}: it is one of {}", .known.join(", "))]
pub struct UnknownText {
    /// The columns that hold the enum.
    pub what: String,
    /// The text.
    pub text: String,
    /// What is known.
    pub known: &'static [&'static str],
}

/// An enum that the database keeps as text.
pub trait TextEnum: Copy + 'static {
    /// Each column that holds it and has a check, as `table.column`.
    const COLUMNS: &'static [&'static str];
    /// All variants, in order.
    const VARIANTS: &'static [Self];
    /// The texts of all variants, in order.
    const TEXTS: &'static [&'static str];
    /// Each text with a sentence that says what it means.
    const MEANINGS: &'static [(&'static str, &'static str)];
}

/// Defines an enum with the text of each variant: `text_enum! { /// Doc. pub enum Name in ["table.column"] { /// Doc. Variant = "text", … } }`.
macro_rules! text_enum {
    (
        $(#[doc = $doc:literal])+
        pub enum $name:ident in [$($column:literal),*] {
            $($(#[doc = $variant_doc:literal])+ $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[doc = $variant_doc])+ $variant,)+
        }

        impl $name {
            /// The text that stands for it in the database and in JSON.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// What it means, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($variant_doc),+).trim_ascii(),)+
                }
            }
        }

        impl $crate::text_enum::TextEnum for $name {
            const COLUMNS: &'static [&'static str] = &[$($column),*];
            const VARIANTS: &'static [Self] = &[$(Self::$variant),+];
            const TEXTS: &'static [&'static str] = &[$($text),+];
            const MEANINGS: &'static [(&'static str, &'static str)] =
                &[$(($text, Self::$variant.meaning())),+];
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::text_enum::UnknownText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::text_enum::unknown::<Self>(text)),
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $crate::text_enum::schema::<Self>(concat!($($doc),+).trim_ascii())
            }
        }

        impl utoipa::ToSchema for $name {}

        impl sqlx::Type<sqlx::Postgres> for $name {
            fn type_info() -> sqlx::postgres::PgTypeInfo {
                <str as sqlx::Type<sqlx::Postgres>>::type_info()
            }

            fn compatible(info: &sqlx::postgres::PgTypeInfo) -> bool {
                <str as sqlx::Type<sqlx::Postgres>>::compatible(info)
            }
        }

        impl sqlx::postgres::PgHasArrayType for $name {
            fn array_type_info() -> sqlx::postgres::PgTypeInfo {
                <&str as sqlx::postgres::PgHasArrayType>::array_type_info()
            }
        }

        impl sqlx::Encode<'_, sqlx::Postgres> for $name {
            fn encode_by_ref(
                &self,
                buffer: &mut sqlx::postgres::PgArgumentBuffer,
            ) -> Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
                <&str as sqlx::Encode<'_, sqlx::Postgres>>::encode(self.as_str(), buffer)
            }
        }

        impl<'r> sqlx::Decode<'r, sqlx::Postgres> for $name {
            fn decode(value: sqlx::postgres::PgValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
                Ok(<&str as sqlx::Decode<'r, sqlx::Postgres>>::decode(value)?.parse()?)
            }
        }
    };
}

pub(crate) use text_enum;

/// The error for a text that is none of an enum's.
pub(crate) fn unknown<E: TextEnum>(text: &str) -> UnknownText {
    UnknownText { what: E::COLUMNS.join(", "), text: text.to_owned(), known: E::TEXTS }
}

/// How the HTTP interface describes an enum: what it says, and each text with what it means.
pub(crate) fn schema<E: TextEnum>(says: &str) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(E::TEXTS.iter().copied()))
        .description(Some(description::<E>(says)))
        .into()
}

/// A description that lists each text of an enum with what it means.
#[must_use]
pub fn description<E: TextEnum>(says: &str) -> String {
    let means = E::MEANINGS.iter().map(|(text, meaning)| format!("\n- `{text}`: {meaning}"));
    format!("{says}\n{}", means.collect::<String>())
}
