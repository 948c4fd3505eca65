//! `channel_templates`: what WhatsApp said last of the templates that schedules name.

use sqlx::PgConnection;

use crate::ids::ScheduleName;

/// A template and the schedules that send it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct NamedTemplate {
    /// `HX…`
    pub content_sid: String,
    /// The schedules' names, in order.
    pub schedules: Vec<ScheduleName>,
}

/// The templates of schedules that were not asked about for a day, at most 50.
pub async fn due(conn: &mut PgConnection) -> sqlx::Result<Vec<NamedTemplate>> {
    sqlx::query_as(
        "SELECT named.content_sid, named.schedules
         FROM (SELECT definition -> 'template' ->> 'content_sid' AS content_sid, array_agg(name ORDER BY name) AS schedules
               FROM channel_schedules WHERE removed_at IS NULL AND definition -> 'template' ->> 'content_sid' IS NOT NULL GROUP BY 1) AS named
         LEFT JOIN channel_templates t ON t.content_sid = named.content_sid
         WHERE t.asked_at IS NULL OR t.asked_at <= now() - interval '1 day'
         ORDER BY t.asked_at NULLS FIRST, named.content_sid LIMIT 50",
    )
    .fetch_all(conn)
    .await
}

/// What WhatsApp says of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct TemplateStanding {
    /// In Twilio's word, in small letters; empty: it has none yet.
    pub category: String,
    /// Likewise; `missing`: the account does not have it.
    pub status: String,
}

/// Keeps what WhatsApp says of a template now; returns what it said before. `None`: it was never asked. The row is locked until the caller's transaction
/// ends, so that each change is seen by one caller.
pub async fn keep(
    conn: &mut PgConnection,
    content_sid: &str,
    standing: &TemplateStanding,
) -> sqlx::Result<Option<TemplateStanding>> {
    note_asked(conn, content_sid).await?;
    let before: Option<TemplateStanding> = sqlx::query_as(
        "SELECT coalesce(category, '') AS category, status FROM channel_templates WHERE content_sid = $1 AND status IS NOT NULL FOR UPDATE",
    )
    .bind(content_sid)
    .fetch_optional(&mut *conn)
    .await?;
    sqlx::query("UPDATE channel_templates SET category = nullif($2, ''), status = $3, seen_at = clock_timestamp() WHERE content_sid = $1")
        .bind(content_sid)
        .bind(&standing.category)
        .bind(&standing.status)
        .execute(conn)
        .await?;
    Ok(before)
}

/// Notes that Twilio was asked about a template, whatever it answered: it is not asked again for a day.
pub async fn note_asked(conn: &mut PgConnection, content_sid: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO channel_templates (content_sid) VALUES ($1) ON CONFLICT (content_sid) DO UPDATE SET asked_at = clock_timestamp()",
    )
    .bind(content_sid)
    .execute(conn)
    .await?;
    Ok(())
}
