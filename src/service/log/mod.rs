//! Log lines: for people or for machines. They go to stderr; stdout is for what a person asked to see.

/// Lines without phone numbers.
mod masked;
/// What a panic says.
mod panics;
/// What is told over and over.
mod repeats;

use std::io::IsTerminal as _;

use anyhow::Context as _;
use tracing_subscriber::filter::FilterExt as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt, registry};

use crate::config::keys::LogKeys;
use crate::log::masked::MaskingWriter;
use crate::log::repeats::Repeats;

/// The log of this process.
#[must_use = "what was left out is told when this is dropped"]
pub(crate) struct Logging(Repeats);

/// Begins to log. Needs a tokio runtime.
pub(crate) fn start(log: &LogKeys) -> anyhow::Result<Logging> {
    let filter = EnvFilter::try_new(&log.filter)
        .with_context(|| format!("log.filter {:?} is no filter", log.filter))?;
    // The wake-up that missed a second by a hair is told by apalis-cron as a warning; the next one comes within a second.
    let filter = match log.filter.contains("apalis_cron") {
        true => filter,
        false => filter.add_directive("apalis_cron=error".parse().expect("it is a directive")),
    };
    let repeats = Repeats::new(log.repeat);
    let lines = fmt::layer().with_writer(|| MaskingWriter(std::io::stderr())).with_target(false);
    let lines = match log.format.as_str() {
        "json" => lines.json().boxed(),
        _ => lines.compact().with_ansi(std::io::stderr().is_terminal()).boxed(),
    };
    let started = registry().with(lines.with_filter(filter.and(repeats.clone()))).try_init();
    started.map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    panics::tell();
    repeats.tell_now_and_then();
    Ok(Logging(repeats))
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.tell_all();
    }
}
