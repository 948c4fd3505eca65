//! Files that came with messages: pictures are shown to the agent, contacts are told in words, other kinds are named. What came of each is kept
//! for administrators, and told to the agent where it went wrong.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use agent::turn::{IMAGE_BYTES, IMAGE_TYPES, IMAGES, IMAGES_BYTES};
use store::attachments::{Attachment, AttachmentState};
use store::ids::MessageId;
use store::messages::Said;
use twilio::media::{MediaError, MediaFile, MediaLimits};

use super::contact;
use super::message_text::{self, File};
use crate::app::App;
use crate::inbound::moderation::Mode;

/// A contact is a few lines, and perhaps a small portrait.
const CONTACT_BYTES: usize = 256 * 1024;

/// In the first seconds Twilio may not have a file yet.
const RETRY_EVERY: Duration = Duration::from_millis(500);
const RETRY_FOR: Duration = Duration::from_secs(6);

/// A file as the agent gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fetched {
    /// To be seen.
    Picture {
        /// What it really is.
        mime: String,
        /// The file.
        bytes: Vec<u8>,
    },
    /// To be read.
    Words(String),
}

/// What a turn may still take of the pictures that a gateway takes.
struct Room {
    pictures: usize,
    size_bytes: usize,
    deadline: Instant,
}

/// Fetches what the agent can use of these messages' files, all within the operator's time, and keeps what came of each. One after the other, so
/// that no turn holds more than it can show.
pub(crate) async fn fetch(app: &App, messages: &[Said]) -> sqlx::Result<HashMap<(MessageId, i32), Fetched>> {
    let mut room = Room {
        pictures: IMAGES,
        size_bytes: IMAGES_BYTES,
        deadline: Instant::now() + app.settings.media.timeout,
    };
    let (mut attachments, mut all) = (Vec::new(), HashMap::new());
    for said in messages {
        for file in message_text::files(&said.params) {
            let (attachment, fetched) = one(app, &file, &mut room).await.of(said.id, &file);
            attachments.push(attachment);
            all.insert((said.id, file.index), fetched);
        }
    }
    if !attachments.is_empty() {
        store::attachments::note(&mut *app.pg.acquire().await?, &attachments).await?;
    }
    Ok(all)
}

async fn one(app: &App, file: &File, room: &mut Room) -> CameTo {
    if file.url.is_empty() {
        return CameTo::wrong(AttachmentState::Failed, "Twilio did not say where it is".to_owned());
    }
    if file.is_contact() && app.settings.moderation.mode == Mode::Block {
        return CameTo::named("not shown, since nobody has judged it");
    }
    if !file.is_picture() && !file.is_contact() {
        let is_audio = file.content_type.starts_with("audio/");
        return CameTo::named(if is_audio { "not transcribed" } else { "not shown" });
    }
    if file.is_picture() && room.pictures == 0 {
        return CameTo::wrong(AttachmentState::Refused, "there are too many pictures".to_owned());
    }
    let most = if file.is_picture() { IMAGE_BYTES.min(room.size_bytes) } else { CONTACT_BYTES };
    let limits = MediaLimits {
        size_bytes: most.min(app.settings.media.size_limit_bytes),
        timeout: room.deadline.saturating_duration_since(Instant::now()),
        retry_every: RETRY_EVERY,
        retry_for: RETRY_FOR,
    };
    match app.twilio.fetch_media(&file.url, &limits).await {
        Ok(media) if file.is_contact() => CameTo::contact(&media),
        Ok(media) => {
            room.pictures -= 1;
            room.size_bytes -= media.bytes.len().min(room.size_bytes);
            CameTo::picture(media)
        }
        Err(MediaError::Refused(reason)) => CameTo::wrong(AttachmentState::Refused, reason),
        Err(MediaError::Failed(reason)) => CameTo::wrong(AttachmentState::Failed, reason),
    }
}

/// What came of a file.
struct CameTo {
    state: AttachmentState,
    size_bytes: Option<usize>,
    reason: Option<String>,
    shown: Shown,
}

enum Shown {
    As(Fetched),
    /// Its name, and this behind it.
    Named(String),
}

impl CameTo {
    fn named(why: &str) -> Self {
        Self {
            state: AttachmentState::Named,
            size_bytes: None,
            reason: None,
            shown: Shown::Named(why.to_owned()),
        }
    }

    fn wrong(state: AttachmentState, reason: String) -> Self {
        let told = format!("could not be shown: {reason}");
        Self { state, size_bytes: None, reason: Some(reason), shown: Shown::Named(told) }
    }

    /// What a writer says about a file is not believed: its first bytes say what it is.
    fn picture(media: MediaFile) -> Self {
        let size_bytes = Some(media.bytes.len());
        let kind = infer::get(&media.bytes).map(|kind| kind.mime_type()).unwrap_or_default();
        if !IMAGE_TYPES.contains(&kind) {
            let reason = if kind.starts_with("image/") {
                format!("agents cannot see pictures of the kind {kind}")
            } else {
                "it is no picture".to_owned()
            };
            return Self { size_bytes, ..Self::wrong(AttachmentState::Refused, reason) };
        }
        let picture = Fetched::Picture { mime: kind.to_owned(), bytes: media.bytes };
        Self { state: AttachmentState::Shown, size_bytes, reason: None, shown: Shown::As(picture) }
    }

    fn contact(media: &MediaFile) -> Self {
        let size_bytes = Some(media.bytes.len());
        let told = contact::in_words(&String::from_utf8_lossy(&media.bytes));
        match told {
            Some(told) => Self {
                state: AttachmentState::Shown,
                size_bytes,
                reason: None,
                shown: Shown::As(Fetched::Words(told)),
            },
            None => {
                Self { size_bytes, ..Self::wrong(AttachmentState::Refused, "it is no contact".to_owned()) }
            }
        }
    }

    fn of(self, message_id: MessageId, file: &File) -> (Attachment, Fetched) {
        if let Some(reason) = &self.reason {
            tracing::warn!(
                message.id = message_id.0,
                "File {} of message {message_id} is not shown to the agent: {reason}",
                file.index
            );
        }
        let attachment = Attachment {
            message_id,
            index: file.index,
            content_type: file.content_type.clone(),
            state: self.state,
            size_bytes: self.size_bytes.and_then(|bytes| i64::try_from(bytes).ok()),
            reason: self.reason,
        };
        let fetched = match self.shown {
            Shown::As(fetched) => fetched,
            Shown::Named(why) => Fetched::Words(file.in_words(&why)),
        };
        (attachment, fetched)
    }
}
