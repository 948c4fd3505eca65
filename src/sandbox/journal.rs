//! The sandbox's memory on disk: each change of a message is a line with the whole message; the last line of each counts.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;

use crate::message::SandboxMessage;

pub(crate) struct Journal(File);

/// A change that could not be kept; so it did not happen.
#[derive(Debug, thiserror::Error)]
#[error("the sandbox cannot write its journal: {0}")]
pub(crate) struct NotKept(#[from] std::io::Error);

impl Journal {
    /// Opens the file; returns what it holds, in the order in which messages were taken in.
    pub(crate) fn open(path: &Path) -> std::io::Result<(Self, Vec<SandboxMessage>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut messages: Vec<SandboxMessage> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for line in BufReader::new(&file).split(b'\n') {
            // A process that was killed while it wrote has left half a line.
            let Ok(message) = serde_json::from_slice::<SandboxMessage>(&line?) else { continue };
            match places.get(&message.sid) {
                Some(place) => messages[*place] = message,
                None => {
                    places.insert(message.sid.clone(), messages.len());
                    messages.push(message);
                }
            }
        }
        Ok((Self(file), messages))
    }

    /// Keeps a change before anybody hears of it. The line break comes first: it ends the half line of a write that failed, or of a
    /// process that was killed.
    pub(crate) fn write(&mut self, message: &SandboxMessage) -> Result<(), NotKept> {
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, message).map_err(std::io::Error::from)?;
        Ok(self.0.write_all(&line)?)
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) -> Result<(), NotKept> {
        Ok(self.0.set_len(0)?)
    }

    /// A journal that takes nothing, like one on a full disk.
    #[cfg(test)]
    pub(crate) fn unwritable(path: &Path) -> Self {
        Self(File::open(path).unwrap())
    }
}
