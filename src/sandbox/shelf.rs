//! The files that people send: in memory, the last few of them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;

use crate::resource::random_hex;

/// More files push out the oldest, and so do more bytes.
const FILE_LIMIT: usize = 32;
const TOTAL_LIMIT_BYTES: usize = 256 << 20;

/// A file as it was given.
pub(crate) struct ShelfFile {
    /// The message that it is for, `MM…`.
    pub(crate) message_sid: String,
    /// `ME…`
    pub(crate) media_sid: String,
    /// Whoever knows this gets the file: the last part of its URL at the CDN.
    pub(crate) link: String,
    pub(crate) content_type: String,
    /// Its name on the person's machine, where that is known.
    pub(crate) name: Option<String>,
    pub(crate) bytes: Bytes,
    pub(crate) given_at: Instant,
}

impl ShelfFile {
    /// Where Twilio has it.
    pub(crate) fn path(&self, account_sid: &str) -> String {
        format!("/2010-04-01/Accounts/{account_sid}/Messages/{}/Media/{}", self.message_sid, self.media_sid)
    }
}

#[derive(Default)]
pub(crate) struct Shelf(Mutex<VecDeque<Arc<ShelfFile>>>);

impl Shelf {
    pub(crate) fn put(&self, content_type: &str, name: Option<String>, bytes: Bytes) -> Arc<ShelfFile> {
        let file = Arc::new(ShelfFile {
            message_sid: format!("MM{}", random_hex()),
            media_sid: format!("ME{}", random_hex()),
            link: random_hex(),
            content_type: content_type.to_owned(),
            name,
            bytes,
            given_at: Instant::now(),
        });
        let mut files = self.lock();
        files.push_back(file.clone());
        while files.len() > FILE_LIMIT || total_bytes(&files) > TOTAL_LIMIT_BYTES {
            files.pop_front();
        }
        file
    }

    pub(crate) fn find(&self, is_it: impl Fn(&ShelfFile) -> bool) -> Option<Arc<ShelfFile>> {
        self.lock().iter().find(|file| is_it(file)).cloned()
    }

    /// Takes a file away.
    pub(crate) fn remove(&self, media_sid: &str) {
        self.lock().retain(|file| file.media_sid != media_sid);
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<ShelfFile>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn total_bytes(files: &VecDeque<Arc<ShelfFile>>) -> usize {
    files.iter().map(|file| file.bytes.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_files_make_room() {
        let shelf = Shelf::default();
        let first = shelf.put("image/png", None, Bytes::from_static(b"first"));
        let is_kept = |sid: &str| shelf.find(|file| file.media_sid == sid).is_some();

        for _ in 1..FILE_LIMIT {
            shelf.put("image/png", None, Bytes::from_static(b"another"));
        }
        assert!(is_kept(&first.media_sid));
        let last = shelf.put("image/png", None, Bytes::from_static(b"last"));

        assert!(!is_kept(&first.media_sid) && is_kept(&last.media_sid));
    }
}
