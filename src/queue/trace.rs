//! The W3C trace context that a job carries from who enqueued it to where it runs, so that one trace spans a
//! webhook, its jobs and the callbacks they cause.

use std::future::Future;

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// A `traceparent` header: version, trace id, parent id, flags (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// A new trace with a random id.
    #[must_use]
    pub fn root() -> Self {
        // An id of zeros is no id.
        let trace_id = rand::random::<u128>().max(1);
        Self(format!("00-{trace_id:032x}-{:016x}-01", step()))
    }

    /// Reads a header; anything that is no version-00 context is refused.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let header = header.trim();
        let parts: Vec<&str> = header.split('-').collect();
        let [version, trace, parent, flags] = parts[..] else { return None };
        let lower_hex =
            |s: &str, len| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let valid = version == "00" && lower_hex(trace, 32) && lower_hex(parent, 16) && lower_hex(flags, 2);
        let all_zero = |s: &str| s.bytes().all(|b| b == b'0');
        (valid && !all_zero(trace) && !all_zero(parent)).then(|| Self(header.to_owned()))
    }

    /// The same trace, one step further.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(format!("00-{}-{:016x}-01", self.trace_id(), step()))
    }

    /// The 32 hex digits that every step of a trace shares.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.0[3..35]
    }

    /// The header's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trace of the code that runs now, if there is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// Runs `work` as part of this trace: what it enqueues carries it on.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }
}

fn step() -> u64 {
    rand::random::<u64>().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_keeps_the_trace_and_changes_the_step() {
        let root = TraceParent::root();

        let child = root.child();

        assert_eq!(child.trace_id(), root.trace_id());
        assert_ne!(child, root);
        assert_eq!(TraceParent::parse(child.as_str()), Some(child));
    }

    #[test]
    fn what_is_no_trace_context_is_refused() {
        let zeros = "0".repeat(32);
        let bad = [
            "",
            "00-1-2-3",
            "zz",
            &format!("00-{zeros}-00f067aa0ba902b7-01"),
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ];

        for header in bad {
            assert_eq!(TraceParent::parse(header), None, "{header}");
        }
    }
}
