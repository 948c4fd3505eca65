//! The W3C trace context that a job carries from who enqueued it to where it runs, so that one trace spans a
//! webhook, its jobs and the callbacks they cause.

use std::future::Future;
use std::ops::Range;

tokio::task_local! {
    static CURRENT: TraceParent;
}

/// A `traceparent` header: version, trace id, parent id, flags (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; 55]);

/// Where the parts of a header stand.
const TRACE_ID: Range<usize> = 3..35;
const PARENT_ID: Range<usize> = 36..52;

impl TraceParent {
    /// A new trace with a random id.
    #[must_use]
    pub fn root() -> Self {
        let mut header = *b"00-00000000000000000000000000000000-0000000000000000-01";
        // An id of zeros is no id.
        write_hex(&mut header[TRACE_ID], rand::random::<u128>().max(1));
        Self(header).child()
    }

    /// Reads a header; anything that is no version-00 context is refused.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let header: [u8; 55] = header.trim().as_bytes().try_into().ok()?;
        let lower_hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let all_zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
        let valid = header.starts_with(b"00-")
            && lower_hex(&header[TRACE_ID])
            && header[35] == b'-'
            && lower_hex(&header[PARENT_ID])
            && header[52] == b'-'
            && lower_hex(&header[53..]);
        (valid && !all_zero(&header[TRACE_ID]) && !all_zero(&header[PARENT_ID])).then_some(Self(header))
    }

    /// The same trace, one step further.
    #[must_use]
    pub fn child(&self) -> Self {
        let mut header = self.0;
        write_hex(&mut header[PARENT_ID], rand::random::<u64>().max(1).into());
        header[53..].copy_from_slice(b"01");
        Self(header)
    }

    /// The 32 hex digits that every step of a trace shares.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.as_str()[TRACE_ID]
    }

    /// The header's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("a header consists of digits and dashes")
    }

    /// The trace of the code that runs now, if there is one.
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|current| *current).ok()
    }

    /// Runs `work` as part of this trace: what it enqueues carries it on.
    pub fn scope<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, work)
    }
}

impl std::fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TraceParent").field(&self.as_str()).finish()
    }
}

/// Fills the digits with the number, in lower case.
fn write_hex(digits: &mut [u8], mut number: u128) {
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789abcdef"[(number & 15) as usize];
        number >>= 4;
    }
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
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736000f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        ];

        for header in bad {
            assert_eq!(TraceParent::parse(header), None, "{header}");
        }
    }
}
