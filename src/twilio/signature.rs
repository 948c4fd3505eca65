//! The signature of a webhook, `X-Twilio-Signature`.
//!
//! It is the base64 form of an HMAC-SHA1 under the account's auth token over the URL as configured at Twilio, followed for a form by
//! each parameter's name and value, sorted by name (Twilio: "Webhooks security"). A JSON body is bound by its SHA-256 in the URL's
//! `bodySHA256` instead. There is no timestamp in it: a captured request stays valid, so what keeps a replay harmless is that every
//! message is taken in once.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

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

/// What is signed besides the URL.
pub(crate) enum Signed<'a> {
    /// The decoded parameters of a form.
    Form(&'a [(String, String)]),
    /// A body that the URL's `bodySHA256` vouches for.
    Body(&'a [u8]),
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature, or an empty one.
    #[error("the X-Twilio-Signature header is missing")]
    Missing,
    /// It is none that any of our tokens makes for any URL that this request can have.
    #[error(
        "the signature does not match; check TWILIO_AUTH_TOKEN, and that TWILIO_WEBHOOK_PUBLIC_URL is the URL configured at Twilio"
    )]
    Mismatch,
    /// A body that is no form must come with its hash.
    #[error("the body does not match the bodySHA256 in the URL")]
    BodyHash,
}

/// Checks a signature. One of `urls` must have been signed, with one of the tokens, with its port spelled out or not.
pub(crate) fn check(
    tokens: &AuthTokens,
    urls: &[String],
    signed: &Signed<'_>,
    signature: Option<&str>,
) -> Result<(), SignatureError> {
    let signature = signature.filter(|signature| !signature.is_empty()).ok_or(SignatureError::Missing)?;
    // Strict: standard alphabet, padded.
    let signature = STANDARD.decode(signature).map_err(|_| SignatureError::Mismatch)?;
    let (urls, suffix): (Vec<&String>, String) = match signed {
        Signed::Form(pairs) => (urls.iter().collect(), canonical_form(pairs)),
        Signed::Body(body) => {
            let hash: String = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
            // The hash must stand in the very URL that was signed: another candidate's query is anybody's to write.
            let vouching: Vec<&String> = urls.iter().filter(|url| body_hash(url) == Some(&hash)).collect();
            if vouching.is_empty() {
                return Err(SignatureError::BodyHash);
            }
            (vouching, String::new())
        }
    };
    let matched = urls
        .iter()
        .flat_map(|url| spellings(url))
        .any(|url| tokens.0.iter().any(|token| verifies(token, &url, &suffix, &signature)));
    if matched { Ok(()) } else { Err(SignatureError::Mismatch) }
}

fn verifies(token: &SecretString, url: &str, suffix: &str, signature: &[u8]) -> bool {
    let token = token.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha1>::new_from_slice(token).expect("HMAC takes a key of any length");
    mac.update(url.as_bytes());
    mac.update(suffix.as_bytes());
    // In constant time.
    mac.verify_slice(signature).is_ok()
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
fn spellings(url: &str) -> Vec<String> {
    let url = url.split('#').next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else { return vec![url.to_owned()] };
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
    vec![format!("{scheme}://{userinfo}{host}{tail}"), format!("{scheme}://{userinfo}{host}:{port}{tail}")]
}

fn body_hash(url: &str) -> Option<&str> {
    let query = url.split('#').next()?.split_once('?')?.1;
    query.split('&').find_map(|pair| pair.strip_prefix("bodySHA256="))
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
