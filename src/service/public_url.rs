//! The URL under which Twilio reaches us: signatures are made over it, byte by byte, so nothing here is normalised.

use url::Url;

const WEBHOOK_PATH: &str = "/webhooks/whatsapp";
const STATUS_PATH: &str = "/webhooks/whatsapp/status";

/// `TWILIO_WEBHOOK_PUBLIC_URL`: the full webhook URL, or a base to which the received path is appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    /// Scheme, userinfo, host and port.
    origin: String,
    /// Without a trailing slash, a query or a fragment.
    path: String,
}

/// What is no public URL.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} must be a URL like https://bot.example.com/webhooks/whatsapp")]
pub struct NotAUrl(String);

impl PublicUrl {
    /// Reads a URL; a fragment (Twilio's connection overrides) and a query are dropped, since the query comes with each request.
    pub fn parse(text: &str) -> Result<Self, NotAUrl> {
        let wrong = || NotAUrl(text.to_owned());
        let bare = text.trim().split(['#', '?']).next().unwrap_or_default();
        let url = Url::parse(bare).map_err(|_| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong());
        }
        let authority_at = bare.find("://").ok_or_else(wrong)? + 3;
        let path_at = bare[authority_at..].find('/').map_or(bare.len(), |at| authority_at + at);
        Ok(Self {
            origin: bare[..path_at].to_owned(),
            path: bare[path_at..].trim_end_matches('/').to_owned(),
        })
    }

    /// The URLs that Twilio may have signed for a request with this path and query. A path of the operator's own may be the webhook's
    /// full path or a prefix; then both are possible, and both are the operator's.
    #[must_use]
    pub fn candidates(&self, path_and_query: &str) -> Vec<String> {
        let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
        let Self { origin, path: own } = self;
        let status = if path.ends_with("/status") { "/status" } else { "" };
        let full = format!("{origin}{own}{status}{query}");
        let appended = format!("{origin}{own}{path}{query}");
        match own.as_str() {
            "" => vec![appended],
            own if own.ends_with(WEBHOOK_PATH) => vec![full],
            _ => vec![full, appended],
        }
    }

    /// Where Twilio reports statuses.
    #[must_use]
    pub fn status_callback_url(&self) -> String {
        if self.path.ends_with(WEBHOOK_PATH) {
            format!("{}{}/status", self.origin, self.path)
        } else {
            format!("{}{}{STATUS_PATH}", self.origin, self.path)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_url_stands_for_the_webhook_and_its_status_route() {
        let url =
            PublicUrl::parse("https://u:p@bot.example.com:8443/hooks/webhooks/whatsapp#rc=5&rp=all").unwrap();

        assert_eq!(
            url.candidates("/webhooks/whatsapp?a=%20b"),
            ["https://u:p@bot.example.com:8443/hooks/webhooks/whatsapp?a=%20b"]
        );
        assert_eq!(
            url.candidates("/webhooks/whatsapp/status?chunk=1"),
            ["https://u:p@bot.example.com:8443/hooks/webhooks/whatsapp/status?chunk=1"]
        );
        assert_eq!(
            url.status_callback_url(),
            "https://u:p@bot.example.com:8443/hooks/webhooks/whatsapp/status"
        );
    }

    #[test]
    fn a_base_gets_the_received_path() {
        let url = PublicUrl::parse("https://Bot.Example.com/").unwrap();

        assert_eq!(
            url.candidates("/webhooks/whatsapp?x=1"),
            ["https://Bot.Example.com/webhooks/whatsapp?x=1"]
        );
        assert_eq!(url.status_callback_url(), "https://Bot.Example.com/webhooks/whatsapp/status");
    }

    #[test]
    fn a_path_of_the_operators_own_may_be_either() {
        let url = PublicUrl::parse("https://a.example/twilio").unwrap();

        assert_eq!(
            url.candidates("/webhooks/whatsapp"),
            ["https://a.example/twilio", "https://a.example/twilio/webhooks/whatsapp"]
        );
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for text in ["", "bot.example.com", "ftp://a.example/x", "https://"] {
            assert!(PublicUrl::parse(text).is_err(), "{text}");
        }
    }
}
