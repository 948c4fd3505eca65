//! The style sheet and the script, compiled in. Their addresses hold a hash of their text, so that a browser keeps them until they change.

use std::fmt;

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::routing::get;

/// The looks of all pages: what they have in common, then the parts that one of them has.
pub const STYLE: Asset = Asset::new(
    "style",
    "css",
    "text/css; charset=utf-8",
    concat!(
        include_str!("base.css"),
        include_str!("console.css"),
        include_str!("phone.css"),
        include_str!("dashboard.css")
    ),
);

/// Live updates, and shortcuts.
pub const SCRIPT: Asset =
    Asset::new("script", "js", "text/javascript; charset=utf-8", include_str!("script.js"));

/// A file that is compiled in. Shown, it is its address.
#[derive(Clone, Copy, Debug)]
pub struct Asset {
    name: &'static str,
    extension: &'static str,
    content_type: &'static str,
    text: &'static str,
    hash: u64,
}

impl Asset {
    /// A file of this text.
    #[must_use]
    pub const fn new(
        name: &'static str,
        extension: &'static str,
        content_type: &'static str,
        text: &'static str,
    ) -> Self {
        Self { name, extension, content_type, text, hash: fnv(text.as_bytes()) }
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/assets/{}-{:016x}.{}", self.name, self.hash, self.extension)
    }
}

/// Serves the files at their addresses.
pub fn routes<S: Clone + Send + Sync + 'static>(assets: &[Asset]) -> Router<S> {
    assets.iter().fold(Router::new(), |routes, asset| {
        let Asset { content_type, text, .. } = *asset;
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(content_type)),
            (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ];
        routes.route(&asset.to_string(), get(async move || (headers, text)))
    })
}

/// FNV-1a: enough to tell one version of a file from the next.
const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_text_has_another_address() {
        let one = Asset::new("a", "css", "text/css", "one");
        assert_ne!(one.to_string(), Asset::new("a", "css", "text/css", "two").to_string());
        // The published value of FNV-1a for "foobar".
        assert_eq!(fnv(b"foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn nothing_in_the_style_sheet_or_the_script_comes_from_elsewhere() {
        for text in [STYLE.text, SCRIPT.text] {
            assert!(!text.contains("://") && !text.contains("@import"));
        }
    }
}
