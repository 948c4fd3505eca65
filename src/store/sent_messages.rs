//! `channel_sent_days` and `channel_sent_months`: messages that Twilio accepted, by what they cost. They are counted in the transaction that stores the
//! SID, so each is counted once.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use sqlx::PgConnection;

use crate::ids::{ChunkId, UserId};
use crate::periods::Period;
use crate::text_enum::text_enum;

text_enum! {
    /// A message by what WhatsApp charges for it.
    pub enum SentKind in ["channel_sent_days.kind", "channel_sent_months.kind"] {
        /// The assistant's answer.
        Reply = "reply",
        /// The channel's own word about a message.
        Notice = "notice",
        /// Text of our own accord, which counts against an allowance.
        Metered = "metered",
        /// A template that WhatsApp calls marketing; it counts against an allowance, as all templates.
        MarketingTemplate = "marketing_template",
        /// A template that WhatsApp calls utility.
        UtilityTemplate = "utility_template",
        /// A template that WhatsApp calls authentication.
        AuthenticationTemplate = "authentication_template",
        /// A template whose category was not known when it was sent.
        Template = "template",
    }
}

/// How many messages of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SentCounts(BTreeMap<&'static str, i64>);

impl SentCounts {
    fn add(&mut self, kind: SentKind, number: i64) {
        *self.0.entry(kind.as_str()).or_default() += number;
    }

    /// How many of this kind.
    #[must_use]
    pub fn of(&self, kind: SentKind) -> i64 {
        self.0.get(kind.as_str()).copied().unwrap_or_default()
    }

    /// Each kind of which there are some, by its text.
    pub fn by_kind(self) -> impl Iterator<Item = (String, i64)> {
        self.0.into_iter().map(|(kind, number)| (kind.to_owned(), number))
    }

    /// How many of all kinds.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.0.values().sum()
    }

    /// Those that no allowance bounds.
    #[must_use]
    pub fn not_metered(&self) -> i64 {
        self.of(SentKind::Reply) + self.of(SentKind::Notice)
    }
}

/// Counts a chunk's message, in the transaction that stores its SID. The month's row is one of 64, so that transactions seldom wait for each other.
pub(crate) async fn count(conn: &mut PgConnection, id: ChunkId) -> sqlx::Result<()> {
    sqlx::query(
        "WITH sent AS (
             SELECT coalesce(d.user_id, v.user_id, l.user_id) AS user_id, (clock_timestamp() AT TIME ZONE 'UTC')::DATE AS day,
                    CASE WHEN c.form = 'template' AND t.category IN ('marketing', 'utility', 'authentication') THEN t.category || '_template'
                         WHEN c.form = 'template' THEN 'template' WHEN d.purpose IN ('reply', 'notice') THEN d.purpose ELSE 'metered' END AS kind
             FROM channel_chunks c JOIN channel_deliveries d ON d.id = c.delivery_id
             LEFT JOIN channel_conversations v ON v.id = d.conversation_id
             LEFT JOIN channel_templates t ON t.content_sid = d.content_sid
             LEFT JOIN channel_links l ON l.address_id = d.address_id AND l.ended_at IS NULL
             WHERE c.id = $1
         ), of_user AS (
             INSERT INTO channel_sent_days AS s (user_id, day, kind, number) SELECT user_id, day, kind, 1 FROM sent WHERE user_id IS NOT NULL
             ON CONFLICT (user_id, day, kind) DO UPDATE SET number = s.number + 1
         )
         INSERT INTO channel_sent_months AS s (month, kind, shard, number) SELECT date_trunc('month', day)::DATE, kind, $1 % 64, 1 FROM sent
         ON CONFLICT (month, kind, shard) DO UPDATE SET number = s.number + 1",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(())
}

/// What a user was sent in a billing period.
pub async fn of_user(conn: &mut PgConnection, user_id: &UserId, period: Period) -> sqlx::Result<SentCounts> {
    // Periods begin and end at midnight in UTC.
    let rows: Vec<(SentKind, i64)> = sqlx::query_as(
        "SELECT kind, sum(number)::BIGINT FROM channel_sent_days WHERE user_id = $1 AND day >= $2 AND day < $3 GROUP BY kind",
    )
    .bind(user_id)
    .bind(period.start.date_naive())
    .bind(period.end.date_naive())
    .fetch_all(conn)
    .await?;
    let mut counts = SentCounts::default();
    rows.into_iter().for_each(|(kind, number)| counts.add(kind, number));
    Ok(counts)
}

/// What was sent in the running month and those before it, the latest first; a month without a message is left out.
pub async fn months(conn: &mut PgConnection, months: i32) -> sqlx::Result<Vec<(NaiveDate, SentCounts)>> {
    let rows: Vec<(NaiveDate, SentKind, i64)> = sqlx::query_as(
        "SELECT month, kind, sum(number)::BIGINT FROM channel_sent_months
         WHERE month > date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => $1) GROUP BY month, kind ORDER BY month DESC",
    )
    .bind(months)
    .fetch_all(conn)
    .await?;
    let mut counted: Vec<(NaiveDate, SentCounts)> = Vec::new();
    for (month, kind, number) in rows {
        if counted.last().is_none_or(|(last, _)| *last != month) {
            counted.push((month, SentCounts::default()));
        }
        if let Some((_, counts)) = counted.last_mut() {
            counts.add(kind, number);
        }
    }
    Ok(counted)
}

/// What was sent in the running month.
pub async fn this_month(conn: &mut PgConnection) -> sqlx::Result<SentCounts> {
    Ok(months(conn, 1).await?.pop().map(|(_, counts)| counts).unwrap_or_default())
}
