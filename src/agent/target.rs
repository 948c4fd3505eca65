//! Whom a turn is for: which gateway, which agent, which model.

use std::fmt;

use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::{Host, Url};

use crate::error::AgentError;

/// The choice of a deployment or of one user; what is `None` is somebody else's to decide.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Target {
    /// The gateway and its token. They change together: one gateway's token is never shown to another.
    #[serde(skip)]
    pub endpoint: Option<Endpoint>,
    /// The agent of an OpenClaw gateway; without it the gateway's default agent answers.
    pub agent_id: Option<String>,
    /// With an agent: the model behind it. Without one: the `model` of the request as it stands, which servers other than OpenClaw need.
    pub model: Option<String>,
}

/// The address of a gateway and its token.
#[derive(Clone)]
pub struct Endpoint {
    chat: Url,
    tools: Option<Url>,
    models: Url,
    ready: Url,
    moderations: Url,
    authorization: Option<HeaderValue>,
    token: SecretString,
}

impl Endpoint {
    /// Takes the address of a gateway (`http://127.0.0.1:18789`), an OpenAI base address (`https://host/v1`) or a complete
    /// `…/chat/completions`. An empty token is none.
    ///
    /// # Errors
    /// [`AgentError::Configuration`] if this is no address, has a password in it, or the token cannot stand in a header.
    pub fn new(base_url: &str, token: &SecretString) -> Result<Self, AgentError> {
        let invalid = |problem: &str| AgentError::Configuration(format!("the base URL {problem}"));
        let mut base =
            Url::parse(base_url.trim()).map_err(|error| invalid(&format!("is invalid: {error}")))?;
        if !matches!(base.scheme(), "http" | "https") || !base.has_host() {
            return Err(invalid("must begin with http:// or https://"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(invalid("must not hold a user or password: give the token by itself"));
        }
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/').to_owned();
        let root = path.strip_suffix("/chat/completions").unwrap_or(&path);
        let at = |path: &str| {
            let mut url = base.clone();
            url.set_path(path);
            url
        };
        let (chat, tools) = match root.strip_suffix("/v1") {
            Some(gateway) => (format!("{root}/chat/completions"), Some(format!("{gateway}/tools/invoke"))),
            None if root != path => (path.clone(), None),
            None => (format!("{root}/v1/chat/completions"), Some(format!("{root}/tools/invoke"))),
        };
        let gateway = root.strip_suffix("/v1").unwrap_or(root);
        let [moderations, models, ready] =
            ["/v1/moderations", "/v1/models", "/readyz"].map(|path| at(&format!("{gateway}{path}")));
        let token = token.expose_secret().trim();
        let authorization = (!token.is_empty()).then(|| bearer(token)).transpose()?;
        let (chat, tools) = (at(&chat), tools.map(|path| at(&path)));
        Ok(Self { chat, tools, models, ready, moderations, authorization, token: token.into() })
    }

    /// Whether both are the same gateway, however it is spelled.
    #[must_use]
    pub fn is_same_gateway(&self, other: &Self) -> bool {
        self.chat == other.chat
    }

    /// Its address in full, which may hold a secret: to tell it from others, never to be shown.
    #[must_use]
    pub fn address(&self) -> &str {
        self.chat.as_str()
    }

    /// Where turns go.
    pub(crate) fn chat(&self) -> &Url {
        &self.chat
    }

    /// Its host and port.
    pub(crate) fn place(&self) -> (Option<Host<&str>>, Option<u16>) {
        (self.chat.host(), self.chat.port_or_known_default())
    }

    /// Where tools are called; no server but a gateway has that.
    pub(crate) fn tools(&self) -> Option<&Url> {
        self.tools.as_ref()
    }

    /// Where servers name their models, and gateways their agents.
    pub(crate) fn models(&self) -> &Url {
        &self.models
    }

    /// Where a gateway says whether it has come up.
    pub(crate) fn ready(&self) -> &Url {
        &self.ready
    }

    /// Where texts are judged; OpenAI and servers like it have that.
    pub(crate) fn moderations(&self) -> &Url {
        &self.moderations
    }

    /// The `Authorization` header.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether the gateway runs on this machine, where no proxy leads.
    pub(crate) fn is_loopback(&self) -> bool {
        match self.chat.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
            None => false,
        }
    }

    /// A text of the gateway's without the token, should it quote that.
    pub(crate) fn redact(&self, text: &str) -> String {
        let token = self.token.expose_secret();
        if token.is_empty() { text.to_owned() } else { text.replace(token, "***") }
    }
}

/// The gateway as errors and logs name it: scheme, host and port.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chat.origin().ascii_serialization())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

fn bearer(token: &str) -> Result<HeaderValue, AgentError> {
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        AgentError::Configuration("the token has characters that no header can hold".to_owned())
    })?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_a_gateway_an_openai_base_or_complete() {
        let cases = [
            (
                "http://127.0.0.1:18789",
                "http://127.0.0.1:18789/v1/chat/completions",
                Some("http://127.0.0.1:18789/tools/invoke"),
            ),
            (
                "https://a.example/bot/",
                "https://a.example/bot/v1/chat/completions",
                Some("https://a.example/bot/tools/invoke"),
            ),
            (
                "https://a.example/v1/#x",
                "https://a.example/v1/chat/completions",
                Some("https://a.example/tools/invoke"),
            ),
            (
                "https://a.example/v1/chat/completions",
                "https://a.example/v1/chat/completions",
                Some("https://a.example/tools/invoke"),
            ),
            ("https://a.example/x/chat/completions?v=2", "https://a.example/x/chat/completions?v=2", None),
        ];
        for (base, chat, tools) in cases {
            let endpoint = Endpoint::new(base, &"t".into()).unwrap();

            assert_eq!(
                (endpoint.chat().as_str(), endpoint.tools().map(Url::as_str)),
                (chat, tools),
                "{base}"
            );
        }
    }

    #[test]
    fn what_is_no_address_or_token_is_refused() {
        for (base, token) in [
            ("gateway", "t"),
            ("ftp://a.example", "t"),
            ("http://me:secret@a.example", "t"),
            ("http://a.example", "to\nken"),
        ] {
            let error = Endpoint::new(base, &token.into()).unwrap_err();

            assert!(
                matches!(&error, AgentError::Configuration(reason) if !reason.contains("secret")),
                "{error}"
            );
        }
    }

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (base, is_loopback) in [
            ("http://localhost:1", true),
            ("http://[::1]:1", true),
            ("http://127.9.9.9", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Endpoint::new(base, &"".into()).unwrap().is_loopback(), is_loopback, "{base}");
        }
    }

    #[test]
    fn a_token_is_never_shown() {
        let endpoint = Endpoint::new("http://a.example/secret-path", &"s3cret".into()).unwrap();

        let shown = format!(
            "{endpoint:?} {endpoint} {:?} {}",
            endpoint.authorization(),
            endpoint.redact("bad key s3cret")
        );

        assert!(!shown.contains("s3cret") && !shown.contains("secret-path"), "{shown}");
    }
}
