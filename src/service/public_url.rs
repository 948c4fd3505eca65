//! The URL under which Twilio reaches us: signatures are made over it, byte by byte, so nothing here is normalised.

use url::Url;

/// Where messages arrive.
pub(crate) const WEBHOOK_PATH: &str = "/webhooks/whatsapp";
/// Where statuses arrive.
pub(crate) const STATUS_PATH: &str = "/webhooks/whatsapp/status";

/// `TWILIO_WEBHOOK_PUBLIC_URL`: the full webhook URL, or a base to which the webhook's path is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, userinfo, host and port.
    origin: String,
    /// Without a trailing slash, a query or a fragment.
    path: String,
}

/// Which of our webhooks a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A message arrives.
    Message,
    /// What became of a message.
    Status,
}

/// What is no public URL, or none that Twilio would report a status to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPublicUrl {
    /// It is no URL of the web.
    #[error("{0:?} must be a URL like https://bot.example.com/webhooks/whatsapp")]
    NotAUrl(String),
    /// It has a blank, a control character or a letter that is not ASCII.
    #[error("{0:?} has a blank, or a character that is not ASCII: write it percent-encoded")]
    Character(String),
    /// Its host is written in another script.
    #[error("Twilio takes no host like the one of {0:?}: write it in ASCII, {1}")]
    ForeignHost(String, String),
    /// Its host has an underscore.
    #[error("Twilio takes no host with an underscore, as in {0:?}: give it another name")]
    Underscore(String),
    /// It is where statuses are reported, and so not where messages arrive.
    #[error("{0:?} is where statuses are reported: give the URL of the webhook, without /status")]
    StatusUrl(String),
}

impl PublicUrl {
    /// Reads a URL; a fragment (Twilio's connection overrides) and a query are dropped, since the query comes with each request. What Twilio
    /// refuses as a StatusCallback (its error 21609) is refused here: at the first message it would stop all sending.
    pub fn parse(text: &str) -> Result<Self, BadPublicUrl> {
        let wrong = || BadPublicUrl::NotAUrl(text.to_owned());
        let bare = text.trim().split(['#', '?']).next().unwrap_or_default();
        let url = Url::parse(bare).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        let authority_at = bare.find("://").ok_or_else(wrong)? + 3;
        let path_at = bare[authority_at..].find('/').map_or(bare.len(), |at| authority_at + at);
        let authority = &bare[authority_at..path_at];
        let host = authority.rsplit('@').next().unwrap_or(authority);
        if !host.is_ascii() {
            let ascii = url.host_str().unwrap_or_default().to_owned();
            return Err(BadPublicUrl::ForeignHost(text.to_owned(), ascii));
        }
        if !bare.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadPublicUrl::Character(text.to_owned()));
        }
        if host.contains('_') {
            return Err(BadPublicUrl::Underscore(text.to_owned()));
        }
        let path = bare[path_at..].trim_end_matches('/');
        if path.ends_with(STATUS_PATH) {
            return Err(BadPublicUrl::StatusUrl(text.to_owned()));
        }
        Ok(Self { origin: bare[..path_at].to_owned(), path: path.to_owned() })
    }

    /// The paths in front of ours under which requests may come, besides none: the operator's own, if the proxy leaves it there, and the
    /// webhook's, if the proxy puts that in its place.
    #[must_use]
    pub fn prefixes(&self) -> Vec<&str> {
        let own = self.path.strip_suffix(WEBHOOK_PATH).unwrap_or(&self.path);
        let plain = own.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-._~%".contains(&b));
        if own.is_empty() || !plain {
            return Vec::new();
        }
        let mut prefixes = vec![own];
        prefixes.extend(Some(WEBHOOK_PATH).filter(|path| *path != own && own == self.path));
        prefixes
    }

    /// The URLs that Twilio may have signed for a request with this path and query. A path of the operator's own may be the webhook's full path
    /// or a prefix, which the proxy takes away or not; a slash may end each of them. All are the operator's.
    #[must_use]
    pub fn candidates(&self, hook: Hook, path_and_query: &str) -> Vec<String> {
        let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
        let own = self.path.as_str();
        let status = if hook == Hook::Status { "/status" } else { "" };
        let ours = self.webhook_path() + status;
        // Without a path of the operator's own, only ours is one.
        let whole = if own.is_empty() { ours.clone() } else { format!("{own}{status}") };
        let bare = path.trim_end_matches('/');
        let slashes = if bare == path { ["", "/"] } else { ["/", ""] };
        let mut candidates: Vec<String> = Vec::new();
        for path in [ours, whole, format!("{own}{bare}"), bare.to_owned()] {
            for slash in slashes {
                let candidate = format!("{}{path}{slash}{query}", self.origin);
                if !candidates.contains(&candidate) {
                    candidates.push(candidate);
                }
            }
        }
        candidates
    }

    /// Where messages arrive.
    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("{}{}", self.origin, self.webhook_path())
    }

    /// Where Twilio reports statuses.
    #[must_use]
    pub fn status_callback_url(&self) -> String {
        self.webhook_url() + "/status"
    }

    /// The path under which the webhook is where nothing else is known.
    fn webhook_path(&self) -> String {
        if self.path.ends_with(WEBHOOK_PATH) {
            self.path.clone()
        } else {
            format!("{}{WEBHOOK_PATH}", self.path)
        }
    }
}

/// The URLs that a request itself may mean, when no public one is configured: its host under either scheme.
#[must_use]
pub fn as_received(host: Option<&str>, forwarded_proto: Option<&str>, path_and_query: &str) -> Vec<String> {
    let host = host.unwrap_or("localhost");
    let schemes = if forwarded_proto == Some("https") { ["https", "http"] } else { ["http", "https"] };
    schemes.iter().map(|scheme| format!("{scheme}://{host}{path_and_query}")).collect()
}

/// A URL for the log: without userinfo, which is a secret, and without a query.
pub(crate) fn shown(url: &str) -> String {
    let bare = url.split('?').next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let authority_end = rest.find('/').unwrap_or(rest.len());
    let host_at = rest[..authority_end].rfind('@').map_or(0, |at| at + 1);
    format!("{scheme}://{}", &rest[host_at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> PublicUrl {
        PublicUrl::parse(text).unwrap()
    }

    #[test]
    fn a_full_url_stands_for_the_webhook_and_its_status_route() {
        let url = parsed("https://u:p@bot.example.com:8443/hooks/webhooks/whatsapp#rc=5&rp=all");
        let full = "https://u:p@bot.example.com:8443/hooks/webhooks/whatsapp";

        assert_eq!(
            url.candidates(Hook::Message, "/webhooks/whatsapp?a=%20b")[..2],
            [format!("{full}?a=%20b"), format!("{full}/?a=%20b")]
        );
        assert_eq!(
            url.candidates(Hook::Status, "/webhooks/whatsapp/status?chunk=1")[0],
            format!("{full}/status?chunk=1")
        );
        assert_eq!(url.status_callback_url(), format!("{full}/status"));
        assert_eq!(url.prefixes(), ["/hooks"]);
    }

    #[test]
    fn a_base_gets_the_webhooks_path() {
        let url = parsed("https://Bot.Example.com/");

        assert_eq!(
            url.candidates(Hook::Message, "/webhooks/whatsapp?x=1"),
            [
                "https://Bot.Example.com/webhooks/whatsapp?x=1",
                "https://Bot.Example.com/webhooks/whatsapp/?x=1"
            ]
        );
        assert_eq!(url.status_callback_url(), "https://Bot.Example.com/webhooks/whatsapp/status");
        assert!(url.prefixes().is_empty());
    }

    #[test]
    fn every_ordinary_set_up_has_the_url_that_twilio_signs_and_the_path_that_arrives() {
        // The key, the URL at Twilio, and what the proxy makes of its path.
        for (key, signed, arrives) in [
            (
                "https://a.example/webhooks/whatsapp/",
                "https://a.example/webhooks/whatsapp/",
                "/webhooks/whatsapp/",
            ),
            (
                "https://a.example/webhooks/whatsapp",
                "https://a.example/webhooks/whatsapp/",
                "/webhooks/whatsapp/",
            ),
            (
                "https://a.example/webhooks/whatsapp/",
                "https://a.example/webhooks/whatsapp",
                "/webhooks/whatsapp",
            ),
            ("https://a.example/", "https://a.example/webhooks/whatsapp/", "/webhooks/whatsapp"),
            ("https://a.example/twilio/", "https://a.example/twilio/webhooks/whatsapp", "/webhooks/whatsapp"),
            (
                "https://a.example/twilio",
                "https://a.example/twilio/webhooks/whatsapp",
                "/twilio/webhooks/whatsapp",
            ),
            ("https://a.example/twilio/", "https://a.example/twilio/", "/webhooks/whatsapp"),
            ("https://a.example/twilio", "https://a.example/twilio/", "/webhooks/whatsapp/"),
            (
                "https://a.example/twilio/webhooks/whatsapp",
                "https://a.example/twilio/webhooks/whatsapp",
                "/twilio/webhooks/whatsapp",
            ),
        ] {
            let url = parsed(key);

            assert!(url.candidates(Hook::Message, arrives).contains(&signed.to_owned()), "{key} {signed}");
            let status = format!("{}/status", arrives.trim_end_matches('/'));
            assert!(!url.candidates(Hook::Status, &status).contains(&signed.to_owned()), "{key} {signed}");
            let routes: Vec<String> =
                [""].into_iter().chain(url.prefixes()).map(|at| format!("{at}{WEBHOOK_PATH}")).collect();
            assert!(routes.iter().any(|route| *route == arrives.trim_end_matches('/')), "{key} {arrives}");
        }
    }

    #[test]
    fn statuses_come_back_from_where_they_are_asked_for() {
        for (key, arrives) in [
            ("https://a.example/twilio/", "/webhooks/whatsapp/status"),
            ("https://a.example/twilio/", "/twilio/webhooks/whatsapp/status"),
            // The proxy puts our webhook's path in the place of `/twilio`.
            ("https://a.example/twilio/", "/webhooks/whatsapp/webhooks/whatsapp/status"),
            ("https://a.example/webhooks/whatsapp/", "/webhooks/whatsapp/status"),
            ("https://a.example", "/webhooks/whatsapp/status"),
        ] {
            let url = parsed(key);
            let query = "?chunk=1&attempt=2";

            let signed = format!("{}{query}", url.status_callback_url());
            assert!(url.candidates(Hook::Status, &format!("{arrives}{query}")).contains(&signed), "{key}");
            let routes: Vec<String> =
                [""].into_iter().chain(url.prefixes()).map(|at| format!("{at}{STATUS_PATH}")).collect();
            assert!(routes.iter().any(|route| *route == arrives), "{key} {arrives}");
        }
    }

    #[test]
    fn what_twilio_takes_for_no_status_callback_is_refused_with_its_remedy() {
        for (text, told) in [
            ("", "must be a URL like"),
            ("bot.example.com", "must be a URL like"),
            ("ftp://a.example/x", "must be a URL like"),
            ("https://", "must be a URL like"),
            ("https://bücher.example/webhooks/whatsapp", "xn--bcher-kva.example"),
            ("https://пример.example", "xn--e1afmkfd.example"),
            ("https://my_bot.example.com", "underscore"),
            ("https://bot.example.com/my hooks", "percent-encoded"),
            ("https://bot.example.com/web\thooks", "percent-encoded"),
            ("https://bot.example.com/wébhooks", "percent-encoded"),
            ("https://bot.example.com/webhooks/whatsapp/status", "without /status"),
            ("https://bot.example.com/a/webhooks/whatsapp/status/#rc=5", "without /status"),
        ] {
            let error = PublicUrl::parse(text).unwrap_err().to_string();

            assert!(error.contains(told), "{text}: {error}");
        }
        for text in [
            " https://bot.example.com ",
            "https://xn--bcher-kva.example",
            "https://u_x:p@bot.example.com/a_b",
            "https://bot.example.com/status",
            "http://127.0.0.1:8080",
            "http://[::1]:8080/webhooks/whatsapp",
        ] {
            assert!(PublicUrl::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        assert_eq!(shown("https://u:p@a.example:8443/x?y=1"), "https://a.example:8443/x");
        assert_eq!(shown("https://a.example/u@p"), "https://a.example/u@p");
    }
}
