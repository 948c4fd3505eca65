//! The sandbox's memory on disk: each change of a message is a line with the whole message; the last line of each counts.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;

use crate::message::Message;

pub(crate) struct Journal(File);

impl Journal {
    /// Opens the file; returns what it holds, in the order in which messages were taken in.
    pub(crate) fn open(path: &Path) -> std::io::Result<(Self, Vec<Message>)> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
        let mut messages: Vec<Message> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for line in BufReader::new(&file).split(b'\n') {
            // A process that was killed while it wrote has left half a line.
            let Ok(message) = serde_json::from_slice::<Message>(&line?) else { continue };
            match places.get(&message.sid) {
                Some(place) => messages[*place] = message,
                None => {
                    places.insert(message.sid.clone(), messages.len());
                    messages.push(message);
                }
            }
        }
        let mut journal = Self(file);
        journal.0.write_all(b"\n")?; // ends a half line
        Ok((journal, messages))
    }

    /// Keeps a change before anybody hears of it.
    pub(crate) fn write(&mut self, message: &Message) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.0.write_all(&line)?;
        self.0.flush()
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) -> std::io::Result<()> {
        self.0.set_len(0)
    }
}
