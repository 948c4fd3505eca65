//! What is done: one file per job kind. Start reading here.
//!
//! ```text
//! webhook ─► receive_message ─► answer ─► send_chunk, one for each chunk ─► Twilio
//!                  │              │           └─ gives up ─► close_chunk
//!                  │              └─ gives up ─► apologise ─► send_chunk
//!                  └─ gives up ─► close_message ─► send_chunk
//!
//! schedule ─► run_duty ─► send_chunk, or prompt_user ─► send_chunk     run_duty gives up ─► close_slot
//! notification ─► send_chunk, one for each chunk ─► Twilio          upkeep ─► messages whose webhook never came
//!                     └─ Twilio refuses our sender ─► probe_sender
//! ```
//!
//! To add a job: a file with a payload of ids, its `KIND` and `POOL`, and a `run` that says what a failure means; a line below, and one
//! in [`register`].

/// Runs the agent and stores its reply.
pub mod answer;
/// Says sorry for a turn that came to nothing.
pub mod apologise;
/// Closes a chunk that will never be sent.
pub mod close_chunk;
/// Gives a message its outcome when nobody could decide about it.
pub mod close_message;
/// Ends a user's part of a slot that came to nothing.
pub mod close_prompt;
/// Ends a slot whose duty came to nothing.
pub mod close_slot;
/// Empties what erased people said and were told.
pub mod erase_people;
/// Plans what has waited for a person's next message.
pub mod plan_waiting;
/// Tells the operator of an alert.
pub mod post_alert;
/// Holds a sender back that Twilio refuses.
pub mod probe_sender;
/// Has the agent say something to a user at a slot.
pub mod prompt_user;
/// Decides what an inbound message means.
pub mod receive_message;
/// Does what a schedule does at a slot.
pub mod run_duty;
/// Sends one chunk through Twilio, once.
pub mod send_chunk;
/// What must be looked after every few minutes.
pub mod upkeep;

/// The agent that a user has.
mod agents;
/// What every job needs.
pub mod app;
/// The users of a slot, page by page.
mod audience;
/// Takes in what Twilio has and we have not.
pub mod backfill;
/// Durations as operators write them.
pub mod durations;
/// What arrives: taken in, understood, decided on.
pub mod inbound;
/// The names of lanes and keys.
pub mod lanes;
/// Plans a text: its chunks, footer and limits.
pub mod planning;
/// What the operator sells.
pub mod plans;
/// Plans what we say of our own accord.
pub mod proactive;
/// Plans a reply.
pub mod replies;
/// Another try of what gave up.
pub mod retries;
/// What an operator writes into `schedules/`, and when it falls due.
pub mod schedules;
/// What people read from the channel itself.
pub mod texts;

/// An attempt to send a chunk.
pub mod sending;
/// What Twilio says became of a message.
pub mod status;
/// What a turn tells the agent.
pub mod turns;

/// Jobs that no running process knows.
pub mod unknown_kinds;

/// What Twilio's list says of a send in doubt.
mod in_doubt;
mod look_up;
mod notices;
/// Finds out what became of messages whose callbacks were lost.
mod settle;

use queue::workers::Workers;

use crate::app::App;

/// Makes every kind known to the workers.
#[must_use]
pub fn register(workers: Workers<App>) -> Workers<App> {
    workers
        .register(receive_message::run)
        .register(close_message::run)
        .register(answer::run)
        .register(apologise::run)
        .register(send_chunk::run)
        .register(plan_waiting::run)
        .register(probe_sender::run)
        .register(run_duty::run)
        .register(prompt_user::run)
        .register(close_prompt::run)
        .register(close_slot::run)
        .register(post_alert::run)
        .register(upkeep::run)
        .register(erase_people::run)
        .register(close_chunk::run)
}
