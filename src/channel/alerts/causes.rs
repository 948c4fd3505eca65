//! What each cause means, what helps, and how it ends.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use store::alerts::AlertCause;

/// How an alert ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The upkeep looks whether what it tells of still is so.
    WhenItIsSo,
    /// Whoever sees it says so again and again; it is over when nobody has for this long.
    Unseen(Duration),
    /// It happened and does not go on. It is over when somebody acknowledges it, or after a day in which it has not happened again.
    WhenLookedAt,
}

/// What a cause means for an operator.
#[derive(Clone, Copy, Debug)]
pub struct Meaning {
    /// What has happened.
    pub means: &'static str,
    /// What helps, with the command to copy where there is one.
    pub remedy: &'static str,
    /// How the alert ends.
    pub ends: &'static str,
    pub(super) ending: Ending,
}

/// Whether it is about something else each time it is raised, so that nobody has looked at it yet.
pub(super) fn each_is_news(cause: AlertCause) -> bool {
    meaning(cause).ending == Ending::WhenLookedAt
        || matches!(cause, AlertCause::DeadJobs | AlertCause::SendInDoubt | AlertCause::ScheduleDisabled)
}

/// What happened does not go on.
const LOOKED_AT: &str = "when somebody acknowledges it, or after a day in which it has not happened again";

/// Each process says twice a minute what is wrong with it.
const OF_A_PROCESS: Ending = Ending::Unseen(Duration::from_secs(150));

const PROCESS_IS_WELL: &str = "two minutes after the last process with this trouble is well or gone";

const BY_AN_ANSWER_OR_A_CHECK: &str = "when the agent answers, or the upkeep finds that it would take a turn";

const BY_AN_ANSWER: &str = "when the agent answers, or after a day in which it has not failed";

/// What helps against a cause that was seen first at this moment, with the commands to copy.
#[must_use]
pub fn remedy(cause: AlertCause, since: DateTime<Utc>) -> String {
    let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
    meaning(cause).remedy.replace("--since TIME", &format!("--since {since}"))
}

/// The meaning of a cause.
#[must_use]
pub fn meaning(cause: AlertCause) -> Meaning {
    let (means, remedy, ends, ending) = match cause {
        AlertCause::DoubleSend => (
            "One part of a message went out twice.",
            "nothing to do for the person; report it with the chunk's number, since it must never happen",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::UnknownSend => (
            "Nobody could find out whether a part of a message was sent; it is not sent again by itself.",
            "`cloudybot chunks in-doubt` lists them; ask the person or look at Twilio's console, then `cloudybot chunks verdict CHUNK arrived` or `send-again`",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::SendInDoubt => (
            "It is not known whether a part of a message was sent, and Twilio's list does not tell; it holds up what stands behind it.",
            "`cloudybot chunks in-doubt` lists them; look at Twilio's console, then `cloudybot chunks verdict CHUNK arrived` or `send-again`",
            "when no send is in doubt any more",
            Ending::WhenItIsSo,
        ),
        AlertCause::SenderRefused => (
            "Twilio refuses our account or sender, so nothing goes out; sending is paused and tried out now and then.",
            "mend at Twilio what the detail says (credentials, sender, daily cap), then `cloudybot jobs probe`",
            "when a probe's message is taken, or somebody lets the pools go on",
            Ending::WhenItIsSo,
        ),
        AlertCause::Template => (
            "WhatsApp refuses a template; what needs it is tried again every three hours.",
            "look at the template in Twilio's console (paused, rejected, deleted), or give the schedule or notification another one",
            "when no message with a template has been refused for four hours",
            Ending::Unseen(Duration::from_secs(4 * 3600)),
        ),
        AlertCause::TemplateChanged => (
            "WhatsApp judges a template in another way than before: its category or its status has changed.",
            "look at the template in Twilio's console; marketing costs more and does not reach everybody, and what is not approved is not sent",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::HumanWanted => (
            "Somebody has asked for a person and was told where to find one.",
            "`cloudybot messages list --state human` lists who; answer there where `[human]` sends people, or in the chat itself: `cloudybot takeovers begin USER`, or \"Take over\" on the page of that person",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::MonthlyCapNear => (
            "Four fifths of `costs.monthly_cap` were sent in this month; nothing is held back.",
            "`cloudybot stats messages` tells by kind; raise `costs.monthly_cap`, or look for who writes so much",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::MonthlyCapReached => (
            "As many replies and notices as `costs.monthly_cap` says were sent in this month; nothing is held back.",
            "`cloudybot stats messages` tells by kind; raise `costs.monthly_cap`, or look for who writes so much",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::PauseWithoutProbe => (
            "Sending was paused and nothing was left to try it out; the upkeep has brought the probe back.",
            "`cloudybot jobs probe` tries it out at once",
            LOOKED_AT,
            Ending::WhenLookedAt,
        ),
        AlertCause::LongPause => (
            "Somebody has paused a pool or a kind of jobs, and it has stood still for long.",
            "`cloudybot jobs resume pool NAME` (or `kind NAME`), or acknowledge it if the pause is meant",
            "when nothing has been paused for long by a person",
            Ending::WhenItIsSo,
        ),
        AlertCause::Undelivered => (
            "Many of the messages of the last minutes came to nothing.",
            "`cloudybot deliveries list --state undelivered` lists them, and says what each code means and what helps; `cloudybot deliveries resend ID` sends one anew",
            "when fewer fail, by `alerts.undelivered_*`",
            Ending::WhenItIsSo,
        ),
        AlertCause::CallbacksFailing => (
            "The product does not take what it is told of deliveries and consents; each post is tried for a day.",
            "check `callbacks.url` and whether the product runs; what gave up comes again by `cloudybot jobs retry --kind post_callback`",
            "when the product has taken a post since the last that it refused",
            Ending::WhenItIsSo,
        ),
        AlertCause::DeadJobs => (
            "Jobs gave up and wait for a person.",
            "`cloudybot jobs groups` says why, by causes; when one is mended, `cloudybot jobs retry --group GROUP`. `cloudybot jobs cancel --group GROUP` gives up what its jobs were to do",
            "when no job is dead any more",
            Ending::WhenItIsSo,
        ),
        AlertCause::SenderMoved => (
            "Our sender seems to have moved to another business portfolio, which gives everybody another WhatsApp id.",
            crate::inbound::changed_ids::REMEDY,
            "when somebody has decided",
            Ending::WhenItIsSo,
        ),
        AlertCause::UnusableEntry => (
            "Twilio's list of inbound messages has an entry that nobody can take in: somebody's message is not answered.",
            "`GET /admin/api/unusable-entries` lists them with the reason; look at the message in Twilio's console",
            "when all of them could be taken in after all; else when somebody acknowledges it, or after a day without another one",
            Ending::WhenLookedAt,
        ),
        AlertCause::BackfillBehind => (
            "Twilio's list of inbound messages could not be read for half an hour: messages whose webhook was lost are not fetched.",
            "`cloudybot check` says what Twilio answers; check its credentials and the way to it",
            "when the list is read again",
            Ending::WhenItIsSo,
        ),
        AlertCause::ScheduleDisabled => (
            "A schedule failed ten times in a row and was switched off.",
            "`cloudybot schedules list` says why; mend it, then `cloudybot schedules enable NAME`",
            "when no schedule is off for that reason",
            Ending::WhenItIsSo,
        ),
        AlertCause::SchedulesUnreadable => (
            "A process cannot read its folder of schedules; what was loaded last goes on.",
            "mend the folder or `schedules.directory`; `cloudybot schedules disable NAME` stops one",
            PROCESS_IS_WELL,
            OF_A_PROCESS,
        ),
        AlertCause::SlotsLate => (
            "A schedule is due and nobody fires it, or its audience is not worked off.",
            "`cloudybot schedules list` shows which process has which version of the file: start one that has the present one; `cloudybot jobs list --kind run_duty` shows \
             what holds an audience up",
            "when nothing is late any more",
            Ending::WhenItIsSo,
        ),
        AlertCause::TimeZones => (
            "Time zone rules are over a year old, or differ between processes: a slot may fall due at a wrong moment.",
            "upgrade the package tzdata on all machines and start the service again; `cloudybot check` names the releases",
            PROCESS_IS_WELL,
            OF_A_PROCESS,
        ),
        AlertCause::SecretKey => (
            "A process lacks a secret key on which rows hang: it does not know people who said STOP, and would write to them.",
            "give all processes the same CLOUDYBOT_SECRET_KEY, the former keys included; `cloudybot keys list` says what hangs on which",
            PROCESS_IS_WELL,
            OF_A_PROCESS,
        ),
        AlertCause::UnknownKind => (
            "Jobs wait that no running process knows.",
            "start the version that knows them, or `cloudybot jobs cancel --kind KIND`",
            "when none waits any more, or a process knows them",
            Ending::WhenItIsSo,
        ),
        AlertCause::Clock => (
            "A process has another time than the database.",
            "let NTP set the clocks of both machines",
            PROCESS_IS_WELL,
            OF_A_PROCESS,
        ),
        AlertCause::DatabaseAway => (
            "The database does not answer: webhooks are refused, and Twilio tries them again for some seconds.",
            "look at the database's server, its log and the network; messages that are lost meanwhile are fetched afterwards",
            "when it takes writes again",
            OF_A_PROCESS,
        ),
        AlertCause::DatabaseReadOnly => (
            "The database takes no writes: it is a standby, or somebody has set it to read-only.",
            "promote the standby, or let DATABASE_URL lead to the primary; `SHOW default_transaction_read_only`, `SELECT pg_is_in_recovery()`",
            "when it takes writes again",
            OF_A_PROCESS,
        ),
        AlertCause::DatabaseRefuses => (
            "The database refuses what is written.",
            "the detail says why; a full disk needs room (`df`), and the service goes on by itself",
            "when it takes writes again",
            OF_A_PROCESS,
        ),
        AlertCause::AgentToken => (
            "The agent's gateway refuses our token.",
            "set OPENCLAW_TOKEN to the gateway's token and start the service again; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER_OR_A_CHECK,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentEndpoint => (
            "The agent's gateway takes no turns at its address.",
            "set `gateway.http.endpoints.chatCompletions.enabled: true` at the gateway and check OPENCLAW_BASE_URL; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER_OR_A_CHECK,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentName => (
            "The agent or model that we name is unknown to its gateway.",
            "set openclaw.agent_id or openclaw.model to one that the gateway has, as `cloudybot check` lists them; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentUnreachable => (
            "The agent's gateway cannot be reached: people wait, then read an apology.",
            "check OPENCLAW_BASE_URL and whether the gateway runs; `cloudybot check` asks it; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER_OR_A_CHECK,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentLockedOut => (
            "The agent's gateway has locked this machine's address out, since somebody there comes with wrong tokens.",
            "find whose token is wrong, a user's own gateway perhaps; the lock ends by itself or with the gateway's restart; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER_OR_A_CHECK,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentBusy => (
            "The agent's gateway wants us to wait.",
            "look at the limits of the gateway and of the model behind it; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER_OR_A_CHECK,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentProvider => (
            "What stands behind the agent's gateway refuses it: a key, a limit, an account.",
            "look at the gateway's log and its provider's console; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentSetup => (
            "The agent cannot be asked as it is configured.",
            "`cloudybot check` says what is wrong; mend it and start the service again; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER,
            Ending::WhenItIsSo,
        ),
        AlertCause::AgentFailing => (
            "The agent fails, and does not say why.",
            "look at the gateway's log and at `cloudybot turns list --state failed`; then `cloudybot turns retry --since TIME`",
            BY_AN_ANSWER,
            Ending::WhenItIsSo,
        ),
    };
    Meaning { means, remedy, ends, ending }
}
