//! `channel_alerts`: what a person must look at, a row per cause while it goes on.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ids::AlertId;
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
        /// WhatsApp judges a template in another way than before.
        TemplateChanged = "template_changed",
        /// A pool stands still and nothing tries whether it may go on.
        PauseWithoutProbe = "pause_without_probe",
        /// Somebody has paused a pool or a kind of jobs and has let it stand for long.
        LongPause = "long_pause",
        /// Many of the messages that Twilio took come to nothing.
        Undelivered = "undelivered",
        /// The product does not take what it is told.
        CallbacksFailing = "callbacks_failing",
        /// Jobs gave up and wait for a person.
        DeadJobs = "dead_jobs",
        /// Our sender seems to have moved to another business portfolio.
        SenderMoved = "sender_moved",
        /// Twilio's list of inbound messages has an entry that nobody can take in.
        UnusableEntry = "unusable_entry",
        /// Twilio's list of inbound messages could not be read for long.
        BackfillBehind = "backfill_behind",
        /// Somebody asks for a person.
        HumanWanted = "human_wanted",
        /// Most of what may be sent in a month without a meter was sent.
        MonthlyCapNear = "monthly_cap_near",
        /// All of it was.
        MonthlyCapReached = "monthly_cap_reached",
        /// A schedule failed too often and was switched off.
        ScheduleDisabled = "schedule_disabled",
        /// A process cannot read its schedules.
        SchedulesUnreadable = "schedules_unreadable",
        /// A schedule is due and nobody fires it, or its audience is not worked off.
        SlotsLate = "slots_late",
        /// Time zone rules are old, or differ between machines.
        TimeZones = "time_zones",
        /// A process lacks a secret key on which rows hang.
        SecretKey = "secret_key",
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
        /// The database does not answer.
        DatabaseAway = "database_away",
        /// The database takes no writes.
        DatabaseReadOnly = "database_read_only",
        /// The database refuses what is written: its disk is full, say.
        DatabaseRefuses = "database_refuses",
    }
}

text_enum! {
    /// Where an alert stands.
    pub enum AlertState in [] {
        /// It waits for a person.
        Open = "open",
        /// A person has looked; it goes on.
        Acknowledged = "acknowledged",
        /// It is over.
        Closed = "closed",
    }
}

/// An alert.
#[derive(Clone, Debug, PartialEq, sqlx::FromRow)]
pub struct Alert {
    /// What an administrator acknowledges.
    pub id: AlertId,
    /// What happened.
    pub cause: AlertCause,
    /// What happened the latest time.
    pub detail: String,
    /// How often it was raised.
    pub times: i32,
    /// The first time.
    pub opened_at: DateTime<Utc>,
    /// The latest time.
    pub last_seen_at: DateTime<Utc>,
    /// When it was told last; `None`: not yet.
    pub told_at: Option<DateTime<Utc>>,
    /// It may be told again.
    pub is_due: bool,
    /// When a person had looked.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When it was seen to be over.
    pub closed_at: Option<DateTime<Utc>>,
}

impl Alert {
    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> AlertState {
        match (self.closed_at, self.acknowledged_at) {
            (Some(_), _) => AlertState::Closed,
            (None, Some(_)) => AlertState::Acknowledged,
            (None, None) => AlertState::Open,
        }
    }
}

/// An alert that was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Raised {
    /// Its number.
    pub id: AlertId,
    /// It is new, or came back: the caller tells of it.
    pub is_news: bool,
}

/// Raises an alert. While its cause goes on, and for so many seconds after its end, it is counted in the same row, which is open again. One that
/// lifts acknowledgements is about something else each time, so that nobody has looked at it yet.
pub async fn raise(
    conn: &mut PgConnection,
    cause: AlertCause,
    detail: &str,
    comes_back_within_secs: f64,
    lifts_acknowledgement: bool,
) -> sqlx::Result<Raised> {
    // Two processes that raise the same alert at once must not both insert a row.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('alert ' || $1, 0))")
        .bind(cause)
        .execute(&mut *conn)
        .await?;
    let counted = sqlx::query_as(
        "WITH newest AS (SELECT id, closed_at FROM channel_alerts WHERE cause = $1 ORDER BY id DESC LIMIT 1)
         UPDATE channel_alerts a
         SET times = a.times + 1, last_seen_at = now(), detail = $2, acknowledged_at = CASE WHEN newest.closed_at IS NULL AND NOT $4 THEN a.acknowledged_at END,
             closed_at = NULL
         FROM newest WHERE a.id = newest.id AND (newest.closed_at IS NULL OR newest.closed_at > now() - make_interval(secs => $3))
         RETURNING a.id, newest.closed_at IS NOT NULL AND a.tell_at <= now() AS is_news",
    )
    .bind(cause)
    .bind(detail)
    .bind(comes_back_within_secs)
    .bind(lifts_acknowledgement)
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(counted) = counted {
        return Ok(counted);
    }
    let id = sqlx::query_scalar("INSERT INTO channel_alerts (cause, detail) VALUES ($1, $2) RETURNING id")
        .bind(cause)
        .bind(detail)
        .fetch_one(conn)
        .await?;
    Ok(Raised { id, is_news: true })
}

/// Notes that what an open alert tells of goes on, and counts nothing. False: no alert of this cause is open.
pub async fn goes_on(conn: &mut PgConnection, cause: AlertCause, detail: &str) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_alerts SET last_seen_at = now(), detail = $2 WHERE cause = $1 AND closed_at IS NULL",
    )
    .bind(cause)
    .bind(detail)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Notes that an open alert is told now, and again in so many seconds at the earliest. Returns which telling of it this is.
pub async fn tell(conn: &mut PgConnection, id: AlertId, again_in_secs: f64) -> sqlx::Result<i32> {
    sqlx::query_scalar(
        "UPDATE channel_alerts SET told_at = now(), tell_at = now() + make_interval(secs => $2), tellings = tellings + 1, told_open = TRUE
         WHERE id = $1 RETURNING tellings",
    )
    .bind(id)
    .bind(again_in_secs)
    .fetch_one(conn)
    .await
}

/// An alert that is over.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Closed {
    /// Its number.
    pub id: AlertId,
    /// What it was about.
    pub cause: AlertCause,
    /// Which telling of it its end is.
    pub tellings: i32,
    /// It was last told that it goes on, so its end is to be told.
    pub is_news: bool,
}

/// Closes the open alerts of these causes. One that comes back is told in so many seconds at the earliest.
pub async fn close(
    conn: &mut PgConnection,
    causes: &[AlertCause],
    again_in_secs: f64,
) -> sqlx::Result<Vec<Closed>> {
    sqlx::query_as(
        "WITH over AS (SELECT id, told_open FROM channel_alerts WHERE cause = ANY ($1) AND closed_at IS NULL ORDER BY id FOR UPDATE)
         UPDATE channel_alerts a
         SET closed_at = clock_timestamp(), told_at = CASE WHEN a.told_open THEN now() ELSE a.told_at END, told_open = FALSE,
             tellings = a.tellings + a.told_open::INTEGER, tell_at = now() + make_interval(secs => $2)
         FROM over WHERE a.id = over.id RETURNING a.id, a.cause, a.tellings, over.told_open AS is_news",
    )
    .bind(causes)
    .bind(again_in_secs)
    .fetch_all(conn)
    .await
}

/// Writes down an alert that could not be a row while it lasted: it began so many seconds ago and is over. One that ended a moment ago is counted.
pub async fn write_down(
    conn: &mut PgConnection,
    cause: AlertCause,
    detail: &str,
    began_secs_ago: f64,
    comes_back_within_secs: f64,
) -> sqlx::Result<Raised> {
    let raised = raise(conn, cause, detail, comes_back_within_secs, true).await?;
    sqlx::query(
        "UPDATE channel_alerts SET opened_at = least(opened_at, now() - make_interval(secs => $2)), closed_at = clock_timestamp(), told_at = now(),
             tellings = tellings + 1
         WHERE id = $1",
    )
    .bind(raised.id)
    .bind(began_secs_ago)
    .execute(conn)
    .await?;
    Ok(raised)
}

/// An alert by its number.
pub async fn get(conn: &mut PgConnection, id: AlertId) -> sqlx::Result<Option<Alert>> {
    sqlx::query_as(
        "SELECT id, cause, detail, times, opened_at, last_seen_at, told_at, tell_at <= now() AS is_due, acknowledged_at, closed_at
         FROM channel_alerts WHERE id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}

/// Whether an alert of this cause was raised in the running month, in UTC.
pub async fn was_raised_this_month(conn: &mut PgConnection, cause: AlertCause) -> sqlx::Result<bool> {
    sqlx::query_scalar(
        "SELECT coalesce((SELECT opened_at >= date_trunc('month', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
                          FROM channel_alerts WHERE cause = $1 ORDER BY cause DESC, id DESC LIMIT 1), FALSE)",
    )
    .bind(cause)
    .fetch_one(conn)
    .await
}

/// The alerts that are not over, the newest first: one for each cause at most.
pub async fn open(conn: &mut PgConnection) -> sqlx::Result<Vec<Alert>> {
    sqlx::query_as(
        "SELECT id, cause, detail, times, opened_at, last_seen_at, told_at, tell_at <= now() AS is_due, acknowledged_at, closed_at
         FROM channel_alerts WHERE closed_at IS NULL ORDER BY id DESC LIMIT 200",
    )
    .fetch_all(conn)
    .await
}

/// Alerts with a lower number than this that were seen since then, the newest first. `None`: with any number.
pub async fn page(
    conn: &mut PgConnection,
    before: Option<AlertId>,
    since: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Alert>> {
    sqlx::query_as(
        "SELECT id, cause, detail, times, opened_at, last_seen_at, told_at, tell_at <= now() AS is_due, acknowledged_at, closed_at
         FROM channel_alerts WHERE id < $1 AND last_seen_at >= $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(before.map_or(i64::MAX, |id| id.0))
    .bind(since)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// The same of one cause.
pub async fn page_of_cause(
    conn: &mut PgConnection,
    cause: AlertCause,
    before: Option<AlertId>,
    since: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<Alert>> {
    sqlx::query_as(
        "SELECT id, cause, detail, times, opened_at, last_seen_at, told_at, tell_at <= now() AS is_due, acknowledged_at, closed_at
         FROM channel_alerts WHERE cause = $1 AND id < $2 AND last_seen_at >= $3 ORDER BY id DESC LIMIT $4",
    )
    .bind(cause)
    .bind(before.map_or(i64::MAX, |id| id.0))
    .bind(since)
    .bind(limit)
    .fetch_all(conn)
    .await
}

/// Somebody has looked. False: there is no such alert, it is over, or somebody had looked before.
pub async fn acknowledge(conn: &mut PgConnection, id: AlertId) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE channel_alerts SET acknowledged_at = now() WHERE id = $1 AND acknowledged_at IS NULL AND closed_at IS NULL",
    )
    .bind(id)
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
