//! What a phone shows of one message.

use chrono::{DateTime, TimeDelta, Utc};

use pages::formatting;

use super::{failures, files};
use crate::faults::{Faults, TemplateButton};
use crate::message::SandboxMessage;
use crate::resource::filled;
use crate::state::SandboxState;

/// What is shown of one text. WhatsApp itself ends at 4096 characters.
const LIMIT_CHARS: usize = 8000;

/// WhatsApp shows that somebody types for so long, or until the next message.
const TYPING: TimeDelta = TimeDelta::seconds(25);

/// A message on a phone.
pub(super) struct Bubble {
    pub(super) sid: String,
    /// The message's place among all.
    pub(super) order: usize,
    /// The number or id of the phone.
    pub(super) phone: String,
    /// Whether the phone's person wrote it.
    pub(super) is_mine: bool,
    /// HTML, of the text's signs alone.
    pub(super) text: String,
    pub(super) file: Option<FileView>,
    pub(super) place: Option<Place>,
    pub(super) time: String,
    pub(super) clock: String,
    pub(super) tick: Tick,
    pub(super) failure: Option<String>,
    pub(super) buttons: Vec<TemplateButton>,
    pub(super) business: String,
}

/// A picture, or a document.
pub(super) struct FileView {
    pub(super) url: String,
    pub(super) is_picture: bool,
    pub(super) name: String,
    pub(super) about: String,
}

/// A place on the map.
pub(super) struct Place {
    pub(super) label: String,
    pub(super) address: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tick {
    pub(super) signs: &'static str,
    pub(super) words: &'static str,
    /// Whether a person who reads has still to read it.
    pub(super) is_unread: bool,
}

/// The phone that a message is on: a number or an id.
pub(super) fn phone_of(message: &SandboxMessage) -> &str {
    let address = if message.is_inbound() { &message.from } else { &message.to };
    address.strip_prefix("whatsapp:").unwrap_or(address)
}

/// The name that a person's messages tell last.
pub(super) fn told_name<'a>(messages: impl DoubleEndedIterator<Item = &'a SandboxMessage>) -> Option<String> {
    messages.rev().find_map(|message| message.parameters.get("ProfileName").cloned())
}

/// For how long the phone still shows that somebody types, by its messages.
pub(super) fn typing_left<'a>(
    messages: impl Iterator<Item = &'a SandboxMessage>,
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let mut typing: Option<DateTime<Utc>> = None;
    let mut answered: Option<DateTime<Utc>> = None;
    for message in messages {
        match message.is_inbound() {
            true => typing = typing.max(message.typing_at),
            false => answered = answered.max(Some(message.created_at)),
        }
    }
    let left = typing.filter(|typing| answered.is_none_or(|answered| answered < *typing))? + TYPING - now;
    (left > TimeDelta::zero()).then_some(left)
}

/// A text with its signs; one that is very long is cut.
fn formatted(text: &str) -> String {
    match text.char_indices().nth(LIMIT_CHARS) {
        Some((end, _)) => {
            let (shown, left_out) = text.split_at(end);
            format!("{}… ({} bytes more)", formatting::html(shown), left_out.len())
        }
        None => formatting::html(text),
    }
}

impl Bubble {
    pub(super) fn of(
        sandbox: &SandboxState,
        faults: &Faults,
        order: usize,
        message: &SandboxMessage,
    ) -> Self {
        let sid = message.content_sid.as_ref();
        let text = sid
            .and_then(|sid| faults.template_texts.get(sid))
            .map_or_else(|| message.body.clone(), |text| filled(text, message.content_variables.as_deref()));
        let buttons = sid.and_then(|sid| faults.template_buttons.get(sid)).cloned();
        let shown = match message.parameters.get("ButtonText").filter(|_| text.is_empty()) {
            Some(button) => button,
            None => &text,
        };
        Self {
            sid: message.sid.clone(),
            order,
            phone: phone_of(message).to_owned(),
            is_mine: message.is_inbound(),
            text: formatted(shown),
            file: message.media_url.as_deref().map(|url| FileView::of(sandbox, message, url)),
            place: Place::of(message),
            time: message.created_at.to_rfc3339(),
            clock: message.created_at.format("%H:%M").to_string(),
            tick: Tick::of(message),
            failure: message.error_code.map(|code| format!("{code}: {}", failures::words(code))),
            buttons: buttons.unwrap_or_default(),
            business: message.from.clone(),
        }
    }
}

impl FileView {
    fn of(sandbox: &SandboxState, message: &SandboxMessage, url: &str) -> Self {
        let last = url.rsplit('/').next().filter(|last| !last.is_empty()).unwrap_or(url);
        let at = files::url(&message.sid);
        match files::of_person(sandbox, url) {
            Some(file) => Self {
                url: at,
                is_picture: files::is_picture(&file.content_type),
                name: file.name.clone().unwrap_or_else(|| "File".to_owned()),
                about: format!("{}, {}", file.content_type, size(file.bytes.len())),
            },
            None => {
                let name = last.split(['?', '#']).next().unwrap_or(last).to_owned();
                let ending = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
                let is_picture = matches!(ending.as_str(), "png" | "jpg" | "jpeg" | "gif" | "webp");
                let about = if message.is_inbound() { "the sandbox has it no more" } else { url };
                Self {
                    url: at,
                    is_picture: is_picture && !message.is_inbound(),
                    name,
                    about: about.to_owned(),
                }
            }
        }
    }
}

fn size(bytes: usize) -> String {
    match bytes {
        ..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KB", bytes / 1024),
        _ => format!("{:.1} MB", bytes as f64 / 1_048_576.0),
    }
}

impl Place {
    /// A person's place has fields of its own; a service's is `geo:LATITUDE,LONGITUDE|label`.
    fn of(message: &SandboxMessage) -> Option<Self> {
        let field = |name: &str| message.parameters.get(name).cloned();
        let (latitude, longitude, label) = match (field("Latitude"), field("Longitude")) {
            (Some(latitude), Some(longitude)) => (latitude, longitude, field("Label")),
            _ => {
                let action = field("PersistentAction")?;
                let (place, label) = action
                    .strip_prefix("geo:")?
                    .split_once('|')
                    .map_or((action.strip_prefix("geo:")?, None), |(place, label)| (place, Some(label)));
                let (latitude, longitude) = place.split_once(',')?;
                (latitude.to_owned(), longitude.to_owned(), label.map(str::to_owned))
            }
        };
        let degrees = |text: String| text.trim().parse::<f64>().ok().filter(|degrees| degrees.is_finite());
        Some(Self {
            label: label.filter(|label| !label.is_empty()).unwrap_or_else(|| "Location".to_owned()),
            address: field("Address").unwrap_or_default(),
            latitude: degrees(latitude)?,
            longitude: degrees(longitude)?,
        })
    }
}

impl Tick {
    fn of(message: &SandboxMessage) -> Self {
        let tick = |signs, words| Self { signs, words, is_unread: false };
        if message.is_inbound() {
            // Who shows that it types has read.
            return match message.typing_at {
                Some(_) => tick("✓✓", "read"),
                None => tick("✓", "sent"),
            };
        }
        match message.status.as_str() {
            "sent" => tick("✓", "sent"),
            "delivered" => Self { is_unread: true, ..tick("✓✓", "delivered") },
            "read" => tick("✓✓", "read"),
            "undelivered" | "failed" => tick("!", "failed"),
            "scheduled" => tick("", "scheduled"),
            "canceled" => tick("", "canceled"),
            _ => tick("", "queued"),
        }
    }
}
