//! Origins of our pages, as browsers spell them.

use url::Url;

use super::keys::Keys;

/// The hosts under which people and programs may call us, besides our addresses.
pub(super) fn hosts(keys: &Keys, errors: &mut Vec<String>) -> Vec<String> {
    let mut hosts = Vec::new();
    for given in &keys.server.origins {
        match origin(given) {
            Some((_, host)) => hosts.push(host),
            None => errors.push(format!(
                "server.origins holds {given:?}; an origin looks like https://admin.example.com"
            )),
        }
    }
    hosts.extend(origin(&keys.dashboard.url).map(|(_, host)| host));
    hosts
}

/// An origin as browsers spell it, with its host; `None`: the text is none.
pub(super) fn origin(text: &str) -> Option<(String, String)> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let host = url.host_str().filter(|_| is_bare)?.to_owned();
    Some((url.origin().ascii_serialization(), host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_spelled_as_browsers_spell_it() {
        for (text, expected) in [
            ("https://Chat.Example.com/", Some("https://chat.example.com")),
            ("https://chat.example.com:443", Some("https://chat.example.com")),
            ("http://127.0.0.1:8083", Some("http://127.0.0.1:8083")),
            ("https://chat.example.com/path", None),
            ("https://chat.example.com/?x=1", None),
            ("https://me@chat.example.com", None),
            ("chat.example.com", None),
            ("javascript:alert(1)", None),
            ("https://a.example; script-src *", None),
            ("*", None),
        ] {
            assert_eq!(origin(text).map(|(origin, _)| origin).as_deref(), expected, "{text}");
        }
    }
}
