//! Twilio's own hosts, and this machine.

use url::{Host, Url};

/// What stands behind `api` in the host of Twilio's API: `.twilio.com`, or `.<region>.twilio.com` or `.<edge>.<region>.twilio.com` for an
/// account that lives elsewhere. The other products have the same behind their names. `None`: this is no URL of Twilio's API.
pub(crate) fn behind_api(url: &Url) -> Option<&str> {
    let Some(Host::Domain(host)) = url.host() else { return None };
    let behind = host.strip_prefix("api").filter(|behind| behind.starts_with('.'))?;
    let place = behind.strip_suffix(".twilio.com")?;
    let labels: Vec<&str> = place.split('.').skip(1).collect();
    let is_place = labels.len() <= 2
        && labels
            .iter()
            .all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
    (is_https(url) && is_place).then_some(behind)
}

/// Where another product of Twilio's is: on a host of its own, `messaging.twilio.com` for `api.twilio.com`, and in the same place for an account that
/// lives elsewhere, `messaging.dublin.ie1.twilio.com` for `api.dublin.ie1.twilio.com`, as Twilio's libraries make their hosts. Another server that
/// speaks the same has it beside everything else.
pub(crate) fn product_url(api_base_url: &Url, product: &str, path: &str) -> Url {
    let mut url = api_base_url.clone();
    if let Some(behind) = behind_api(api_base_url) {
        url.set_host(Some(&format!("{product}{behind}")))
            .expect("a host of Twilio's with another first label");
    }
    url.set_path(&format!("{}{path}", api_base_url.path().trim_end_matches('/')));
    url.set_query(None);
    url
}

/// Whether Twilio keeps files there, or sends those on who ask for one. Nobody else can have a host with these names.
pub(crate) fn keeps_files(url: &Url) -> bool {
    let Some(Host::Domain(host)) = url.host() else { return false };
    is_https(url) && is_twilios(host)
}

/// Whether a name is Twilio's to give.
pub(crate) fn is_twilios(host: &str) -> bool {
    host == "twiliocdn.com" || host.ends_with(".twiliocdn.com") || host.ends_with(".twilio.com")
}

/// Whether it is on this machine, by its name or its address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// On its usual port.
fn is_https(url: &Url) -> bool {
    url.scheme() == "https" && url.port().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_is_known_in_every_region_and_nothing_else_is_taken_for_it() {
        let cases = [
            ("https://api.twilio.com/x", Some(".twilio.com")),
            ("https://api.twilio.com:443", Some(".twilio.com")),
            ("https://api.ie1.twilio.com", Some(".ie1.twilio.com")),
            ("https://api.dublin.ie1.twilio.com", Some(".dublin.ie1.twilio.com")),
            ("http://api.twilio.com", None),
            ("https://api.twilio.com:8443", None),
            ("https://twilio.com", None),
            ("https://messaging.twilio.com", None),
            ("https://apitwilio.com", None),
            ("https://api-twilio.com", None),
            ("https://api.twilio.com.", None),
            ("https://api.twilio.com.evil.example", None),
            ("https://api.eviltwilio.com", None),
            ("https://api..twilio.com", None),
            ("https://api.a.b.c.twilio.com", None),
            ("https://api.evil_x.twilio.com", None),
            ("https://127.0.0.1", None),
        ];

        for (url, behind) in cases {
            assert_eq!(behind_api(&url.parse().unwrap()), behind, "{url}");
        }
    }

    #[test]
    fn twilio_has_a_product_on_a_host_of_its_own_and_a_stand_in_has_it_beside_the_rest() {
        let cases = [
            ("https://api.twilio.com", "https://messaging.twilio.com/v3/Indicators/Typing.json"),
            ("https://api.ie1.twilio.com/", "https://messaging.ie1.twilio.com/v3/Indicators/Typing.json"),
            (
                "https://api.dublin.ie1.twilio.com",
                "https://messaging.dublin.ie1.twilio.com/v3/Indicators/Typing.json",
            ),
            ("http://127.0.0.1:8081", "http://127.0.0.1:8081/v3/Indicators/Typing.json"),
            ("https://gateway.example/twilio/?x", "https://gateway.example/twilio/v3/Indicators/Typing.json"),
            ("https://api.twilio.com.example", "https://api.twilio.com.example/v3/Indicators/Typing.json"),
        ];

        for (api_base_url, url) in cases {
            let found =
                product_url(&api_base_url.parse().unwrap(), "messaging", "/v3/Indicators/Typing.json");
            assert_eq!(found.as_str(), url);
        }
    }

    #[test]
    fn files_are_kept_by_twilio_alone() {
        let cases = [
            ("https://mms.twiliocdn.com/x?Signature=y", true),
            ("https://twiliocdn.com/x", true),
            ("https://media.twilio.com/x", true),
            ("http://mms.twiliocdn.com/x", false),
            ("https://mms.twiliocdn.com:8443/x", false),
            ("https://eviltwiliocdn.com/x", false),
            ("https://mms.twiliocdn.com.evil.example/x", false),
            ("https://twilio.com/x", false),
            ("https://s3.amazonaws.com/media.twiliocdn.com/x", false),
            ("https://3.3.3.3/x", false),
            ("https://[2606:4700::1111]/x", false),
            ("ftp://mms.twiliocdn.com/x", false),
        ];

        for (url, keeps) in cases {
            assert_eq!(keeps_files(&url.parse().unwrap()), keeps, "{url}");
        }
    }
}
