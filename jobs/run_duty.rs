//! Does what a schedule does at a slot: for each user of its audience, the words go into the conversation, and a copy of them to WhatsApp.
//!
//! Enqueued in the transaction that makes the slot, in the schedule's lane. Enqueues a `prompt_user` for each user where the agent shall say
//! something, and with each delivery its `send_chunk`s. It may run twice: it goes on behind the last user that was dealt with, and each user is
//! dealt with once. When it gives up, `close_slot` follows.

use std::pin::pin;
use std::time::{Duration, Instant};

use channel::app::App;
use channel::kinds::RunDuty;
use channel::schedules::audience::AudienceRun;
use futures::TryStreamExt as _;
use queue::attempt::Attempt;
use queue::failure::Failure;

/// A large audience is worked off in stretches, so that none runs into its time limit.
const STRETCH: Duration = Duration::from_secs(60);

/// Pages that are planned at a time, each on a connection of its own: the database's processors are what a large audience waits for.
const AT_ONCE: usize = 2;

/// Runs a job of this kind.
pub async fn run(job: RunDuty, app: App, attempt: Attempt) -> Result<(), Failure> {
    let end = Instant::now() + STRETCH;
    while Instant::now() < end {
        let Some(audience) = AudienceRun::open(&app, job.slot).await? else { return Ok(()) };
        let pages = audience.pages(end).map_ok(|page| audience.plan(page)).try_buffered(AT_ONCE);
        let mut pages = pin!(pages);
        while let Some(page) = pages.try_next().await? {
            let is_last = page.is_last;
            if !audience.keep(page, &attempt).await? {
                // The slot has ended, or another run of this duty has come further.
                break;
            }
            if is_last {
                return Ok(());
            }
        }
    }
    Err(Failure::Snooze(Duration::ZERO))
}
