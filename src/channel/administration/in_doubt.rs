//! Sends of which nobody knows whether they arrived: all that a person needs to judge one, and what each verdict would do.
//!
//! The number and the text are there in full, since administrators must be able to ask the person. They are shown, and never logged.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use queue::connections::Connections;
use queue::job::JobId;
use queue::job_stories;
use serde::Serialize;
use sqlx::PgConnection;
use store::chunks::{Chunk, ChunkForm, ChunkState};
use store::deliveries::Purpose;
use store::delivery_records;
use store::ids::{ChunkId, DeliveryId, UserId};
use store::in_doubt::Doubt;
use twilio::client::TwilioClient;
use utoipa::ToSchema;

use super::deliveries::SendAttemptView;
use crate::app::{Sending, Settings};
use crate::lanes;
use crate::outbound::in_doubt::evidence::Candidate;
use crate::outbound::in_doubt::{self, ListLook};
use crate::outbound::obstacles::{Standing, told};

/// A send in doubt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InDoubt {
    /// The chunk's number.
    #[schema(value_type = i64)]
    pub chunk: ChunkId,
    /// The delivery it is a part of.
    #[schema(value_type = Uuid)]
    pub delivery: DeliveryId,
    /// Its place in the delivery, from 0.
    pub index: i32,
    /// `sending`, or `unknown` when everything has been tried.
    pub state: ChunkState,
    /// Why it is sent.
    pub purpose: Purpose,
    /// Whose; null: nobody's, or the user was erased.
    #[schema(value_type = Option<String>)]
    pub user: Option<UserId>,
    /// The whole number, or opaque id, that it was sent to; null: it was erased.
    pub number: Option<String>,
    /// What was sent; null: a template, or it was erased.
    pub text: Option<String>,
    /// The template that was sent.
    pub template: Option<String>,
    /// Since when nobody knows: when the last attempt began.
    pub since: Option<DateTime<Utc>>,
    /// By then it is cleared up by itself, or left to a person; null: nothing is tried any more but Twilio's callback.
    pub until: Option<DateTime<Utc>>,
    /// What is known.
    pub reason: Option<String>,
    /// What has been tried, and what comes next.
    pub tried: Vec<String>,
    /// The attempts to send it, in order.
    pub send_attempts: Vec<SendAttemptView>,
    /// What Twilio's list says now; null: it was not asked.
    pub twilio: Option<TwilioView>,
    /// What each verdict would do now.
    pub verdicts: VerdictEffects,
}

/// What Twilio's list says of a send in doubt.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TwilioList)]
pub struct TwilioView {
    /// In words, also why it could not be asked.
    pub says: String,
    /// Messages of the list that are the chunk, or may be.
    pub candidates: Vec<CandidateView>,
}

/// A message of Twilio's list.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = TwilioCandidate)]
pub struct CandidateView {
    /// Twilio's id; null: it cannot be read.
    pub sid: Option<String>,
    /// What became of it, in Twilio's word.
    pub status: String,
    /// When Twilio took it in; null: Twilio does not say.
    pub created_at: Option<DateTime<Utc>>,
    /// How it fits.
    pub fits: &'static str,
}

impl From<Candidate> for CandidateView {
    fn from(candidate: Candidate) -> Self {
        let Candidate { sid, status, created_at, fits } = candidate;
        Self { sid, status, created_at, fits }
    }
}

impl From<ListLook> for TwilioView {
    fn from(look: ListLook) -> Self {
        let candidates = look.candidates.into_iter().map(CandidateView::from).collect();
        Self { says: look.says, candidates }
    }
}

/// What each verdict would do.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictEffects {
    /// If the person has it.
    pub arrived: String,
    /// If the person does not have it.
    pub send_again: String,
}

/// Everything in doubt, the oldest first, at most 200.
pub async fn list(conn: &mut PgConnection, settings: &Settings) -> sqlx::Result<Vec<InDoubt>> {
    let doubts = store::in_doubt::open(conn).await?;
    let ids: Vec<ChunkId> = doubts.iter().map(|doubt| doubt.id).collect();
    let keys: Vec<String> = ids.iter().map(|id| lanes::chunk_key(*id)).collect();
    let mut attempts = delivery_records::attempts(conn, &ids).await?;
    let jobs = job_stories::live_by_key(conn, &keys).await?;
    let mut views = Vec::with_capacity(doubts.len());
    for doubt in doubts {
        let key = lanes::chunk_key(doubt.id);
        let job = jobs.iter().find(|(known, _)| *known == key).map(|(_, id)| *id);
        let own = attempts.extract_if(.., |attempt| attempt.chunk_id == doubt.id).map(SendAttemptView::from);
        let own: Vec<SendAttemptView> = own.collect();
        let verdicts = effects(conn, settings, &doubt).await?;
        views.push(view(doubt, job, own, verdicts, &settings.sending));
    }
    Ok(views)
}

/// Asks Twilio's list about each of them at this moment, and leaves their states alone.
pub async fn ask_twilio(
    twilio: &TwilioClient,
    pg: &Connections,
    settings: &Settings,
    views: &mut [InDoubt],
) -> sqlx::Result<()> {
    for view in views {
        let chunk = store::chunks::get(&mut *pg.acquire().await?, view.chunk).await?;
        let Some(chunk) = chunk.filter(is_in_doubt) else { continue };
        let look = match in_doubt::ask_twilio(twilio, pg, settings, &chunk).await {
            Ok(look) => look.map(TwilioView::from),
            Err(in_doubt::LookError::Database(error)) => return Err(error),
            Err(error) => Some(TwilioView { says: error.to_string(), candidates: Vec::new() }),
        };
        view.twilio = look;
    }
    Ok(())
}

fn is_in_doubt(chunk: &Chunk) -> bool {
    matches!(chunk.state, ChunkState::Sending | ChunkState::Unknown)
}

fn view(
    doubt: Doubt,
    job: Option<JobId>,
    send_attempts: Vec<SendAttemptView>,
    verdicts: VerdictEffects,
    times: &Sending,
) -> InDoubt {
    let course = Course::of(&doubt, job, times);
    InDoubt {
        chunk: doubt.id,
        delivery: doubt.delivery_id,
        index: doubt.index,
        state: doubt.state,
        purpose: doubt.purpose,
        number: doubt
            .sent_to
            .map(|alias| alias.strip_prefix("whatsapp:").map_or(alias.clone(), str::to_owned)),
        user: doubt.user_id,
        text: doubt.text,
        template: doubt.content_sid,
        since: doubt.since,
        until: course.until,
        reason: doubt.error_message,
        tried: course.told,
        send_attempts,
        twilio: None,
        verdicts,
    }
}

/// How a doubt is cleared up by itself, as far as it is.
struct Course {
    told: Vec<String>,
    until: Option<DateTime<Utc>>,
}

impl Course {
    fn of(doubt: &Doubt, job: Option<JobId>, times: &Sending) -> Self {
        let mut told = Vec::new();
        if let Some(at) = doubt.first_miss_at {
            told.push(format!("Twilio's list did not have it at {}", moment(at)));
        }
        if doubt.state == ChunkState::Unknown {
            told.push("everything has been tried; it is not sent again by itself".to_owned());
            return Self { told, until: None };
        }
        let (Some(deadline_at), Some(job)) = (doubt.deadline_at, job) else {
            let ends = doubt.since.map(|since| moment(times.doubt_ends(since)));
            told.push(format!(
                "Twilio's list proved nothing; only a callback clears it up now, and it ends as unknown at {}",
                ends.as_deref().unwrap_or("the end of its time")
            ));
            return Self { told, until: None };
        };
        let first = deadline_at + delta(times.in_doubt_grace);
        let second = first.max(doubt.first_miss_at.unwrap_or(first)) + delta(times.in_doubt_second_look);
        told.push(format!(
            "job {job} looks at Twilio's list at {} and, if it is not there, again at {}",
            moment(first),
            moment(second)
        ));
        Self { told, until: Some(second) }
    }
}

fn delta(duration: Duration) -> TimeDelta {
    TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX)
}

fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// What each verdict would do, by the rules of a send.
async fn effects(
    conn: &mut PgConnection,
    settings: &Settings,
    doubt: &Doubt,
) -> sqlx::Result<VerdictEffects> {
    let metered = if matches!(doubt.purpose, Purpose::Notification | Purpose::Scheduled) {
        ", and it counts as used"
    } else {
        ""
    };
    let rest = match doubt.waiting {
        0 => "its delivery has nothing left to send".to_owned(),
        1 => "the part behind it is sent".to_owned(),
        parts => format!("the {parts} parts behind it are sent"),
    };
    let arrived = format!("it is taken for sent and never sent again{metered}; {rest}");
    let send_again = match in_the_way(conn, settings, doubt).await? {
        Some(reason) => format!("it is not sent again: {reason}"),
        None => format!("it is sent again at once to the person's present number; {rest} after it"),
    };
    Ok(VerdictEffects { arrived, send_again })
}

/// What would keep it from being sent again.
async fn in_the_way(
    conn: &mut PgConnection,
    settings: &Settings,
    doubt: &Doubt,
) -> sqlx::Result<Option<String>> {
    if doubt.expires_at <= doubt.now {
        return Ok(Some(format!("its time was over at {}", moment(doubt.expires_at))));
    }
    if doubt.form == ChunkForm::Text && doubt.text.is_none() {
        return Ok(Some("its text was erased".to_owned()));
    }
    let Some(chunk) = store::chunks::get(conn, doubt.id).await? else { return Ok(None) };
    let address = store::addresses::get(conn, chunk.address_id).await?;
    let names = store::addresses::names(conn, address.id).await?;
    let standing = Standing::for_chunk(conn, settings, &chunk, &address, &names).await?;
    Ok(standing.obstacle(chunk.content_sid.is_some(), || None).map(told))
}
