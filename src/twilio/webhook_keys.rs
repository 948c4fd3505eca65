//! Shared keys: what webhooks are signed with where a webhook Setting of the account says so, in place of the auth token (Twilio: "Webhook
//! SharedKeys"). Such a request names its key and algorithm in the header `X-Twilio-Webhooks-Signature-Settings`.

use secrecy::{ExposeSecret as _, SecretString};

/// The shared keys that may sign, by Twilio's ids.
#[derive(Clone, Debug, Default)]
pub struct WebhookKeys(Vec<WebhookKey>);

#[derive(Clone, Debug)]
struct WebhookKey {
    id: String,
    secret: SecretString,
}

/// What is no key with its id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("number {0} must be a key's id at Twilio, an equals sign and the key's secret")]
pub struct MalformedKey(usize);

impl WebhookKeys {
    /// Reads `id=secret`, separated by commas; blanks around them do not count. An id may be there twice while its secret changes.
    pub fn parse(list: &SecretString) -> Result<Self, MalformedKey> {
        let given = list.expose_secret().split(',').map(str::trim).filter(|key| !key.is_empty());
        let key = |(index, given): (usize, &str)| {
            let (id, secret) = given.split_once('=').ok_or(MalformedKey(index + 1))?;
            let (id, secret) = (id.trim(), secret.trim());
            if id.is_empty() || secret.is_empty() {
                return Err(MalformedKey(index + 1));
            }
            Ok(WebhookKey { id: id.to_owned(), secret: secret.into() })
        };
        given.enumerate().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// The ids, for people.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    pub(crate) fn secrets(&self, id: &str) -> Vec<&SecretString> {
        self.0.iter().filter(|key| key.id == id).map(|key| &key.secret).collect()
    }
}

/// How a signature is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    HmacSha1,
    HmacSha256,
}

/// What the header says: `key=<id>,algorithm=<name>`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SignatureSettings<'a> {
    pub(crate) key: Option<&'a str>,
    /// As Twilio spells it; without one it is SHA-1.
    algorithm: &'a str,
}

impl<'a> SignatureSettings<'a> {
    /// `None`: there is no such header, or nothing in it.
    pub(crate) fn read(header: Option<&'a str>) -> Option<Self> {
        let header = header.filter(|header| !header.trim().is_empty())?;
        let named = |name: &str| {
            let parts = header.split(',').filter_map(|part| part.split_once('='));
            let mut values = parts.filter(|(part, _)| part.trim() == name).map(|(_, value)| value.trim());
            values.find(|value| !value.is_empty())
        };
        Some(Self { key: named("key"), algorithm: named("algorithm").unwrap_or("HMAC_SHA1") })
    }

    /// The error is the name of one that we do not know.
    pub(crate) fn algorithm(&self) -> Result<Algorithm, &'a str> {
        match self.algorithm {
            name if name.eq_ignore_ascii_case("HMAC_SHA1") => Ok(Algorithm::HmacSha1),
            name if name.eq_ignore_ascii_case("HMAC_SHA256") => Ok(Algorithm::HmacSha256),
            other => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_with_their_ids_and_never_shown() {
        let keys =
            WebhookKeys::parse(&"webhooks_sharedkey_1=c2VjcmV0LW9uZQ==, b = two ,b=three,".into()).unwrap();

        assert_eq!(keys.ids().collect::<Vec<_>>(), ["webhooks_sharedkey_1", "b", "b"]);
        let secrets = |id| -> Vec<&str> {
            keys.secrets(id).iter().map(|secret| secret.expose_secret()).collect::<Vec<_>>()
        };
        assert_eq!(secrets("webhooks_sharedkey_1"), ["c2VjcmV0LW9uZQ=="]);
        assert_eq!(secrets("b"), ["two", "three"]);
        assert_eq!(secrets("B"), Vec::<&str>::new());
        let shown = format!("{keys:?}");
        assert!(!shown.contains("c2Vj") && !shown.contains("two"), "{shown}");
    }

    #[test]
    fn what_is_no_key_is_named_by_its_place_alone() {
        for (given, place) in [("a=1,secret", 2), ("=secret", 1), ("a=", 1), ("a=1,b=2, = ", 3)] {
            let error = WebhookKeys::parse(&given.into()).unwrap_err();

            assert_eq!(error, MalformedKey(place), "{given}");
            assert!(!error.to_string().contains("secret,"), "{error}");
        }
        assert_eq!(WebhookKeys::parse(&"".into()).unwrap().ids().count(), 0);
    }

    #[test]
    fn the_header_is_read_as_twilios_libraries_read_it() {
        for (header, key, algorithm) in [
            ("key=k1,algorithm=HMAC_SHA256", Some("k1"), Ok(Algorithm::HmacSha256)),
            (" key = k1 , algorithm = hmac_sha256 ", Some("k1"), Ok(Algorithm::HmacSha256)),
            ("algorithm=HMAC_SHA1,key=k1", Some("k1"), Ok(Algorithm::HmacSha1)),
            ("key=k1", Some("k1"), Ok(Algorithm::HmacSha1)),
            ("key=k1,algorithm=", Some("k1"), Ok(Algorithm::HmacSha1)),
            ("algorithm=HMAC_SHA256", None, Ok(Algorithm::HmacSha256)),
            ("key=k1,algorithm=HMAC_MD5", Some("k1"), Err("HMAC_MD5")),
            ("nonsense", None, Ok(Algorithm::HmacSha1)),
        ] {
            let settings = SignatureSettings::read(Some(header)).unwrap();

            assert_eq!((settings.key, settings.algorithm()), (key, algorithm), "{header}");
        }
        assert_eq!(SignatureSettings::read(Some(" ")), None);
        assert_eq!(SignatureSettings::read(None), None);
    }
}
