//! What people read from the channel itself, but for what is added to a text when it is planned: the footer, and the notice of a cut.

/// Answers a STOP.
pub const STOPPED: &str = "You're unsubscribed from scheduled and proactive messages. You can still chat here. Reply START to resume.";

/// Answers a START.
pub const STARTED: &str =
    "You're subscribed to scheduled and proactive messages again. Reply STOP to unsubscribe.";

/// Answers a claim token that links the phone.
pub const LINKED: &str = "This number is now linked to your CloudyBot account. Write to me here any time. Reply STOP to unsubscribe from scheduled and proactive messages.";

/// Answers every token that links nothing, whatever the reason: it must not tell a stranger whether a token exists.
pub const TOKEN_REFUSED: &str =
    "That code isn't valid or has expired. You can get a new one from your CloudyBot dashboard.";

/// Tells a stranger what to do, at most once an hour.
pub const LINK_HINT: &str = "This number isn't linked to a CloudyBot account yet. Open your CloudyBot dashboard, choose WhatsApp, and send me the code you see there.";

/// Tells a user whose plan has no WhatsApp, at most once a day.
pub const PLAN_HINT: &str = "Your CloudyBot plan doesn't include WhatsApp. You can still chat in your dashboard, or change your plan there.";

/// Tells a person of a country where the assistant may not talk to people, at most once a day.
pub const COUNTRY_HINT: &str =
    "I can't chat on WhatsApp in your country. You can still chat in your CloudyBot dashboard.";

/// Tells a sender who is too fast, once for each window.
pub const TOO_FAST: &str = "You're writing faster than I can answer, so I skipped some messages. Please wait a minute and try again.";

/// Answers a message that moderation kept from the agent.
pub const MODERATED: &str = "Sorry, I can't help with that message.";

/// Answers a browser phrase when there was a session.
pub const BROWSER_ENDED: &str = "Browser session ended.";

/// The same where other users have the same gateway: it has one browser for all of them.
pub const SHARED_BROWSER_ENDED: &str =
    "Browser session ended. This browser is shared: if others were using it, their session has ended, too.";

/// Answers a browser phrase when there was none.
pub const NO_BROWSER: &str = "No browser session is running.";

/// Tells a person who waits, once for each question.
pub const DELAYED: &str = "This is taking longer than usual. I'm still working on it.";

/// Answers a STOP in the dashboard, which does nothing.
pub const STOP_IN_DASHBOARD: &str = "That stopped nothing. To end the browser session, write \"stop session\". To stop scheduled and proactive messages, send STOP to me on WhatsApp.";

/// Answers a turn that came to nothing.
pub const APOLOGY: &str = "Sorry, I couldn't finish that. Please try again.";

/// What a person agrees to by sending a claim token; shown beside the token, and kept with the consent.
pub const CONSENT: &str = "By sending this code you link your number to your CloudyBot account and agree to receive messages from CloudyBot on WhatsApp, also scheduled and proactive ones. Reply STOP at any time to unsubscribe.";

/// Of [`CONSENT`]; another text gets another version.
pub const CONSENT_VERSION: &str = "2026-11";
