//! What the sandbox knows.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::changes::Changes;
use crate::exchanges::{Exchange, Exchanges, Try};
use crate::faults::Faults;
use crate::journal::{Journal, NotKept};
use crate::message::SandboxMessage;
use crate::settings::SandboxSettings;
use crate::shelf::Shelf;
use crate::{SandboxError, clock};

/// Shared by everything that the sandbox does.
pub(crate) struct SandboxState {
    pub(crate) settings: SandboxSettings,
    pub(crate) http: reqwest::Client,
    /// Ends everything that is under way.
    pub(crate) stop: CancellationToken,
    pub(crate) shelf: Shelf,
    /// Tells this process's versions from those of an earlier one.
    pub(crate) epoch: u32,
    known: Mutex<Known>,
    /// Messages have changed.
    changed: watch::Sender<u64>,
    /// Anything has.
    touched: watch::Sender<u64>,
}

struct Known {
    /// Grows with each change of anything.
    version: u64,
    /// The version at which all was forgotten.
    cleared: u64,
    /// The version at which faults or readers last changed.
    controls: u64,
    messages: Vec<SandboxMessage>,
    /// The version at which each message last changed.
    versions: Vec<u64>,
    places: HashMap<String, usize>,
    exchanges: Exchanges,
    /// The people who read what their phones show.
    readers: BTreeSet<String>,
    faults: Faults,
    webhook_url: String,
    chance: StdRng,
    journal: Option<Journal>,
}

impl SandboxState {
    pub(crate) fn open(settings: SandboxSettings) -> Result<Self, SandboxError> {
        let opened = settings.journal.as_deref().map(|path| {
            Journal::open(path).map_err(|source| SandboxError::Journal { path: path.to_owned(), source })
        });
        let (journal, messages) =
            opened.transpose()?.map_or((None, Vec::new()), |(journal, messages)| (Some(journal), messages));
        let versions = vec![1; messages.len()];
        let places =
            messages.iter().enumerate().map(|(place, message)| (message.sid.clone(), place)).collect();
        let known = Known {
            version: 1,
            cleared: 0,
            controls: 1,
            messages,
            versions,
            places,
            exchanges: Exchanges::default(),
            readers: BTreeSet::new(),
            faults: Faults::default(),
            webhook_url: settings.webhook_url.clone(),
            chance: StdRng::seed_from_u64(settings.seed),
            journal,
        };
        // Webhooks go to a service on this machine; a proxy could not reach it.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent("TwilioProxy/1.1")
            .build()?;
        let stop = CancellationToken::new();
        Ok(Self {
            settings,
            http,
            stop,
            shelf: Shelf::default(),
            epoch: rand::random(),
            known: Mutex::new(known),
            changed: watch::Sender::new(0),
            touched: watch::Sender::new(0),
        })
    }

    /// Where it listens, `http://127.0.0.1:…`.
    pub(crate) fn base_url(&self) -> String {
        format!("http://{}", self.settings.options.listen)
    }

    /// Keeps a person's file; returns the URL that a webhook gives for it.
    pub(crate) fn add_media(
        &self,
        content_type: &str,
        name: Option<String>,
        bytes: impl Into<Bytes>,
    ) -> String {
        let file = self.shelf.put(content_type, name, bytes.into());
        format!("{}{}", self.base_url(), file.path(&self.settings.account_sid))
    }

    pub(crate) fn messages(&self) -> Vec<SandboxMessage> {
        self.lock().messages.clone()
    }

    pub(crate) fn message(&self, sid: &str) -> Option<SandboxMessage> {
        let known = self.lock();
        known.places.get(sid).map(|place| known.messages[*place].clone())
    }

    /// Whether Twilio's routes show it yet, and still. The lag is the one in force when they are asked, not the one when the message was
    /// taken in: whoever takes the lag away sees everything at once.
    pub(crate) fn is_listed(&self, message: &SandboxMessage, now: DateTime<Utc>) -> bool {
        if message.deleted {
            return false;
        }
        let lag = i64::try_from(self.lock().faults.list_lag_ms).unwrap_or(i64::MAX);
        TimeDelta::try_milliseconds(lag).is_some_and(|lag| message.created_at + lag <= now)
    }

    /// Takes a message in, unless there is one with this SID.
    pub(crate) fn add(&self, message: SandboxMessage) -> Result<(), NotKept> {
        let mut known = self.lock();
        if known.places.contains_key(&message.sid) {
            return Ok(());
        }
        known.keep(&message)?;
        let place = known.messages.len();
        let version = known.next_version();
        known.places.insert(message.sid.clone(), place);
        known.messages.push(message);
        known.versions.push(version);
        drop(known);
        self.announce();
        Ok(())
    }

    /// Changes a message; `None`: there is none with this SID.
    pub(crate) fn change(
        &self,
        sid: &str,
        change: impl FnOnce(&mut SandboxMessage),
    ) -> Result<Option<SandboxMessage>, NotKept> {
        let mut known = self.lock();
        let Some(place) = known.places.get(sid).copied() else { return Ok(None) };
        let mut message = known.messages[place].clone();
        change(&mut message);
        message.updated_at = clock::now();
        known.keep(&message)?;
        known.messages[place] = message.clone();
        known.versions[place] = known.next_version();
        drop(known);
        self.announce();
        Ok(Some(message))
    }

    /// Forgets messages and files.
    pub(crate) fn clear(&self) -> Result<(), NotKept> {
        let mut known = self.lock();
        known.journal.as_mut().map_or(Ok(()), Journal::clear)?;
        known.messages.clear();
        known.versions.clear();
        known.places.clear();
        known.exchanges.clear();
        known.cleared = known.next_version();
        drop(known);
        self.shelf.clear();
        self.announce();
        Ok(())
    }

    pub(crate) fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        let mut known = self.lock();
        known.faults = faults;
        known.controls = known.next_version();
        drop(known);
        self.touch();
    }

    /// Whether this person reads from now on what the phone shows.
    pub(crate) fn set_reader(&self, address: &str, reads: bool) {
        let mut known = self.lock();
        match reads {
            true => known.readers.insert(address.to_owned()),
            false => known.readers.remove(address),
        };
        known.controls = known.next_version();
        drop(known);
        self.touch();
    }

    /// Keeps a request that begins; returns its id.
    pub(crate) fn begin_exchange(&self, exchange: Exchange) -> u64 {
        let mut known = self.lock();
        let version = known.next_version();
        let id = known.exchanges.begin(exchange, version);
        drop(known);
        self.touch();
        id
    }

    /// Keeps how a try of a request ended, and whether it was the last.
    pub(crate) fn exchange_tried(&self, id: u64, tried: Try, is_over: bool) {
        let mut known = self.lock();
        let version = known.next_version();
        known.exchanges.tried(id, tried, is_over, version);
        drop(known);
        self.touch();
    }

    /// Everything that has changed since a version of this process; 0: everything.
    pub(crate) fn changes_since(&self, since: u64) -> Changes {
        let known = self.lock();
        let is_reset = since < known.cleared || since == 0;
        let since = if is_reset { 0 } else { since };
        let changed = known.versions.iter().enumerate().filter(|(_, version)| **version > since);
        Changes {
            version: known.version,
            is_reset,
            messages: changed.map(|(place, _)| (place, known.messages[place].clone())).collect(),
            exchanges: known.exchanges.since(since),
            controls: (known.controls > since).then(|| (known.faults.clone(), known.readers.clone())),
        }
    }

    /// Tells whoever looks that anything has changed.
    pub(crate) fn touches(&self) -> watch::Receiver<u64> {
        self.touched.subscribe()
    }

    pub(crate) fn webhook_url(&self) -> String {
        self.lock().webhook_url.clone()
    }

    pub(crate) fn set_webhook_url(&self, url: String) {
        self.lock().webhook_url = url;
    }

    /// Throws the dice for a fault of this probability.
    pub(crate) fn happens(&self, probability: f64) -> bool {
        probability > 0.0 && self.lock().chance.random::<f64>() < probability
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        let mut changes = self.changed.subscribe();
        changes.mark_changed();
        changes
    }

    #[cfg(test)]
    pub(crate) fn set_journal(&self, journal: Journal) {
        self.lock().journal = Some(journal);
    }

    fn announce(&self) {
        self.changed.send_modify(|version| *version += 1);
        self.touch();
    }

    fn touch(&self) {
        self.touched.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn next_version(&mut self) -> u64 {
        self.version += 1;
        self.version
    }

    fn keep(&mut self, message: &SandboxMessage) -> Result<(), NotKept> {
        self.journal.as_mut().map_or(Ok(()), |journal| journal.write(message))
    }
}
