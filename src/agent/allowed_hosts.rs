//! Where users' own gateways may be: anywhere in the world, but in the operator's own networks only where the operator says so. A user's
//! gateway is an address that somebody else chose, and we ask it from inside.
//!
//! The check sits in the name resolver of the very client that connects, so nothing can be changed between the check and the connection.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use outside::address::is_public;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

use crate::error::AgentError;
use crate::target::Endpoint;

/// What the operator allows besides the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedHosts {
    networks: Vec<IpNet>,
    named: Vec<Named>,
}

/// A host by its name, wherever that leads, or by its address, on all ports or one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named {
    host: String,
    port: Option<u16>,
}

/// An entry that names no host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} must be a host, a host and a port, or a network, like gateway.internal, 10.0.0.7:18789 or 10.0.0.0/8"
)]
pub struct NotAHost(String);

/// An address that is not allowed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0} leads to no address that a user's own gateway may have: list it in openclaw.allowed_hosts, or give another base URL"
)]
pub(crate) struct NotAllowed(String);

impl AllowedHosts {
    /// Reads `gateway.internal`, `*.agents.internal`, `10.0.0.7`, each with a port or without, and `10.0.0.0/8`.
    ///
    /// # Errors
    /// [`NotAHost`] for the first entry that is none of these.
    pub fn parse(entries: &[String]) -> Result<Self, NotAHost> {
        let mut allowed = Self::default();
        for entry in entries {
            let text = entry.trim().to_ascii_lowercase();
            if let Ok(network) = text.parse::<IpNet>() {
                allowed.networks.push(network);
            } else if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
                allowed.networks.push(ip.into());
            } else {
                allowed.named.push(Named::parse(&text).ok_or_else(|| NotAHost(entry.clone()))?);
            }
        }
        Ok(allowed)
    }

    /// These, and the gateway that the operator has named for everybody.
    #[must_use]
    pub fn and(mut self, endpoint: &Endpoint) -> Self {
        if let (Some(host), port) = endpoint.place() {
            self.named.push(Named { host: host.to_string(), port });
        }
        self
    }

    /// Whether a gateway may be where its base URL says, as far as that is known before its name is resolved.
    ///
    /// # Errors
    /// [`AgentError::Configuration`] if it may not.
    pub fn check(&self, endpoint: &Endpoint) -> Result<(), AgentError> {
        let ip = match endpoint.place().0 {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            _ if endpoint.is_loopback() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => return Ok(()),
        };
        if self.includes(ip) || self.name(endpoint) {
            return Ok(());
        }
        Err(AgentError::Configuration(NotAllowed(endpoint.to_string()).to_string()))
    }

    /// Whether the operator has named this host, so that it does not matter where it leads.
    pub(crate) fn name(&self, endpoint: &Endpoint) -> bool {
        let (Some(host), port) = endpoint.place() else { return false };
        let host = host.to_string();
        self.named.iter().any(|named| {
            let is_port = named.port.is_none() || named.port == port;
            let is_host = match named.host.strip_prefix('*') {
                Some(domain) => host.ends_with(domain) && host.len() > domain.len(),
                None => host == named.host,
            };
            is_port && is_host
        })
    }

    fn includes(&self, ip: IpAddr) -> bool {
        // An IPv4 address in other clothes is the same address.
        let ip = ip.to_canonical();
        is_public(ip) || self.networks.iter().any(|network| network.contains(&ip))
    }
}

impl Named {
    fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let plain = host.strip_prefix("*.").unwrap_or(host);
        // As a URL has it, so that both can be compared.
        let parsed = Host::parse(plain).ok()?.to_string();
        let is_name = !plain.is_empty() && !plain.contains('*') && !plain.contains('/');
        is_name.then(|| Self { host: if plain == host { parsed } else { format!("*.{parsed}") }, port })
    }
}

/// Why a request was not made, if it is that its host is not allowed.
pub(crate) fn refusal_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a NotAllowed> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<NotAllowed>() {
            return Some(refused);
        }
        cause = inner.source();
    }
    None
}

/// Resolves names to their allowed addresses.
pub(crate) struct AllowedHostsResolver {
    allowed: Arc<AllowedHosts>,
    names: Arc<dyn Resolve>,
}

impl AllowedHostsResolver {
    pub(crate) fn new(allowed: Arc<AllowedHosts>, names: impl Resolve + 'static) -> Self {
        Self { allowed, names: Arc::new(names) }
    }
}

impl Resolve for AllowedHostsResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, host) = (self.allowed.clone(), name.as_str().to_owned());
        let found = self.names.resolve(name);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> =
                found.await?.filter(|address| allowed.includes(address.ip())).collect();
            if addresses.is_empty() {
                return Err(NotAllowed(host).into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// The names that this machine knows.
pub(crate) struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The port is put in by whoever connects.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(entries: &[&str]) -> AllowedHosts {
        AllowedHosts::parse(&entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn endpoint(base_url: &str) -> Endpoint {
        Endpoint::new(base_url, &"t".into()).unwrap()
    }

    #[test]
    fn a_gateway_is_in_the_world_or_where_the_operator_says() {
        let none: &[&str] = &[];
        let cases = [
            (none, "https://1.1.1.1", true),
            (none, "https://gateway.example", true),
            (none, "http://10.0.0.7:18789", false),
            (none, "http://127.0.0.1:8080/admin", false),
            (none, "http://127.1:8080", false),
            (none, "http://0x7f000001", false),
            (none, "http://localhost:8080", false),
            (none, "http://demo.localhost", false),
            (none, "http://169.254.169.254", false),
            (none, "http://[::1]:8080", false),
            (none, "http://[::ffff:10.0.0.7]", false),
            (none, "http://[fe80::1]", false),
            (none, "http://0.0.0.0:8080", false),
            (&["10.0.0.7"], "http://10.0.0.7:1", true),
            (&["10.0.0.7"], "http://[::ffff:10.0.0.7]", true),
            (&["10.0.0.7"], "http://10.0.0.8", false),
            (&["10.0.0.0/8"], "http://10.9.9.9", true),
            (&["10.0.0.0/8"], "http://192.168.0.1", false),
            (&["127.0.0.1:18789"], "http://127.0.0.1:18789", true),
            (&["127.0.0.1:18789"], "http://127.0.0.1:8080", false),
            (&["localhost:18789"], "http://LOCALHOST:18789", true),
            (&["localhost:18789"], "http://localhost:8080", false),
            (&["127.0.0.0/8"], "http://localhost:8080", true),
        ];

        for (entries, base_url, is_allowed) in cases {
            let checked = allowed(entries).check(&endpoint(base_url));
            assert_eq!(checked.is_ok(), is_allowed, "{entries:?} {base_url}");
        }
    }

    #[test]
    fn a_name_that_is_allowed_may_lead_anywhere() {
        let hosts = allowed(&["Gateway.internal:18789", "*.agents.internal"]);

        for (base_url, is_named) in [
            ("http://gateway.internal:18789", true),
            ("http://gateway.internal", false),
            ("https://alice.agents.internal", true),
            ("https://agents.internal", false),
            ("https://evil-agents.internal", false),
        ] {
            assert_eq!(hosts.name(&endpoint(base_url)), is_named, "{base_url}");
        }
        assert!(
            AllowedHosts::default().and(&endpoint("http://10.0.0.1:5")).name(&endpoint("http://10.0.0.1:5"))
        );
    }

    #[test]
    fn what_names_no_host_is_told() {
        for entry in ["", "http://gateway.internal", "10.0.0.0/99", "gateway:port", "a b", "*", "ga*teway"] {
            assert_eq!(AllowedHosts::parse(&[entry.to_owned()]), Err(NotAHost(entry.to_owned())), "{entry}");
        }
    }
}
