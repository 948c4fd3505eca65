//! Which addresses a fetch of media may connect to.
//!
//! The check sits in the name resolver of the very client that connects, so nothing can be changed between the check and the connection.

use std::net::{IpAddr, SocketAddr};

use outside::address::is_public;
use reqwest::dns::{Name, Resolve, Resolving};
use url::Url;

use crate::hosts::{behind_api, is_loopback, is_twilios};

/// Resolves names to the addresses that are allowed for them.
pub(crate) struct GuardedResolver {
    /// The host of the configured API, and which of its addresses are allowed.
    api: (Option<String>, Allowed),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Allowed {
    Public,
    Loopback,
    Any,
}

/// A name that leads to no address which is allowed for it.
#[derive(Debug, thiserror::Error)]
#[error("{0} has no address that media may be fetched from")]
pub(crate) struct NoAllowedAddress(String);

impl GuardedResolver {
    pub(crate) fn new(api_base_url: &Url) -> Self {
        let allowed = match behind_api(api_base_url) {
            Some(_) => Allowed::Public,
            None if is_loopback(api_base_url) => Allowed::Loopback,
            // The operator has named it, wherever it may be; a webhook cannot.
            None => Allowed::Any,
        };
        Self { api: (api_base_url.host_str().map(str::to_owned), allowed) }
    }

    /// Allows a name its public addresses alone, whatever the name.
    #[cfg(test)]
    pub(crate) fn public(host: &str) -> Self {
        Self { api: (Some(host.to_owned()), Allowed::Public) }
    }

    /// Only checked URLs are asked for, so a name that is neither Twilio's nor the API's is that of the operator's proxy, which may well
    /// have a private address.
    fn allowed(&self, name: &str) -> Allowed {
        match &self.api {
            (Some(host), allowed) if host == name => *allowed,
            _ if is_twilios(name) => Allowed::Public,
            _ => Allowed::Any,
        }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allowed = self.allowed(name.as_str());
        Box::pin(async move {
            // The port is put in by whoever connects.
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let addresses: Vec<SocketAddr> = found.filter(|address| allowed.includes(address.ip())).collect();
            if addresses.is_empty() {
                return Err(NoAllowedAddress(name.as_str().to_owned()).into());
            }
            Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

impl Allowed {
    fn includes(self, ip: IpAddr) -> bool {
        match self {
            Self::Public => is_public(ip),
            Self::Loopback => ip.is_loopback(),
            Self::Any => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_kind_of_address() {
        let twilio = GuardedResolver::new(&"https://api.twilio.com".parse().unwrap());
        let gateway = GuardedResolver::new(&"https://gateway.example".parse().unwrap());
        let sandbox = GuardedResolver::new(&"http://localhost:8081".parse().unwrap());

        assert_eq!(twilio.allowed("api.twilio.com"), Allowed::Public);
        assert_eq!(twilio.allowed("mms.twiliocdn.com"), Allowed::Public);
        assert_eq!(twilio.allowed("proxy.internal"), Allowed::Any);
        assert_eq!(gateway.allowed("gateway.example"), Allowed::Any);
        assert_eq!(gateway.allowed("mms.twiliocdn.com"), Allowed::Public);
        assert_eq!(sandbox.allowed("localhost"), Allowed::Loopback);
        assert_eq!(sandbox.allowed("mms.twiliocdn.com"), Allowed::Public);
    }
}
