//! Panics as lines of the log. The usual hook prints whatever a panic quotes, a message's text for one.

use std::panic::{Location, PanicHookInfo};

/// Tells of panics from now on.
pub(super) fn tell() {
    std::panic::set_hook(Box::new(|panic| {
        tracing::error!("{}", line(text_of(panic), panic.location()));
    }));
}

fn text_of<'a>(panic: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = panic.payload();
    payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

fn line(text: Option<&str>, location: Option<&Location<'_>>) -> String {
    let place = location.map(|location| format!(" at {}:{}", location.file(), location.line()));
    let text = outside::words::without_literals(text.unwrap_or("no message"));
    format!("Panicked{}: {text}", place.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_logged_without_what_it_quotes() {
        let text = "byte index 1 is out of bounds of `My doctor says` from +15005550100";

        let line = line(Some(text), Some(Location::caller()));

        assert!(line.starts_with("Panicked at src/service/log/panics.rs:"), "{line}");
        assert!(line.ends_with(": byte index 1 is out of bounds of […] from +…0100"), "{line}");
    }
}
