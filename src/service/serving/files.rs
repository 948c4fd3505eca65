//! How many files the process may open. A connection is one, and the usual limit of 1024 is soft: the process may raise it up to a hard one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit as far as the process may. Returns how many files it may open; `None`: any number.
pub(crate) fn raise_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        // Some systems name a hard limit that they do not grant.
        Err(error) => {
            tracing::warn!(
                "Could not raise the limit of open files from {current:?} to {maximum:?}: {error}"
            );
            current
        }
    }
}
