//! Holds the sender back while Twilio refuses our account or sender, and finds out when it is well again.
//!
//! Enqueued by `send_chunk` when Twilio's answer means that nothing will go out, once for all chunks by its key. It pauses the pools that send,
//! waits, and then tries one chunk: if that is taken, or refused for what it says itself, the pools go on. It may run twice: pausing what is
//! paused changes nothing, and a chunk that is under way is not begun again. What an administrator has paused stays paused.

use std::time::Duration;

use queue::claim::Claim;
use queue::failure::Failure;
use queue::inspection::Scope;
use queue::job::Job;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::lanes;
use crate::sending::{self, Sent};

/// Why the sender is held back, and how often it is tried.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProbeSender {
    /// Between two tries.
    pub every_secs: u64,
}

/// Who has paused the pools, as administrators see it.
const ACTOR: &str = "the sender's probe";

/// At most one probe lives.
pub(crate) const KEY: &str = "probe_sender";

impl Job for ProbeSender {
    type App = App;

    const KIND: &'static str = "probe_sender";
    const POOL: &'static str = "upkeep";
    const MAX_ATTEMPTS: u16 = 1000;

    async fn run(self, app: App, _: Claim) -> Result<(), Failure> {
        let mut fresh = false;
        for pool in lanes::SENDING_POOLS {
            fresh |= app.queue.pause(Scope::Pool, pool, ACTOR).await?;
        }
        let again = Failure::Snooze(Duration::from_secs(self.every_secs));
        if fresh {
            return Err(again);
        }
        let waiting = store::chunks::longest_waiting(&mut *app.pg.acquire().await?).await?;
        let sent = match waiting {
            Some(id) => sending::try_out(&app, id).await?,
            // Nothing is left to try with, so nothing is lost by letting the next one try.
            None => Sent::Well,
        };
        if sent == Sent::SenderRefused {
            return Err(again);
        }
        for pool in lanes::SENDING_POOLS {
            app.queue.resume_own(Scope::Pool, pool, ACTOR).await?;
        }
        tracing::info!("The sender is well again");
        Ok(())
    }
}
