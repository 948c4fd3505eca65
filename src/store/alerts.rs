//! `channel_alerts`: what a person must look at.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::text_enum::text_enum;

text_enum! {
    /// What happened.
    pub enum AlertCause in ["channel_alerts.cause"] {
        /// One chunk went out twice.
        DoubleSend = "double_send",
        /// Nobody will ever know whether a chunk was sent.
        UnknownSend = "unknown_send",
        /// Only a person can say whether a chunk was sent.
        SendInDoubt = "send_in_doubt",
        /// Twilio refuses our account or sender.
        SenderRefused = "sender_refused",
        /// WhatsApp refuses a template.
        Template = "template",
        /// A pool stands still and nothing tries whether it may go on.
        PauseWithoutProbe = "pause_without_probe",
        /// Our sender seems to have moved to another business portfolio.
        SenderMoved = "sender_moved",
        /// Twilio's list of inbound messages has an entry that nobody can take in.
        UnusableEntry = "unusable_entry",
        /// Twilio's list of inbound messages could not be read for long.
        BackfillBehind = "backfill_behind",
        /// A schedule failed too often and was switched off.
        ScheduleDisabled = "schedule_disabled",
        /// A process cannot read its schedules.
        SchedulesUnreadable = "schedules_unreadable",
        /// Jobs of a kind wait that no process knows.
        UnknownKind = "unknown_kind",
        /// A process has another time than the database.
        Clock = "clock",
        /// The agent's gateway refuses our token.
        AgentToken = "agent_token",
        /// The agent's gateway takes no turns at its address.
        AgentEndpoint = "agent_endpoint",
        /// The agent or model that we name is unknown to its gateway.
        AgentName = "agent_name",
        /// The agent's gateway cannot be reached.
        AgentUnreachable = "agent_unreachable",
        /// The agent's gateway has locked us out.
        AgentLockedOut = "agent_locked_out",
        /// The agent's gateway wants us to wait.
        AgentBusy = "agent_busy",
        /// What stands behind the agent's gateway refuses it.
        AgentProvider = "agent_provider",
        /// The agent cannot be asked as it is configured.
        AgentSetup = "agent_setup",
        /// The agent fails.
        AgentFailing = "agent_failing",
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Alert {
    /// What an administrator acknowledges.
    pub id: i64,
    /// What happened.
    pub cause: AlertCause,
    /// What happened the latest time.
    pub detail: String,
    /// How often it was raised within its hour.
    pub times: i32,
    /// The first time.
    pub opened_at: DateTime<Utc>,
    /// The latest time.
    pub last_seen_at: DateTime<Utc>,
    /// When a person had looked.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When it was seen to be over.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Raises an alert, or counts it to one of the same cause that is younger than an hour, and opens that again if it was over.
/// Returns the number if the alert is new; the caller then logs it as an error.
pub async fn raise(conn: &mut PgConnection, cause: AlertCause, detail: &str) -> sqlx::Result<Option<i64>> {
    // Two processes that raise the same alert at once must not both insert a row.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('alert ' || $1, 0))")
        .bind(cause)
        .execute(&mut *conn)
        .await?;
    let counted = sqlx::query(
        "UPDATE channel_alerts
         SET times = times + 1, last_seen_at = now(), detail = $2, acknowledged_at = CASE WHEN closed_at IS NULL THEN acknowledged_at END, closed_at = NULL
         WHERE id = (
             SELECT id FROM channel_alerts WHERE cause = $1 AND opened_at > now() - interval '1 hour' ORDER BY opened_at DESC LIMIT 1)",
    )
    .bind(cause)
    .bind(detail)
    .execute(&mut *conn)
    .await?;
    if counted.rows_affected() > 0 {
        return Ok(None);
    }
    let id = sqlx::query_scalar("INSERT INTO channel_alerts (cause, detail) VALUES ($1, $2) RETURNING id")
        .bind(cause)
        .bind(detail)
        .fetch_one(conn)
        .await?;
    Ok(Some(id))
}

/// An alert by its number.
pub async fn get(conn: &mut PgConnection, id: i64) -> sqlx::Result<Option<Alert>> {
    sqlx::query_as(
        "SELECT id, cause, detail, times, opened_at, last_seen_at, acknowledged_at, closed_at FROM channel_alerts WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// The alerts that nobody has acknowledged and that are not over, the newest first.
pub async fn open(conn: &mut PgConnection) -> sqlx::Result<Vec<Alert>> {
    sqlx::query_as(
        "SELECT id, cause, detail, times, opened_at, last_seen_at, acknowledged_at, closed_at FROM channel_alerts
         WHERE acknowledged_at IS NULL AND closed_at IS NULL ORDER BY id DESC LIMIT 200",
    )
    .fetch_all(conn)
    .await
}

/// Somebody has looked. False: there is no such alert, or somebody had looked before.
pub async fn acknowledge(conn: &mut PgConnection, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_alerts SET acknowledged_at = now() WHERE id = $1 AND acknowledged_at IS NULL",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
