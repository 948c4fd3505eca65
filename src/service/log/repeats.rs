//! Warnings and errors of one cause are told once, and then how often they came. Otherwise an outage fills the log with lines that are
//! alike, and the one that is not is overlooked.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Causes that are remembered at a time. What comes beyond them is told in full.
const MOST: usize = 1000;

/// How often it is looked what is to be told.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Lets the first line of a cause pass, and counts the others. Clones count together.
#[derive(Clone)]
pub(super) struct Repeats(Arc<Inner>);

struct Inner {
    /// For so long no other line of a cause is told.
    interval: Duration,
    /// By the place in the program and the line's `error`, or without one its words.
    causes: Mutex<HashMap<String, Told>>,
}

/// A line that was told.
struct Told {
    at: Instant,
    level: Level,
    words: String,
    /// How many were not told since.
    more: u64,
}

/// So many lines of a cause came and were not told.
#[derive(Debug, PartialEq)]
struct LeftOut {
    level: Level,
    words: String,
    more: u64,
    since: Duration,
}

impl Repeats {
    /// An interval of zero leaves nothing out.
    pub(super) fn new(interval: Duration) -> Self {
        Self(Arc::new(Inner { interval, causes: Mutex::default() }))
    }

    /// Tells how often lines came, on a task that ends with the log.
    pub(super) fn tell_now_and_then(&self) {
        let inner = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(inner) = inner.upgrade() else { return };
                inner.over(Instant::now(), inner.interval).into_iter().for_each(LeftOut::tell);
            }
        });
    }

    /// Tells of everything that was left out until now.
    pub(super) fn tell_all(&self) {
        self.0.over(Instant::now(), Duration::ZERO).into_iter().for_each(LeftOut::tell);
    }
}

impl<S: Subscriber> Filter<S> for Repeats {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // What is no trouble is never left out, nor what is told from here.
        if *metadata.level() > Level::WARN || metadata.module_path() == Some(module_path!()) {
            return true;
        }
        let mut line = RepeatedLine::default();
        event.record(&mut line);
        let place = (metadata.file().unwrap_or_default(), metadata.line().unwrap_or_default());
        let cause = format!("{}:{} {}", place.0, place.1, line.cause.as_deref().unwrap_or(&line.words));
        self.0.is_told(cause, *metadata.level(), line.words, Instant::now())
    }
}

impl Inner {
    /// Whether this line is told. While the count of those before it has not been told, it is counted with them.
    fn is_told(&self, cause: String, level: Level, words: String, now: Instant) -> bool {
        let mut causes = self.causes();
        if let Some(told) = causes.get_mut(&cause)
            && (told.more > 0 || now.saturating_duration_since(told.at) < self.interval)
        {
            told.more += 1;
            return false;
        }
        if causes.len() < MOST && !self.interval.is_zero() {
            causes.insert(cause, Told { at: now, level, words, more: 0 });
        }
        true
    }

    /// What was left out of causes that were last told so long ago. A cause that goes on has a new interval from now; one that is over is
    /// forgotten.
    fn over(&self, now: Instant, interval: Duration) -> Vec<LeftOut> {
        let mut over = Vec::new();
        self.causes().retain(|_, told| {
            let since = now.saturating_duration_since(told.at);
            if since < interval {
                return true;
            }
            if told.more == 0 {
                return false;
            }
            over.push(LeftOut { level: told.level, words: told.words.clone(), more: told.more, since });
            (told.at, told.more) = (now, 0);
            true
        });
        over
    }

    /// What is guarded is valid at every step, also after a panic elsewhere.
    fn causes(&self) -> MutexGuard<'_, HashMap<String, Told>> {
        self.causes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LeftOut {
    fn tell(self) {
        let Self { level, words, more, since } = self;
        let secs = since.as_secs_f64().ceil();
        if level == Level::ERROR {
            tracing::error!(more, "{more} more in {secs} s like: {words}");
        } else {
            tracing::warn!(more, "{more} more in {secs} s like: {words}");
        }
    }
}

/// A line's words and its error.
#[derive(Default)]
struct RepeatedLine {
    words: String,
    cause: Option<String>,
}

impl Visit for RepeatedLine {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            // A String takes every write.
            "message" => drop(write!(self.words, "{value:?}")),
            "error" => self.cause = Some(format!("{value:?}")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use tracing_subscriber::layer::SubscriberExt as _;
    use tracing_subscriber::{Layer as _, fmt, registry};

    use super::*;

    /// Everything that was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The lines that these deeds leave in the log.
    fn lines(repeats: &Repeats, deeds: impl FnOnce()) -> Vec<String> {
        let written = Written::default();
        let to = written.clone();
        let layer =
            fmt::layer().without_time().with_target(false).with_ansi(false).with_writer(move || to.clone());
        let log = registry().with(layer.with_filter(repeats.clone()));
        tracing::subscriber::with_default(log, deeds);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }

    fn fail(id: u32, error: &str) {
        tracing::warn!(target: "cloudybot_whatsapp::http", error, "Could not store message {id}");
    }

    #[test]
    fn an_interval_of_nothing_leaves_nothing_out() {
        let repeats = Repeats::new(Duration::ZERO);

        let lines = lines(&repeats, || (0..5).for_each(|id| fail(id, "away")));

        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_cause_that_goes_on_is_told_once_in_each_interval_and_one_that_is_over_is_forgotten() {
        let inner = Inner { interval: Duration::from_secs(30), causes: Mutex::default() };
        let begun = Instant::now();
        let at = |secs| begun + Duration::from_secs(secs);
        let come = |secs| inner.is_told("away".to_owned(), Level::WARN, "words".to_owned(), at(secs));
        let counts =
            |secs| inner.over(at(secs), inner.interval).iter().map(|one| one.more).collect::<Vec<_>>();

        assert!(come(0));
        assert!(!come(10) && !come(29));
        assert!(counts(29).is_empty());
        assert_eq!(counts(30), [2]);
        assert!(!come(31));
        assert_eq!(counts(60), [1]);
        assert!(counts(90).is_empty());
        assert!(come(91), "it was over");
    }
}
