//! A user's own gateway, by names that only these tests know. Nothing is ever sent to another machine.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use reqwest::dns::{Addrs, Name, Resolving};
use tokio::net::TcpListener;

use super::*;
use crate::memory::Memory;
use crate::turn::{Channel, TurnPart, TurnRequest};

/// What each name leads to.
struct Names(HashMap<&'static str, Vec<&'static str>>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.get(name.as_str()).cloned().unwrap_or_default();
        let addresses: Vec<SocketAddr> =
            found.into_iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 0)).collect();
        Box::pin(async move { Ok(Box::new(addresses.into_iter()) as Addrs) })
    }
}

/// Asks a gateway at this host; whoever listens on `port` of this machine answers 418, or redirects.
async fn ask(allowed: &[&str], host: &str, port: u16) -> AgentError {
    let names = Names(HashMap::from([
        ("own.test", vec!["127.0.0.1"]),
        ("metadata.test", vec!["169.254.169.254"]),
        ("inside.test", vec!["10.0.0.7", "fd00::7", "::ffff:192.168.0.1"]),
        ("rebound.test", vec!["10.0.0.7", "127.0.0.1"]),
    ]));
    let allowed: Vec<String> = allowed.iter().map(|entry| (*entry).to_owned()).collect();
    let gateways =
        Gateways::resolving(AllowedHosts::parse(&allowed).unwrap(), Duration::from_secs(5), names).unwrap();
    let endpoint = Endpoint::new(&format!("http://{host}:{port}"), &"secret".into()).unwrap();
    let turn = TurnRequest {
        conversation_id: "1".to_owned(),
        memory: Memory::Gateway,
        channel: Channel::Dashboard,
        parts: vec![TurnPart::Text("hi".to_owned())],
        asked_before: None,
        timeout: Duration::from_secs(10),
    };
    gateways.client(endpoint).complete(&turn).await.unwrap_err()
}

async fn listening(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    port
}

#[tokio::test]
async fn a_name_that_leads_inside_is_refused_when_it_is_resolved() {
    let port = listening(Router::new().fallback(async || StatusCode::IM_A_TEAPOT)).await;

    for host in ["own.test", "metadata.test", "inside.test", "rebound.test"] {
        let error = ask(&[], host, port).await;
        assert!(
            matches!(&error, AgentError::Configuration(reason) if reason.contains("openclaw.allowed_hosts")),
            "{host}: {error}"
        );
    }
    for host in ["127.0.0.1", "localhost"] {
        assert!(matches!(ask(&[], host, port).await, AgentError::Configuration(_)), "{host}");
    }
}

#[tokio::test]
async fn a_name_that_leads_to_several_places_leads_to_the_allowed_ones() {
    let port = listening(Router::new().fallback(async || StatusCode::IM_A_TEAPOT)).await;

    let error = ask(&["127.0.0.0/8"], "rebound.test", port).await;

    assert!(error.to_string().contains("418"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_followed_nowhere() {
    let elsewhere = listening(Router::new().fallback(async || StatusCode::IM_A_TEAPOT)).await;
    let location = format!("http://127.0.0.1:{elsewhere}/admin");
    let redirect = async move || (StatusCode::TEMPORARY_REDIRECT, [("location", location)]);
    let port = listening(Router::new().fallback(redirect)).await;

    let error = ask(&["127.0.0.0/8"], "own.test", port).await;

    assert!(error.to_string().contains("307"), "{error}");
}
