//! Twilio as it is configured: the account, what signs webhooks, and where they arrive.

use secrecy::ExposeSecret as _;
use twilio::account::{Account, ApiKey};
use twilio::signature::{AuthTokens, SigningKeys};
use twilio::webhook_keys::WebhookKeys;
use url::Url;

use super::keys::Keys;
use super::{SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, SANDBOX_NUMBER, TwilioAccess, given_or};
use crate::public_url::PublicUrl;

/// Twilio as it will be used, and whether it is the sandbox: when it was asked for, or when nothing is said of Twilio at all.
pub(super) fn read(
    keys: &Keys,
    asked_for_sandbox: bool,
    errors: &mut Vec<String>,
) -> (Option<TwilioAccess>, bool) {
    let given = &keys.twilio;
    let parts = [
        ("TWILIO_ACCOUNT_SID", given.account_sid.as_str()),
        ("TWILIO_AUTH_TOKEN", given.auth_token.expose_secret()),
        ("TWILIO_WHATSAPP_NUMBER", given.whatsapp_number.as_str()),
    ];
    let missing: Vec<&str> =
        parts.iter().filter(|(_, value)| value.is_empty()).map(|(name, _)| *name).collect();
    let sandbox = asked_for_sandbox || missing.len() == parts.len();
    if !sandbox && !missing.is_empty() {
        errors.push(format!(
            "Twilio's credentials are incomplete: set {} too, or none of the three to use the sandbox",
            missing.join(" and ")
        ));
        return (None, false);
    }
    let or = |given: &str, usual: &str| if given.is_empty() { usual.to_owned() } else { given.to_owned() };
    let number = or(&given.whatsapp_number, SANDBOX_NUMBER);
    let whatsapp_number = twilio::address::sender(&number);
    if whatsapp_number.is_none() {
        errors.push(format!("TWILIO_WHATSAPP_NUMBER is {number:?}; it must be a number like +14155238886"));
    }
    let auth_tokens = AuthTokens::parse(&given_or(&given.auth_token, SANDBOX_AUTH_TOKEN));
    if auth_tokens.is_none() {
        errors.push("TWILIO_AUTH_TOKEN holds no token".to_owned());
    }
    let api_key = api_key(keys, errors);
    let webhook_keys = WebhookKeys::parse(&given.webhook_keys)
        .map_err(|error| errors.push(format!("TWILIO_WEBHOOK_KEYS: {error}")))
        .ok();
    let api_base_url = Url::parse(&given.api_base_url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if api_base_url.is_none() {
        errors.push(format!(
            "TWILIO_API_BASE_URL is {:?}; it must be a URL like https://api.twilio.com",
            given.api_base_url
        ));
    }
    let public_url = Some(given.webhook_public_url.as_str())
        .filter(|url| !url.is_empty())
        .map(PublicUrl::parse)
        .transpose();
    if let Err(error) = &public_url {
        errors.push(format!("TWILIO_WEBHOOK_PUBLIC_URL: {error}"));
    }
    let account_sid = or(&given.account_sid, SANDBOX_ACCOUNT_SID);
    if !is_sid(&account_sid, "AC") {
        errors.push(
            "TWILIO_ACCOUNT_SID must be AC and 32 letters and digits, as on Twilio's console".to_owned(),
        );
    }
    let skip_signature = given.webhook_skip_signature_validation;
    let (Some(whatsapp_number), Some(auth_tokens), Some(webhook_keys), Some(api_base_url), Ok(public_url)) =
        (whatsapp_number, auth_tokens, webhook_keys, api_base_url, public_url)
    else {
        return (None, sandbox);
    };
    let account = Account {
        account_sid,
        auth_token: auth_tokens.first().clone(),
        api_key,
        api_base_url,
        connect_timeout: given.connect_timeout,
        request_timeout: given.sending.send_deadline,
    };
    let signing_keys = SigningKeys { auth_tokens, webhook_keys };
    (Some(TwilioAccess { account, signing_keys, whatsapp_number, public_url, skip_signature }), sandbox)
}

/// The key for the REST API, if there is one.
fn api_key(keys: &Keys, errors: &mut Vec<String>) -> Option<ApiKey> {
    let (sid, secret) = (&keys.twilio.api_key, &keys.twilio.api_secret);
    match (sid.is_empty(), secret.expose_secret().is_empty()) {
        (true, true) => return None,
        (false, true) => {
            errors.push(
                "TWILIO_API_KEY is set, but TWILIO_API_SECRET is not: set both, or none to use the auth token"
                    .to_owned(),
            );
        }
        (true, false) => {
            errors.push(
                "TWILIO_API_SECRET is set, but TWILIO_API_KEY is not: set both, or none to use the auth token"
                    .to_owned(),
            );
        }
        (false, false) if is_sid(sid, "SK") => {
            return Some(ApiKey { sid: sid.clone(), secret: secret.clone() });
        }
        (false, false) => errors
            .push("TWILIO_API_KEY must be SK and 32 letters and digits, as on Twilio's console".to_owned()),
    }
    None
}

/// Whether a text has the form of one of Twilio's ids.
fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_alphanumeric()))
}
