//! That the assistant has read a message and is typing: what people see while a turn runs. Nothing depends on it, so nothing fails by it.

use std::time::Duration;

use store::ids::MessageId;
use store::messages::{ChannelName, Said};
use store::turns::Turn;
use tokio::task::JoinHandle;

use crate::app::App;

/// WhatsApp shows it for 25 seconds.
const AGAIN: Duration = Duration::from_secs(20);

/// Shows it until this is dropped.
pub struct Typing(Option<JoinHandle<()>>);

impl Drop for Typing {
    fn drop(&mut self) {
        if let Some(showing) = self.0.take() {
            showing.abort();
        }
    }
}

/// Shows that the last of these messages is read and being answered; nothing where nobody wrote in WhatsApp.
pub fn show(app: &App, messages: &[Said]) -> Typing {
    let Some((sid, id)) = shown_on(app, messages) else { return Typing(None) };
    let app = app.clone();
    Typing(Some(tokio::spawn(async move {
        loop {
            ask(&app, &sid, id).await;
            tokio::time::sleep(AGAIN).await;
        }
    })))
}

/// Shows it once more to a person whose turn waits for its agent.
pub fn show_once(app: &App, messages: &[Said]) {
    let Some((sid, id)) = shown_on(app, messages) else { return };
    let app = app.clone();
    tokio::spawn(async move { ask(&app, &sid, id).await });
}

/// Until when nothing has to be shown while a turn's agent is left alone for so long.
#[must_use]
pub fn idle_for(app: &App, turn: &Turn, pause: Duration) -> Duration {
    let is_shown = app.settings.whatsapp.typing_indicator && turn.channel == ChannelName::Whatsapp;
    if is_shown { pause.min(AGAIN) } else { pause }
}

/// The message on which it is shown.
fn shown_on(app: &App, messages: &[Said]) -> Option<(String, MessageId)> {
    let last = messages.iter().rev().find(|said| said.address_id.is_some())?;
    app.settings.whatsapp.typing_indicator.then(|| (last.sid.clone(), last.id))
}

async fn ask(app: &App, sid: &str, id: MessageId) {
    if let Err(error) = app.twilio.show_typing(sid).await {
        tracing::debug!(message.id = id.0, "Could not show that message {id} is being answered: {error}");
    }
}
