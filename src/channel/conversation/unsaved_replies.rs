//! The replies that this process holds in memory until the database has taken them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use agent::turn::Answer;
use store::ids::TurnId;

/// The replies that this process holds, by their turns.
#[derive(Clone, Default)]
pub struct UnsavedReplies(Arc<Mutex<HashMap<TurnId, Held>>>);

pub(super) struct Held {
    pub(super) answer: Answer,
    /// Somebody writes it to its turn already.
    pub(super) is_being_kept: bool,
}

impl UnsavedReplies {
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut HashMap<TurnId, Held>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn get(&self, turn_id: TurnId) -> Option<Answer> {
        self.change(|held| held.get(&turn_id).map(|held| held.answer.clone()))
    }

    pub(super) fn forget(&self, turn_id: TurnId) {
        self.change(|held| held.remove(&turn_id));
    }
}
