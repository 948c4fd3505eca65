//! That the assistant has read a message and is typing: what people see while a turn runs. Nothing depends on it, so nothing fails by it.

use std::time::Duration;

use store::messages::Said;
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
    let last = messages.iter().rev().find(|said| said.address_id.is_some());
    let Some(last) = last.filter(|_| app.settings.whatsapp.typing_indicator) else { return Typing(None) };
    let (app, sid, id) = (app.clone(), last.sid.clone(), last.id);
    Typing(Some(tokio::spawn(async move {
        loop {
            if let Err(error) = app.twilio.show_typing(&sid).await {
                tracing::debug!(
                    message.id = id.0,
                    "Could not show that message {id} is being answered: {error}"
                );
            }
            tokio::time::sleep(AGAIN).await;
        }
    })))
}
