//! What is done: one file per job kind. Start reading here.
//!
//! ```text
//! webhook ─► receive_message ─► answer ─► send_chunk, one for each chunk ─► Twilio
//!    │             │              │           ├─ gives up ─► close_chunk
//!    │             │              │           └─ Twilio refuses our sender ─► probe_sender
//!    │             │              ├─ takes long ─► send_chunk
//!    │             │              └─ gives up ─► apologise ─► send_chunk
//!    │             └─ gives up ─► close_message ─► send_chunk
//!    └─ deliveries wait for the person ─► plan_waiting ─► send_chunk
//!
//! dashboard ─► answer, or end_browser_session ─ gives up ─► apologise_in_thread
//! notification ─► send_chunk, one for each chunk ─► Twilio
//! schedule ─► run_duty ─► send_chunk, or a prompt_user for each user ─► send_chunk
//!                │                           └─ gives up ─► close_prompt
//!                └─ gives up ─► close_slot
//! quiet hours end ─► plan_quiet ─► send_chunk
//! a place is free ─► plan_room ──► send_chunk
//! every few minutes ─► upkeep ─► receive_message, where the webhook never came
//! erasure ─► erase_people                    alert ─► post_alert
//! a delivery changes, a person agrees or takes it back ─► post_callback
//! ```
//!
//! What each kind carries, where it runs and how often it is tried is in `channel/kinds.rs`. To add a job: a payload of ids with its [`Job`]
//! there and its kind in `kinds::ALL`; a file here whose `run` says what a failure means; its `mod` and a line in [`register`] below. If its follow-up
//! closes what the job was about, `channel/retries` must know how to try that again. A new lane has its name in `channel/lanes.rs`, a new pool in
//! `channel/pools.rs` and in the configuration.
//!
//! [`Job`]: queue::job::Job

/// Runs the agent and stores its reply.
pub mod answer;
/// Says sorry for a turn that came to nothing.
pub mod apologise;
/// Says sorry in the thread.
pub mod apologise_in_thread;
/// Closes a chunk that will never be sent.
pub mod close_chunk;
/// Gives a message its outcome when nobody could decide about it.
pub mod close_message;
/// Ends a user's part of a slot that came to nothing.
pub mod close_prompt;
/// Ends a slot whose duty came to nothing.
pub mod close_slot;
/// Ends the browser session of a user who asked for it in the dashboard.
pub mod end_browser_session;
/// Empties what erased people said and were told.
pub mod erase_people;
/// Plans what has waited for the end of quiet hours.
pub mod plan_quiet;
/// Plans what has waited for a place among the people of a day.
pub mod plan_room;
/// Plans what has waited for a person's next message.
pub mod plan_waiting;
/// Tells the operator of an alert.
pub mod post_alert;
/// Tells the product what has happened.
pub mod post_callback;
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

use channel::app::App;
use queue::workers::Workers;

/// Makes every kind known to the workers.
#[must_use]
pub fn register(workers: Workers<App>) -> Workers<App> {
    workers
        .register(receive_message::run)
        .register(close_message::run)
        .register(answer::run)
        .register(apologise::run)
        .register(end_browser_session::run)
        .register(apologise_in_thread::run)
        .register(send_chunk::run)
        .register(plan_waiting::run)
        .register(plan_quiet::run)
        .register(plan_room::run)
        .register(probe_sender::run)
        .register(run_duty::run)
        .register(prompt_user::run)
        .register(close_prompt::run)
        .register(close_slot::run)
        .register(post_alert::run)
        .register(post_callback::run)
        .register(upkeep::run)
        .register(erase_people::run)
        .register(close_chunk::run)
}
