//! Files that came with messages: pictures are shown to the agent, contacts are told in words, other kinds are named. What came of each is kept
//! for administrators, and told to the agent where it went wrong.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use store::attachments::Attachment;
use store::messages::Said;
use twilio::media::{Media, MediaError, MediaLimits};

use super::contact;
use super::words::{self, File};
use crate::app::App;

/// A gateway takes no more pictures in a turn.
const PICTURES: usize = 8;

/// Files that are fetched at a time.
const AT_ONCE: usize = 4;

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

/// Fetches what the agent can use of these messages' files, all within the operator's time, and keeps what came of each.
pub(crate) async fn fetch(app: &App, messages: &[Said]) -> sqlx::Result<HashMap<(i64, i32), Fetched>> {
    let mut pictures = 0;
    let files: Vec<(i64, File, bool)> = messages
        .iter()
        .flat_map(|said| words::files(&said.params).into_iter().map(|file| (said.id, file)))
        .map(|(message, file)| {
            pictures += usize::from(file.is_picture());
            let one_too_many = file.is_picture() && pictures > PICTURES;
            (message, file, one_too_many)
        })
        .collect();
    if files.is_empty() {
        return Ok(HashMap::new());
    }
    let deadline = Instant::now() + app.settings.media.timeout;
    let fetched: Vec<(Attachment, Fetched)> = futures::stream::iter(files)
        .map(|(message, file, one_too_many)| async move {
            let came_to = if one_too_many {
                CameTo::named("not shown: there are too many pictures")
            } else {
                one(app, &file, deadline).await
            };
            came_to.of(message, &file)
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let attachments: Vec<Attachment> = fetched.iter().map(|(attachment, _)| attachment.clone()).collect();
    store::attachments::note(&mut *app.pg.acquire().await?, &attachments).await?;
    Ok(fetched
        .into_iter()
        .map(|(attachment, fetched)| ((attachment.message_id, attachment.index), fetched))
        .collect())
}

async fn one(app: &App, file: &File, deadline: Instant) -> CameTo {
    if !file.is_picture() && !file.is_contact() {
        let is_audio = file.content_type.starts_with("audio/");
        return CameTo::named(if is_audio { "not transcribed" } else { "not shown" });
    }
    let size_bytes = app.settings.media.size_bytes;
    let limits = MediaLimits {
        size_bytes: if file.is_picture() { size_bytes } else { size_bytes.min(CONTACT_BYTES) },
        timeout: deadline.saturating_duration_since(Instant::now()),
        retry_every: RETRY_EVERY,
        retry_for: RETRY_FOR,
    };
    match app.twilio.fetch_media(&file.url, &limits).await {
        Ok(media) if file.is_contact() => CameTo::contact(&media),
        Ok(media) => CameTo::picture(media),
        Err(MediaError::Refused(reason)) => CameTo::wrong("refused", reason),
        Err(MediaError::Failed(reason)) => CameTo::wrong("failed", reason),
    }
}

/// What came of a file.
struct CameTo {
    state: &'static str,
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
        Self { state: "named", size_bytes: None, reason: None, shown: Shown::Named(why.to_owned()) }
    }

    fn wrong(state: &'static str, reason: String) -> Self {
        let told = format!("could not be fetched: {reason}");
        Self { state, size_bytes: None, reason: Some(reason), shown: Shown::Named(told) }
    }

    /// What a sender says about a file is not believed: its first bytes say what it is.
    fn picture(media: Media) -> Self {
        let size_bytes = Some(media.bytes.len());
        let kind = infer::get(&media.bytes).map(|kind| kind.mime_type()).unwrap_or_default();
        if !kind.starts_with("image/") {
            return Self { size_bytes, ..Self::wrong("refused", "it is no picture".to_owned()) };
        }
        let picture = Fetched::Picture { mime: kind.to_owned(), bytes: media.bytes };
        Self { state: "shown", size_bytes, reason: None, shown: Shown::As(picture) }
    }

    fn contact(media: &Media) -> Self {
        let size_bytes = Some(media.bytes.len());
        let told = contact::in_words(&String::from_utf8_lossy(&media.bytes));
        match told {
            Some(told) => {
                Self { state: "shown", size_bytes, reason: None, shown: Shown::As(Fetched::Words(told)) }
            }
            None => Self { size_bytes, ..Self::wrong("refused", "it is no contact".to_owned()) },
        }
    }

    fn of(self, message_id: i64, file: &File) -> (Attachment, Fetched) {
        if let Some(reason) = &self.reason {
            tracing::warn!(
                message.id = message_id,
                "File {} of message {message_id} is not shown to the agent: {reason}",
                file.index
            );
        }
        let attachment = Attachment {
            message_id,
            index: file.index,
            content_type: file.content_type.clone(),
            state: self.state.to_owned(),
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
