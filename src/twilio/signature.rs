//! The signature of a webhook, `X-Twilio-Signature`.
//!
//! It is the base64 form of an HMAC-SHA1 under the account's auth token over the URL as configured at Twilio, followed for a form by
//! each parameter's name and value, sorted by name (Twilio: "Webhooks security"). A JSON body is bound by its SHA-256 in the URL's
//! `bodySHA256` instead. Where a webhook Setting of the account says so, a shared key signs in place of the token, with SHA-256 or SHA-1. There is no timestamp in it: a captured request stays valid, so what keeps a replay harmless is that every
//! message is taken in once.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::webhook_keys::{Algorithm, SignatureSettings, WebhookKeys};

/// The auth tokens that may have signed: more than one during a rotation, when the signing one changes at a moment of Twilio's choice.
#[derive(Clone, Debug)]
pub struct AuthTokens(Vec<SecretString>);

impl AuthTokens {
    /// Tokens separated by commas; blanks around them do not count. `None`: there is none.
    #[must_use]
    pub fn parse(list: &SecretString) -> Option<Self> {
        let tokens = list.expose_secret().split(',').map(str::trim).filter(|token| !token.is_empty());
        let tokens: Vec<SecretString> = tokens.map(SecretString::from).collect();
        (!tokens.is_empty()).then_some(Self(tokens))
    }

    /// The first one: what REST calls authenticate with.
    #[must_use]
    pub fn first(&self) -> &SecretString {
        &self.0[0]
    }
}

/// Everything that may sign a webhook.
#[derive(Clone, Debug)]
pub struct SigningKeys {
    /// Usually.
    pub auth_tokens: AuthTokens,
    /// Where a request names one of these.
    pub webhook_keys: WebhookKeys,
}

/// What is signed besides the URL.
pub(crate) struct Signed<'a> {
    /// The decoded parameters, if the body is a form.
    pub(crate) form: Option<&'a [(String, String)]>,
    /// The body, which the URL's `bodySHA256` may vouch for. Twilio does so for JSON, and its libraries take it with any body.
    pub(crate) body: &'a [u8],
}

/// The headers that belong to a signature.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SignatureHeaders<'a> {
    /// `X-Twilio-Signature`
    pub(crate) signature: Option<&'a str>,
    /// `X-Twilio-Webhooks-Signature-Settings`
    pub(crate) settings: Option<&'a str>,
}

/// Why a signature is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature, or an empty one.
    #[error("the X-Twilio-Signature header is missing")]
    Missing,
    /// There is none, but the request says that it was sent by a webhook Setting.
    #[error(
        "there is no signature, but a webhook Setting of the account was used: let it sign with a shared key that is in twilio.webhook_keys, or leave these webhooks out of its Rules"
    )]
    UnsignedSetting,
    /// It is none that any of our tokens makes for any URL that this request can have.
    #[error(
        "the signature does not match; check TWILIO_AUTH_TOKEN, and that TWILIO_WEBHOOK_PUBLIC_URL is the URL configured at Twilio"
    )]
    Mismatch,
    /// A webhook Setting is said to have signed, and not with which key.
    #[error("the header X-Twilio-Webhooks-Signature-Settings names no key")]
    NoKey,
    /// A shared key that we have not signed.
    #[error(
        "the shared key {0} of a webhook Setting signed it, which twilio.webhook_keys has not: add it to TWILIO_WEBHOOK_KEYS as id=secret"
    )]
    UnknownKey(String),
    /// It was made in a way that we do not know.
    #[error("it is signed by the algorithm {0}; only HMAC_SHA256 and HMAC_SHA1 are known")]
    UnknownAlgorithm(String),
    /// It is none that this shared key makes for any URL that this request can have.
    #[error(
        "the signature is not of the shared key {0}; check its secret in twilio.webhook_keys, and that TWILIO_WEBHOOK_PUBLIC_URL is the URL configured at Twilio"
    )]
    KeyMismatch(String),
    /// A body that is no form must come with its hash.
    #[error("the body does not match the bodySHA256 in the URL")]
    BodyHash,
}

impl SignatureError {
    /// The reason without what the request says.
    #[must_use]
    pub fn cause(&self) -> &'static str {
        match self {
            Self::Missing => "no signature",
            Self::UnsignedSetting => "no signature by a setting",
            Self::Mismatch => "another signature",
            Self::NoKey => "no key",
            Self::UnknownKey(_) => "an unknown shared key",
            Self::UnknownAlgorithm(_) => "an unknown algorithm",
            Self::KeyMismatch(_) => "another signature than the shared key's",
            Self::BodyHash => "another body",
        }
    }
}

/// Of a header that anybody may have sent no more is told.
const TOLD: usize = 80;

/// Checks a signature. One of `urls` must have been signed, with the key that the request names or else with one of the tokens, with its port
/// spelled out or not.
pub(crate) fn check(
    keys: &SigningKeys,
    urls: &[String],
    signed: &Signed<'_>,
    headers: SignatureHeaders<'_>,
) -> Result<(), SignatureError> {
    let settings = SignatureSettings::read(headers.settings);
    let missing = if settings.is_some() { SignatureError::UnsignedSetting } else { SignatureError::Missing };
    let signature = headers.signature.filter(|signature| !signature.is_empty()).ok_or(missing)?;
    let signer = Signer::of(keys, settings.as_ref())?;
    // Strict: standard alphabet, padded.
    let signature = STANDARD.decode(signature).map_err(|_| signer.mismatch.clone())?;
    let vouched = vouched(urls, signed.body);
    let form = signed.form.map(canonical_form);
    if form.is_none() && vouched.is_empty() {
        return Err(SignatureError::BodyHash);
    }
    let of_form = form.iter().flat_map(|form| urls.iter().map(move |url| (url, form.as_str())));
    let of_body = vouched.into_iter().map(|url| (url, ""));
    let matched = of_form
        .chain(of_body)
        .flat_map(|(url, suffix)| spellings(url).map(|url| (url, suffix)))
        .any(|(url, suffix)| signer.has_signed(&url, suffix, &signature));
    if matched { Ok(()) } else { Err(signer.mismatch) }
}

/// Who must have signed a request, and how.
struct Signer<'a> {
    secrets: Vec<&'a SecretString>,
    algorithm: Algorithm,
    /// What is wrong if none of them has.
    mismatch: SignatureError,
}

impl<'a> Signer<'a> {
    fn of(keys: &'a SigningKeys, settings: Option<&SignatureSettings<'_>>) -> Result<Self, SignatureError> {
        let Some(settings) = settings else {
            let secrets = keys.auth_tokens.0.iter().collect();
            return Ok(Self { secrets, algorithm: Algorithm::HmacSha1, mismatch: SignatureError::Mismatch });
        };
        let told = |text: &str| text.chars().take(TOLD).collect::<String>();
        let id = settings.key.ok_or(SignatureError::NoKey)?;
        let algorithm = settings.algorithm().map_err(|name| SignatureError::UnknownAlgorithm(told(name)))?;
        let secrets = keys.webhook_keys.secrets(id);
        if secrets.is_empty() {
            return Err(SignatureError::UnknownKey(told(id)));
        }
        Ok(Self { secrets, algorithm, mismatch: SignatureError::KeyMismatch(told(id)) })
    }

    fn has_signed(&self, url: &str, suffix: &str, signature: &[u8]) -> bool {
        self.secrets.iter().any(|secret| match self.algorithm {
            Algorithm::HmacSha1 => verifies::<Hmac<Sha1>>(secret, url, suffix, signature),
            Algorithm::HmacSha256 => verifies::<Hmac<Sha256>>(secret, url, suffix, signature),
        })
    }
}

fn verifies<M: Mac + KeyInit>(secret: &SecretString, url: &str, suffix: &str, signature: &[u8]) -> bool {
    let secret = secret.expose_secret().as_bytes();
    let mut mac = <M as KeyInit>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    mac.update(suffix.as_bytes());
    // In constant time.
    mac.verify_slice(signature).is_ok()
}

/// The URLs with the hash of this body in them. It must stand in the very URL that was signed: another candidate's query is anybody's to write.
fn vouched<'a>(urls: &'a [String], body: &[u8]) -> Vec<&'a String> {
    let hashed: Vec<(&String, String)> = urls.iter().filter_map(|url| Some((url, body_hash(url)?))).collect();
    if hashed.is_empty() {
        return Vec::new();
    }
    let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    hashed.into_iter().filter(|(_, given)| *given == hash).map(|(url, _)| url).collect()
}

/// Names in the order of their bytes; under each, its values sorted and without repetition.
fn canonical_form(pairs: &[(String, String)]) -> String {
    let mut sorted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in pairs {
        sorted.entry(name).or_default().insert(value);
    }
    let mut text = String::new();
    for (name, values) in sorted {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    text
}

/// A URL without its fragment, as Twilio may have spelled it: without a port, and with its own or its scheme's. Nothing else is
/// normalised: what Twilio signed is what the operator configured, byte by byte.
fn spellings(url: &str) -> [String; 2] {
    let url = url.split('#').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else { return [url.to_owned(), url.to_owned()] };
    let authority_end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(authority_end);
    let host_at = authority.rfind('@').map_or(0, |at| at + 1);
    let (userinfo, host_and_port) = authority.split_at(host_at);
    // The colons of an IPv6 address stand in brackets.
    let port_at =
        host_and_port.rfind(':').filter(|at| host_and_port[*at + 1..].bytes().all(|b| b.is_ascii_digit()));
    let (host, port) =
        port_at.map_or((host_and_port, None), |at| (&host_and_port[..at], Some(&host_and_port[at + 1..])));
    let default_port = if scheme.eq_ignore_ascii_case("https") { "443" } else { "80" };
    let port = port.unwrap_or(default_port);
    [format!("{scheme}://{userinfo}{host}{tail}"), format!("{scheme}://{userinfo}{host}:{port}{tail}")]
}

/// What the URL's query says of the body; name and value may be percent-encoded.
fn body_hash(url: &str) -> Option<String> {
    let query = url.split('#').next()?.split_once('?')?.1;
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == "bodySHA256").map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_tried_with_and_without_its_port() {
        assert_eq!(
            spellings("https://a.example/x?y#rc=5"),
            ["https://a.example/x?y", "https://a.example:443/x?y"]
        );
        assert_eq!(
            spellings("http://u:p@a.example:8080"),
            ["http://u:p@a.example", "http://u:p@a.example:8080"]
        );
        assert_eq!(spellings("http://[::1]/x"), ["http://[::1]/x", "http://[::1]:80/x"]);
    }

    #[test]
    fn tokens_are_never_shown() {
        let tokens = AuthTokens::parse(&"secret-one, secret-two,".into()).unwrap();

        let hidden = "SecretBox<str>([REDACTED])";
        assert_eq!(format!("{tokens:?}"), format!("AuthTokens([{hidden}, {hidden}])"));
        assert_eq!(tokens.first().expose_secret(), "secret-one");
        assert!(AuthTokens::parse(&" , ".into()).is_none());
    }
}
