//! Where media are fetched from: each request of a fetch is made from one of these, and whatever else a webhook or a redirect names is
//! refused before any connection.

use url::Url;

use crate::account::Account;
use crate::hosts::{behind_api, keeps_files};

/// Twilio's ids have 34 characters; nothing that is much longer is one.
const SID_LIMIT: usize = 64;

/// A URL that may be asked with the account's credentials: a file of one of its messages, at the API that is configured.
#[derive(Clone, Debug)]
pub(crate) struct MediaUrl(Url);

/// A URL that an answer has sent us on to. It may be asked, but without credentials.
#[derive(Clone, Debug)]
pub(crate) struct RedirectUrl(Url);

impl MediaUrl {
    /// `None`: credentials do not go there. The path is `…/2010-04-01/Accounts/{our account}/Messages/{sid}/Media/{sid}`, as Twilio's
    /// Media resource has it; the host is that of the API, or Twilio's in another region if the API is Twilio's.
    pub(crate) fn parse(text: &str, account: &Account) -> Option<Self> {
        let base = &account.api_base_url;
        let url = Url::parse(text).ok()?;
        // Nothing hides in dots, encodings, backslashes or capital letters: what was written is what will be asked.
        let before_query = |text: &str| text.split('?').next().unwrap_or_default().to_owned();
        if before_query(text) != before_query(url.as_str()) || has_extras(&url) {
            return None;
        }
        let is_api = url.origin() == base.origin();
        let is_twilios = behind_api(base).is_some() && behind_api(&url).is_some();
        let messages = format!(
            "{}/2010-04-01/Accounts/{}/Messages/",
            base.path().trim_end_matches('/'),
            account.account_sid
        );
        let sids: Vec<&str> = url.path().strip_prefix(&messages)?.split('/').collect();
        let is_file = matches!(sids[..], [message, "Media", file] if is_sid(message) && is_sid(file));
        ((is_api || is_twilios) && is_file).then_some(Self(url))
    }

    pub(crate) fn as_url(&self) -> &Url {
        &self.0
    }
}

impl RedirectUrl {
    /// Where a redirect leads that `from` answered. `None`: nobody goes there. Twilio sends people on to its own hosts; a stand-in that the
    /// operator has named in its place may send them to itself.
    pub(crate) fn parse(location: &str, from: &Url, account: &Account) -> Option<Self> {
        let base = &account.api_base_url;
        let url = from.join(location).ok()?;
        let is_stand_in = behind_api(base).is_none() && url.origin() == base.origin();
        (!has_extras(&url) && (keeps_files(&url) || is_stand_in)).then_some(Self(url))
    }

    pub(crate) fn as_url(&self) -> &Url {
        &self.0
    }
}

/// A user's name or password in a URL would be sent as credentials; a fragment is nothing that is ever sent.
fn has_extras(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some() || url.fragment().is_some()
}

fn is_sid(text: &str) -> bool {
    (1..=SID_LIMIT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FILE: &str = "/2010-04-01/Accounts/AC1/Messages/MM1/Media/ME1";

    fn account(api_base_url: &str) -> Account {
        Account {
            account_sid: "AC1".to_owned(),
            auth_token: "secret".into(),
            api_key: None,
            api_base_url: api_base_url.parse().unwrap(),
            connect_timeout: Duration::ZERO,
            request_timeout: Duration::ZERO,
        }
    }

    #[test]
    fn credentials_go_to_the_api_that_is_configured() {
        let cases = [
            ("https://api.twilio.com", "https://api.twilio.com"),
            ("https://api.twilio.com/", "https://api.dublin.ie1.twilio.com"),
            ("https://api.ie1.twilio.com", "https://api.twilio.com"),
            ("https://gateway.example:8443/twilio/", "https://gateway.example:8443/twilio"),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
            ("http://[::1]:8081", "http://[::1]:8081"),
            ("http://localhost:8081", "http://localhost:8081"),
            ("http://10.0.0.1", "http://10.0.0.1"),
        ];

        for (base, host) in cases {
            for query in ["", "?a=b%20c"] {
                let url = format!("{host}{FILE}{query}");
                assert!(MediaUrl::parse(&url, &account(base)).is_some(), "{base} {url}");
            }
        }
    }

    #[test]
    fn credentials_go_nowhere_else() {
        let twilio = "https://api.twilio.com";
        let cases = [
            (twilio, format!("http://api.twilio.com{FILE}")),
            (twilio, format!("https://api.twilio.com:8443{FILE}")),
            (twilio, format!("https://api.twilio.com.{FILE}")),
            (twilio, format!("https://api.twilio.com.evil.example{FILE}")),
            (twilio, format!("https://api.twilio.com@evil.example{FILE}")),
            (twilio, format!("https://evil.example/https://api.twilio.com{FILE}")),
            (twilio, format!("https://evil.example#@api.twilio.com{FILE}")),
            (twilio, format!("https://evil.example?@api.twilio.com{FILE}")),
            (twilio, format!("https://evil.example\\@api.twilio.com{FILE}")),
            (twilio, format!("https://user@api.twilio.com{FILE}")),
            (twilio, format!("https://user:pass@api.twilio.com{FILE}")),
            (twilio, format!("https://@api.twilio.com{FILE}")),
            (twilio, format!("https://messaging.twilio.com{FILE}")),
            (twilio, format!("https://mms.twiliocdn.com{FILE}")),
            (twilio, format!("https://127.0.0.1{FILE}")),
            (twilio, format!("https://169.254.169.254{FILE}")),
            (twilio, format!("https://[::ffff:127.0.0.1]{FILE}")),
            (twilio, format!("https://0x7f000001{FILE}")),
            (twilio, format!("https:api.twilio.com{FILE}")),
            (twilio, format!("https:\\\\api.twilio.com{FILE}")),
            (twilio, format!("//api.twilio.com{FILE}")),
            (twilio, format!(" https://api.twilio.com{FILE}")),
            (twilio, format!("https://api.twi\tlio.com{FILE}")),
            (twilio, format!("https://API.twilio.com{FILE}")),
            (twilio, format!("https://ap%69.twilio.com{FILE}")),
            (twilio, format!("https://api.twilio。com{FILE}")),
            (twilio, format!("https://api.twilio.com{FILE}#x")),
            (twilio, format!("https://api.twilio.com{FILE}#")),
            (twilio, format!("https://api.twilio.com{FILE}/")),
            (twilio, format!("https://api.twilio.com{FILE}.json")),
            (twilio, format!("https://api.twilio.com/{FILE}")),
            (twilio, format!("https://api.twilio.com/x{FILE}")),
            (twilio, format!("https://api.twilio.com/x/..{FILE}")),
            (twilio, format!("https://api.twilio.com/%2e%2e{FILE}")),
            (twilio, format!("https://api.twilio.com{FILE}/../ME1")),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC2/Messages/MM1/Media/ME1".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1%2FMessages/MM1/Media/ME1".to_owned()),
            (
                twilio,
                "https://api.twilio.com/2010-04-01/Accounts/AC1/../AC2/Messages/MM1/Media/ME1".to_owned(),
            ),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/../Media/ME1".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/%2e%2e/Media/ME1".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1%2f/Media/ME1".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages//Media/ME1".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media/".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1/Media".to_owned()),
            (twilio, "https://api.twilio.com/2010-04-01/Accounts/AC1/Messages/MM1.json".to_owned()),
            (twilio, format!("file://{FILE}")),
            (twilio, "data:image/png;base64,AA==".to_owned()),
            (twilio, String::new()),
            ("https://gateway.example/twilio", format!("https://api.twilio.com{FILE}")),
            ("https://gateway.example/twilio", format!("https://gateway.example{FILE}")),
            ("https://10.0.0.1", format!("https://10.0.0.2{FILE}")),
            ("http://127.0.0.1:8081", format!("http://127.0.0.1:8082{FILE}")),
            ("http://127.0.0.1:8081", format!("http://localhost:8081{FILE}")),
            ("http://127.0.0.1:8081", format!("https://127.0.0.1:8081{FILE}")),
            ("http://127.0.0.1:8081", format!("https://api.twilio.com{FILE}")),
        ];

        for (base, url) in cases {
            assert!(MediaUrl::parse(&url, &account(base)).is_none(), "{base} {url}");
        }
    }

    #[test]
    fn a_redirect_leads_to_twilios_hosts_or_back_to_a_stand_in() {
        let cases = [
            ("https://api.twilio.com", "https://mms.twiliocdn.com/x?Signature=y", true),
            ("https://api.twilio.com", "/x", true),
            ("https://api.twilio.com", "//mms.twiliocdn.com/x", true),
            ("https://api.twilio.com", "http://mms.twiliocdn.com/x", false),
            ("https://api.twilio.com", "https://user:pass@mms.twiliocdn.com/x", false),
            ("https://api.twilio.com", "https://mms.twiliocdn.com/x#y", false),
            ("https://api.twilio.com", "https://evil.example/x", false),
            ("https://api.twilio.com", "//evil.example/x", false),
            ("https://api.twilio.com", "\\\\evil.example/x", false),
            ("https://api.twilio.com", "https://s3.amazonaws.com/x", false),
            ("https://api.twilio.com", "http://127.0.0.1/x", false),
            ("https://api.twilio.com", "http://169.254.169.254/latest/meta-data", false),
            ("https://api.twilio.com", "https://[::1]/x", false),
            ("https://gateway.example", "https://gateway.example/x", true),
            ("https://gateway.example", "https://other.example/x", false),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/x", true),
            ("http://127.0.0.1:8081", "/x", true),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8082/x", false),
            ("http://127.0.0.1:8081", "http://localhost:8081/x", false),
            ("http://127.0.0.1:8081", "https://127.0.0.1:8081/x", false),
            ("http://127.0.0.1:8081", "http://10.0.0.1/x", false),
        ];

        for (base, location, allowed) in cases {
            let from = format!("{base}{FILE}").parse().unwrap();
            let parsed = RedirectUrl::parse(location, &from, &account(base));
            assert_eq!(parsed.is_some(), allowed, "{base} {location}");
        }
    }
}
