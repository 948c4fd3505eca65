//! Whether what an alert tells of is over.

use chrono::TimeDelta;
use queue::failure::Failure;
use queue::job::Job as _;
use store::alerts::{Alert, AlertCause};
use store::cursors::Cursor;

use super::causes::{self, Ending};
use super::watch;
use crate::app::App;
use crate::inbound::backfill;
use crate::kinds::PostCallback;
use crate::outbound::sender;
use crate::schedules::ending;

/// What happened is over without anybody having looked at it after this time.
const FORGOTTEN: TimeDelta = TimeDelta::days(1);

/// After this time without a failing post no post goes to the product any more, or none is refused.
const NO_POST_FAILED: TimeDelta = TimeDelta::minutes(45);

/// Whether it is.
pub(super) async fn is_over(app: &App, alert: &Alert) -> Result<bool, Failure> {
    let mut conn = app.pg.acquire().await?;
    let unseen_for = store::clock::now(&mut conn).await? - alert.last_seen_at;
    match causes::meaning(alert.cause).ending {
        Ending::Unseen(time) => return Ok(unseen_for.to_std().is_ok_and(|unseen_for| unseen_for >= time)),
        Ending::WhenLookedAt if alert.cause == AlertCause::UnusableEntry => {
            let is_settled = store::unusable_entries::open(&mut conn).await?.is_empty();
            return Ok(is_settled || alert.acknowledged_at.is_some() || unseen_for >= FORGOTTEN);
        }
        Ending::WhenLookedAt => return Ok(alert.acknowledged_at.is_some() || unseen_for >= FORGOTTEN),
        Ending::WhenItIsSo => {}
    }
    Ok(match alert.cause {
        AlertCause::SenderRefused => !sender::is_held_back(&mut conn).await?,
        AlertCause::SendInDoubt => store::in_doubt::overdue(&mut conn, 0.0).await?.chunks == 0,
        AlertCause::DeadJobs => queue::dead_jobs::latest(&mut conn).await?.is_empty(),
        AlertCause::SenderMoved => store::changed_ids::undecided(&mut conn).await?.is_none(),
        AlertCause::ScheduleDisabled => !ending::any_switched_off(&mut conn).await?,
        AlertCause::CallbacksFailing => {
            unseen_for >= NO_POST_FAILED
                || queue::finished_jobs::has_done_since(&mut conn, PostCallback::KIND, alert.last_seen_at)
                    .await?
        }
        AlertCause::BackfillBehind => {
            let done_until = store::cursors::get(&mut conn, Cursor::Backfill).await?;
            store::clock::now(&mut conn).await? - done_until <= backfill::TOLD_AFTER
        }
        AlertCause::AgentToken
        | AlertCause::AgentEndpoint
        | AlertCause::AgentUnreachable
        | AlertCause::AgentLockedOut
        | AlertCause::AgentBusy => {
            drop(conn);
            app.agent.check().await.is_ok()
        }
        // A check would not show it; the next answer ends it.
        AlertCause::AgentName
        | AlertCause::AgentProvider
        | AlertCause::AgentSetup
        | AlertCause::AgentFailing => unseen_for >= FORGOTTEN,
        cause => watch::found(&mut conn, &app.settings, cause).await?.is_none(),
    })
}
