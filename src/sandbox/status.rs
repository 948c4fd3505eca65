//! What becomes of a message after it was taken in: queued → sent → delivered (→ read), each reported to its status callback. The
//! initial status is not reported, as at Twilio.

use std::sync::Arc;

use crate::clock;
use crate::exchanges::ExchangeKind;
use crate::journal::NotKept;
use crate::message::SandboxMessage;
use crate::resource::masked;
use crate::state::SandboxState;
use crate::webhook::deliver;

/// The status of a scheduled message that was called off.
pub(crate) const CANCELED: &str = "canceled";

/// The status of a message that its person has read.
pub(crate) const READ: &str = "read";

/// A person reads a message that was delivered.
pub(crate) async fn read(sandbox: &SandboxState, sid: &str) -> Result<(), NotKept> {
    let mut is_news = false;
    let changed = sandbox.change(sid, |message| {
        is_news = message.status == "delivered";
        if is_news {
            message.status = READ.to_owned();
        }
    })?;
    if let Some(message) = changed.filter(|_| is_news) {
        report(sandbox, &message).await;
    }
    Ok(())
}

/// Lets a message take its course.
pub(crate) fn begin(sandbox: &Arc<SandboxState>, message: SandboxMessage) {
    let sandbox = sandbox.clone();
    tokio::spawn(async move { sandbox.stop.run_until_cancelled(follow(&sandbox, message.sid)).await });
}

/// Lets the messages of an earlier life take their course.
pub(crate) fn resume(sandbox: &Arc<SandboxState>) {
    for message in sandbox.messages().into_iter().filter(|message| !message.is_final()) {
        begin(sandbox, message);
    }
}

async fn follow(sandbox: &SandboxState, sid: String) {
    if let Some(send_at) = sandbox.message(&sid).and_then(|message| message.send_at) {
        tokio::time::sleep((send_at - clock::now()).to_std().unwrap_or_default()).await;
    }
    let faults = sandbox.faults();
    let mut course = vec![("sent", None)];
    if sandbox.happens(faults.fail_later) {
        course.push(("undelivered", Some(faults.fail_later_code)));
    } else {
        course.push(("delivered", None));
        if sandbox.happens(faults.read) {
            course.push(("read", None));
        }
    }
    let mut reports = Vec::new();
    for (status, error_code) in course {
        tokio::time::sleep(sandbox.settings.options.status_delay).await;
        // A process that is killed here reports the next status of this message after its restart, and not this one: as at Twilio, a
        // callback can be lost.
        let changed = sandbox.change(&sid, |message| {
            if message.status == CANCELED || message.status == READ {
                return;
            }
            message.status = status.to_owned();
            message.error_code = error_code;
            message.sent_at = message.sent_at.or_else(|| Some(clock::now()));
        });
        let message = match changed {
            // Forgotten meanwhile, or called off.
            Ok(Some(message)) if message.status == CANCELED => return,
            Ok(None) => return,
            // Its person was quicker than the receipt on request.
            Ok(Some(message)) if message.status == READ && message.status != status => return,
            Ok(Some(message)) => message,
            Err(error) => {
                tracing::error!(error = %error, sid, "The sandbox cannot keep a status of message {sid}");
                return;
            }
        };
        reports.push(message);
        if !sandbox.happens(faults.callback_reordered) {
            for message in reports.drain(..).rev() {
                report(sandbox, &message).await;
            }
        }
    }
    for message in reports.drain(..).rev() {
        report(sandbox, &message).await;
    }
}

/// One status callback, lost or doubled if that was asked for.
async fn report(sandbox: &SandboxState, message: &SandboxMessage) {
    let Some(url) = &message.status_callback else { return };
    let faults = sandbox.faults();
    if sandbox.happens(faults.callback_lost) {
        return;
    }
    let times = if sandbox.happens(faults.callback_doubled) { 2 } else { 1 };
    for _ in 0..times {
        if let Err(reason) =
            deliver(sandbox, ExchangeKind::StatusCallback, url, &params(sandbox, message)).await
        {
            tracing::debug!(sid = message.sid, reason, "The sandbox could not report a status");
        }
    }
}

fn params(sandbox: &SandboxState, message: &SandboxMessage) -> Vec<(String, String)> {
    let mut params = vec![
        ("MessageSid", message.sid.clone()),
        ("MessageStatus", message.status.clone()),
        ("SmsSid", message.sid.clone()),
        ("SmsStatus", message.status.clone()),
        ("AccountSid", sandbox.settings.account_sid.clone()),
        ("From", message.from.clone()),
        ("To", message.to.clone()),
        ("ApiVersion", "2010-04-01".to_owned()),
        ("ChannelPrefix", "whatsapp".to_owned()),
        ("ChannelInstallSid", format!("XE{}", "0".repeat(32))),
        ("ChannelToAddress", masked(message.to.strip_prefix("whatsapp:").unwrap_or(&message.to))),
    ];
    if let Some(code) = message.error_code {
        params.push(("ErrorCode", code.to_string()));
        params.push(("ChannelStatusMessage", "failed on request".to_owned()));
    }
    if matches!(message.status.as_str(), "delivered" | "read" | "undelivered") {
        params.push(("EventType", message.status.to_uppercase()));
    }
    params.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
