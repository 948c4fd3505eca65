//! Signs webhooks as Twilio does: HMAC-SHA1 under the auth token, over the URL without its fragment and the sorted parameters.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret as _, SecretString};
use sha1::Sha1;

pub(crate) fn sign(auth_token: &SecretString, url: &str, params: &[(String, String)]) -> String {
    let mut sorted: Vec<&(String, String)> = params.iter().collect();
    sorted.sort();
    sorted.dedup();
    let auth_token = auth_token.expose_secret().as_bytes();
    let mut mac = Hmac::<Sha1>::new_from_slice(auth_token).expect("HMAC takes a key of any length");
    mac.update(url.split('#').next().unwrap_or(url).as_bytes());
    for (name, value) in sorted {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The constants that Twilio's own libraries are tested with.
    #[test]
    fn it_signs_as_twilio_does() {
        let params = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ];
        let params: Vec<(String, String)> =
            params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();

        let signature = sign(&"12345".into(), "https://mycompany.com/myapp.php?foo=1&bar=2#rc=3", &params);

        assert_eq!(signature, "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
    }
}
