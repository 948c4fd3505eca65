//! The kinds of jobs: what is enqueued, where it runs, how often it is tried, and what follows when it gives up. What running one means is in
//! `jobs/`, a file for each, named like the kind.
//!
//! Rows outlive deploys: a kind's name is for ever, a payload is ids, and a new field gets a default.

use std::time::Duration;

use queue::backoff::Backoff;
use queue::job::{Ended, FollowUp, Job};
use serde::{Deserialize, Serialize};
use store::ids::{
    AlertId, ChunkId, ConsentId, ConversationId, DeliveryId, MessageId, SlotId, TurnId, UserId,
};

use crate::alerts::post::Telling;
use crate::callbacks::DeliveryNews;
use crate::pools;

/// What follows a job that gave up closes what somebody waits for, and nothing follows it in turn. So it is tried for hours.
const FOLLOW_UP_ATTEMPTS: u16 = 25;

/// All kinds.
pub const ALL: [&str; 20] = [
    ReceiveMessage::KIND,
    CloseMessage::KIND,
    Answer::KIND,
    Apologise::KIND,
    EndBrowserSession::KIND,
    ApologiseInThread::KIND,
    SendChunk::KIND,
    CloseChunk::KIND,
    PlanWaiting::KIND,
    PlanQuiet::KIND,
    PlanRoom::KIND,
    ProbeSender::KIND,
    RunDuty::KIND,
    CloseSlot::KIND,
    PromptUser::KIND,
    ClosePrompt::KIND,
    PostAlert::KIND,
    PostCallback::KIND,
    Upkeep::KIND,
    ErasePeople::KIND,
];

// Inbound.

/// Decides what an inbound message means.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReceiveMessage {
    /// `channel_messages.id`.
    pub message: MessageId,
}

impl Job for ReceiveMessage {
    const KIND: &'static str = "receive_message";
    const POOL: &'static str = pools::INBOUND;
    const MAX_ATTEMPTS: u16 = 12;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(500), Duration::from_secs(60));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<CloseMessage>());
}

/// Gives a message its outcome when its `receive_message` gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseMessage(pub Ended<ReceiveMessage>);

impl Job for CloseMessage {
    const KIND: &'static str = "close_message";
    const POOL: &'static str = pools::INBOUND;
    const MAX_ATTEMPTS: u16 = FOLLOW_UP_ATTEMPTS;
}

// Conversation.

/// Runs the agent for a conversation and stores its reply.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    /// `channel_conversations.id`.
    pub conversation: ConversationId,
    /// `channel_messages.id` of the message that asked for it.
    pub message: MessageId,
    /// The failed turn whose messages are to be answered once more, by an administrator's wish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<TurnId>,
}

impl Job for Answer {
    const KIND: &'static str = "answer";
    const POOL: &'static str = pools::CONVERSATION;
    /// For the database's absences. Calls of the agent and their time are counted by the turn.
    const MAX_ATTEMPTS: u16 = 20;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(60));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<Apologise>());
}

/// Says sorry for a turn when its `answer` gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Apologise(pub Ended<Answer>);

impl Job for Apologise {
    const KIND: &'static str = "apologise";
    const POOL: &'static str = pools::CONVERSATION;
    const MAX_ATTEMPTS: u16 = FOLLOW_UP_ATTEMPTS;
}

/// Ends the browser session of a user who asked for it in the dashboard.
#[derive(Debug, Serialize, Deserialize)]
pub struct EndBrowserSession {
    /// `channel_conversations.id`.
    pub conversation: ConversationId,
    /// `channel_messages.id` of the message that asked for it.
    pub message: MessageId,
}

impl Job for EndBrowserSession {
    const KIND: &'static str = "end_browser_session";
    const POOL: &'static str = pools::INBOUND;
    const MAX_ATTEMPTS: u16 = 12;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(500), Duration::from_secs(60));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<ApologiseInThread>());
}

/// Says sorry in the thread when an `end_browser_session` gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApologiseInThread(pub Ended<EndBrowserSession>);

impl Job for ApologiseInThread {
    const KIND: &'static str = "apologise_in_thread";
    const POOL: &'static str = pools::INBOUND;
    const MAX_ATTEMPTS: u16 = FOLLOW_UP_ATTEMPTS;
}

// Outbound.

/// Sends one chunk through Twilio, once. The flags are the row's, repeated for whoever reads the job.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendChunk {
    /// `channel_chunks.id`.
    pub chunk: ChunkId,
    /// Counts against the allowance.
    #[serde(default)]
    pub meter_proactive: bool,
    /// Carries the footer.
    #[serde(default, rename = "proactive")]
    pub has_footer: bool,
}

impl Job for SendChunk {
    const KIND: &'static str = "send_chunk";
    /// Of a reply; a proactive one is enqueued in [`pools::PROACTIVE`].
    const POOL: &'static str = pools::REPLIES;
    const MAX_ATTEMPTS: u16 = 25;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(1), Duration::from_secs(300));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<CloseChunk>());
}

/// Closes a chunk when its `send_chunk` gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseChunk(pub Ended<SendChunk>);

impl Job for CloseChunk {
    const KIND: &'static str = "close_chunk";
    const POOL: &'static str = pools::REPLIES;
    const MAX_ATTEMPTS: u16 = FOLLOW_UP_ATTEMPTS;
}

/// Plans what has waited for a person's next message.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlanWaiting {
    /// `channel_users.id` of the user whose deliveries wait.
    pub user: UserId,
}

impl Job for PlanWaiting {
    const KIND: &'static str = "plan_waiting";
    const POOL: &'static str = pools::PROACTIVE;
}

/// Plans what has waited for the end of quiet hours.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PlanQuiet {}

impl Job for PlanQuiet {
    const KIND: &'static str = "plan_quiet";
    const POOL: &'static str = pools::PROACTIVE;
}

/// Plans what has waited for a place among the people of a day.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct PlanRoom {}

impl Job for PlanRoom {
    const KIND: &'static str = "plan_room";
    const POOL: &'static str = pools::PROACTIVE;
}

/// Finds out when a sender that Twilio refuses is well again.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProbeSender {
    /// Between two tries.
    pub every_secs: u64,
}

impl Job for ProbeSender {
    const KIND: &'static str = "probe_sender";
    const POOL: &'static str = pools::UPKEEP;
    const MAX_ATTEMPTS: u16 = 1000;
    const KEPT: bool = true;
}

// Schedules.

/// Does what a schedule does at a slot.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunDuty {
    /// `channel_slots.id`.
    pub slot: SlotId,
}

impl Job for RunDuty {
    const KIND: &'static str = "run_duty";
    const POOL: &'static str = pools::UPKEEP;
    const MAX_ATTEMPTS: u16 = 10;
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<CloseSlot>());
}

/// Ends a slot when its `run_duty` gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CloseSlot(pub Ended<RunDuty>);

impl Job for CloseSlot {
    const KIND: &'static str = "close_slot";
    const POOL: &'static str = pools::UPKEEP;
    const MAX_ATTEMPTS: u16 = FOLLOW_UP_ATTEMPTS;
}

/// Has the agent say something to a user at a slot.
#[derive(Debug, Serialize, Deserialize)]
pub struct PromptUser {
    /// `channel_slots.id`.
    pub slot: SlotId,
    /// `channel_users.id`.
    pub user: UserId,
    /// An administrator's retry, which the end of the slot does not stop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

impl Job for PromptUser {
    const KIND: &'static str = "prompt_user";
    const POOL: &'static str = pools::PROMPTS;
    /// For the database's absences. Calls of the agent are counted by the user's part of the slot, whose time bounds them.
    const MAX_ATTEMPTS: u16 = 20;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(60));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<ClosePrompt>());
}

/// Ends a user's part of a slot when its `prompt_user` gave up.
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClosePrompt(pub Ended<PromptUser>);

impl Job for ClosePrompt {
    const KIND: &'static str = "close_prompt";
    const POOL: &'static str = pools::UPKEEP;
    const MAX_ATTEMPTS: u16 = FOLLOW_UP_ATTEMPTS;
}

// Housekeeping.

/// Tells the operator's own service of an alert.
#[derive(Debug, Serialize, Deserialize)]
pub struct PostAlert {
    /// `channel_alerts.id`.
    pub alert: AlertId,
    /// What is told of it.
    #[serde(default)]
    pub telling: Telling,
    /// Which telling of it this is.
    #[serde(default)]
    pub number: i32,
}

impl Job for PostAlert {
    const KIND: &'static str = "post_alert";
    const POOL: &'static str = pools::UPKEEP;
    const MAX_ATTEMPTS: u16 = 12;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(600));
}

/// Tells the product what has happened. Triggers of the database write the payload.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PostCallback {
    /// To a delivery.
    Delivery {
        /// `channel_deliveries.id`.
        delivery: DeliveryId,
        /// The state that it came to, or `read`.
        state: DeliveryNews,
    },
    /// With a user's consent.
    Consent {
        /// `whatsapp_consents.id`.
        consent: ConsentId,
    },
}

impl Job for PostCallback {
    const KIND: &'static str = "post_callback";
    const POOL: &'static str = pools::CALLBACKS;
    /// A day.
    const MAX_ATTEMPTS: u16 = 58;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_secs(2), Duration::from_secs(1800));
}

/// Looks after what must be looked after every few minutes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Upkeep {
    /// A process has just started: messages may have been missed until then, so Twilio's list is searched at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub at_start: bool,
}

impl Job for Upkeep {
    const KIND: &'static str = "upkeep";
    const POOL: &'static str = pools::UPKEEP;
    const KEPT: bool = true;
}

/// Empties what erased people said and were told.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct ErasePeople {}

impl Job for ErasePeople {
    const KIND: &'static str = "erase_people";
    const POOL: &'static str = pools::UPKEEP;
    const KEPT: bool = true;
}
