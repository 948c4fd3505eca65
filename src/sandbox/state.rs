//! What the sandbox knows.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use tokio::sync::watch;

use crate::SandboxError;
use crate::faults::Faults;
use crate::journal::Journal;
use crate::message::Message;
use crate::settings::Settings;

/// Shared by everything that the sandbox does.
pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) http: reqwest::Client,
    known: Mutex<Known>,
    changed: watch::Sender<u64>,
}

struct Known {
    messages: Vec<Message>,
    places: HashMap<String, usize>,
    faults: Faults,
    webhook_url: String,
    chance: StdRng,
    journal: Option<Journal>,
}

impl State {
    pub(crate) fn open(settings: Settings) -> Result<Self, SandboxError> {
        let opened = settings.journal.as_deref().map(|path| {
            Journal::open(path).map_err(|source| SandboxError::Journal { path: path.to_owned(), source })
        });
        let (journal, messages) =
            opened.transpose()?.map_or((None, Vec::new()), |(journal, messages)| (Some(journal), messages));
        let places =
            messages.iter().enumerate().map(|(place, message)| (message.sid.clone(), place)).collect();
        let known = Known {
            messages,
            places,
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
        Ok(Self { settings, http, known: Mutex::new(known), changed: watch::Sender::new(0) })
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.lock().messages.clone()
    }

    pub(crate) fn message(&self, sid: &str) -> Option<Message> {
        let known = self.lock();
        known.places.get(sid).map(|place| known.messages[*place].clone())
    }

    /// Whether lists show it yet.
    pub(crate) fn is_listed(&self, message: &Message, now: DateTime<Utc>) -> bool {
        let lag = i64::try_from(self.lock().faults.list_lag_ms).unwrap_or(i64::MAX);
        TimeDelta::try_milliseconds(lag).is_some_and(|lag| message.created_at + lag <= now)
    }

    /// Takes a message in; false: there is one with this SID.
    pub(crate) fn add(&self, message: Message) -> bool {
        let mut known = self.lock();
        if known.places.contains_key(&message.sid) {
            return false;
        }
        known.keep(&message);
        let place = known.messages.len();
        known.places.insert(message.sid.clone(), place);
        known.messages.push(message);
        drop(known);
        self.announce();
        true
    }

    /// Changes a message; `None`: there is none with this SID.
    pub(crate) fn change(&self, sid: &str, change: impl FnOnce(&mut Message)) -> Option<Message> {
        let mut known = self.lock();
        let place = *known.places.get(sid)?;
        let message = &mut known.messages[place];
        change(message);
        message.updated_at = Utc::now();
        let message = message.clone();
        known.keep(&message);
        drop(known);
        self.announce();
        Some(message)
    }

    pub(crate) fn clear(&self) {
        let mut known = self.lock();
        known.messages.clear();
        known.places.clear();
        if let Some(journal) = &mut known.journal
            && let Err(error) = journal.clear()
        {
            tracing::error!(error = %error, "The sandbox cannot clear its journal");
        }
        drop(known);
        self.announce();
    }

    pub(crate) fn faults(&self) -> Faults {
        self.lock().faults.clone()
    }

    pub(crate) fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
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

    fn announce(&self) {
        self.changed.send_modify(|version| *version += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, message: &Message) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.write(message)
        {
            tracing::error!(error = %error, "The sandbox cannot write its journal");
        }
    }
}
