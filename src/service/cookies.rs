//! Cookies of our pages. Scripts cannot read them, and no other host of the domain can set them where browsers let us forbid it.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};

/// Which requests carry a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Site {
    /// Those of pages of ours alone.
    Own,
    /// Also those of our pages in a frame of another site: for each such site the browser keeps a cookie of its own. Only over https.
    Framed,
}

/// The value of a cookie of ours.
pub(crate) fn given<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let prefix = if is_here(headers) { "" } else { SECURE_PREFIX };
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).find_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        (key.strip_prefix(prefix) == Some(name) && !value.is_empty()).then_some(value)
    })
}

/// Sets a cookie for so long; an empty value takes it away. `None`: the value cannot stand in one.
pub(crate) fn set(
    headers: &HeaderMap,
    name: &str,
    value: &str,
    lasts: Duration,
    site: Site,
) -> Option<HeaderValue> {
    let lasts = if value.is_empty() { 0 } else { lasts.as_secs() };
    let (prefix, site) = match (is_here(headers), site) {
        (true, _) => ("", "SameSite=Strict"),
        (false, Site::Own) => (SECURE_PREFIX, "SameSite=Strict; Secure"),
        (false, Site::Framed) => (SECURE_PREFIX, "SameSite=None; Secure; Partitioned"),
    };
    HeaderValue::try_from(format!("{prefix}{name}={value}; Path=/; Max-Age={lasts}; HttpOnly; {site}")).ok()
}

/// Over https it keeps other hosts of the domain from setting the cookie.
const SECURE_PREFIX: &str = "__Host-";

/// A browser that calls us by a name of this machine has come by http, and some drop secure cookies there. Every other one has come by https: a proxy
/// in front ends it.
fn is_here(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name.ends_with(".localhost") || name.starts_with("127.") || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(host: &'static str, cookie: &'static str) -> HeaderMap {
        HeaderMap::from_iter([
            (header::HOST, HeaderValue::from_static(host)),
            (header::COOKIE, HeaderValue::from_static(cookie)),
        ])
    }

    #[test]
    fn the_cookie_is_secure_wherever_it_can_be() {
        let lasts = Duration::from_secs(60);
        for host in ["127.0.0.1:8080", "localhost:8080", "localhost", "demo.localhost:1", "[::1]:8080"] {
            for site in [Site::Own, Site::Framed] {
                let cookie = set(&from(host, ""), "admin", "s", lasts, site).unwrap();
                assert_eq!(cookie, "admin=s; Path=/; Max-Age=60; HttpOnly; SameSite=Strict", "{host}");
            }
        }
        for host in ["bot.example.com", "10.0.0.7:8082"] {
            let own = set(&from(host, ""), "admin", "s", lasts, Site::Own).unwrap();
            assert_eq!(own, "__Host-admin=s; Path=/; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
            let framed = set(&from(host, ""), "admin", "", lasts, Site::Framed).unwrap();
            assert_eq!(
                framed,
                "__Host-admin=; Path=/; Max-Age=0; HttpOnly; SameSite=None; Secure; Partitioned"
            );
        }
    }

    #[test]
    fn only_the_cookie_of_this_name_counts() {
        let given = |host, cookie| given(&from(host, cookie), "admin").map(str::to_owned);
        assert_eq!(given("localhost", "a=b; admin=1;admin-said=2"), Some("1".to_owned()));
        assert_eq!(given("localhost", "__Host-admin=1"), None);
        assert_eq!(given("bot.example.com", "admin=1"), None, "another host of the domain may have set it");
        assert_eq!(given("bot.example.com", "admin=1; __Host-admin=2"), Some("2".to_owned()));
        assert_eq!(given("bot.example.com", "__Host-admin="), None);
    }
}
