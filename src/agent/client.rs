//! The client of an OpenClaw gateway, which is a client of any server that speaks OpenAI's chat completions.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::Resolve;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Response};
use serde::Serialize;
use url::Url;

use crate::allowed_hosts::{self, AllowedHosts, AllowedHostsResolver, SystemResolver};
use crate::browser::{self, BrowserStop};
use crate::chat;
use crate::error::{AgentError, Trouble};
use crate::moderation::{self, Judgement};
use crate::target::{Endpoint, Target};

/// How long a stream may be silent, unless the operator says otherwise. A gateway's own watchdog gives a silent model up to 300 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A run may be silent for minutes, and routers forget connections that are.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Asks one gateway. Clones share their connections.
#[derive(Clone, Debug)]
pub struct GatewayClient {
    http: Http,
    /// What its address must keep to; `None`: the operator has named it, wherever it may be.
    guard: Option<Guard>,
    endpoint: Arc<Endpoint>,
    target: Arc<Target>,
    idle_timeout: Duration,
}

/// What the clients of users' own gateways are made from: their connections are shared, and making another client costs nothing.
#[derive(Clone, Debug)]
pub struct Gateways {
    http: Http,
    guard: Guard,
    idle_timeout: Duration,
}

/// Keeps users' own gateways to the addresses that are allowed.
#[derive(Clone, Debug)]
struct Guard {
    allowed: Arc<AllowedHosts>,
    /// Its resolver knows allowed addresses alone, and no proxy looks names up in its place.
    http: reqwest::Client,
}

/// Two clients, because a proxy from the environment is right for the world and wrong for this machine.
#[derive(Clone, Debug)]
struct Http {
    world: reqwest::Client,
    this_machine: reqwest::Client,
}

impl Http {
    fn new() -> Result<Self, AgentError> {
        Ok(Self { world: built(builder())?, this_machine: built(builder().no_proxy())? })
    }

    fn for_operators(&self, endpoint: &Endpoint) -> &reqwest::Client {
        if endpoint.is_loopback() { &self.this_machine } else { &self.world }
    }
}

fn builder() -> ClientBuilder {
    // A redirected POST would lose its body, and take the token to somewhere else.
    reqwest::Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEPALIVE)
        .user_agent("cloudybot")
}

fn built(builder: ClientBuilder) -> Result<reqwest::Client, AgentError> {
    builder.build().map_err(|error| {
        AgentError::Configuration(format!("cannot make an HTTP client: {}", describe(error)))
    })
}

impl Gateways {
    /// Users' gateways may be where the world is, and where `allowed` says. A stream that is silent for `idle_timeout` is given up; a line
    /// that says nothing, as gateways send to keep a connection open, is a sign of life.
    ///
    /// # Errors
    /// [`AgentError::Configuration`] if TLS cannot be set up on this machine.
    pub fn new(allowed: AllowedHosts, idle_timeout: Duration) -> Result<Self, AgentError> {
        Self::resolving(allowed, idle_timeout, SystemResolver)
    }

    fn resolving(
        allowed: AllowedHosts,
        idle_timeout: Duration,
        names: impl Resolve + 'static,
    ) -> Result<Self, AgentError> {
        let allowed = Arc::new(allowed);
        let resolver = AllowedHostsResolver::new(allowed.clone(), names);
        let http = built(builder().no_proxy().dns_resolver(resolver))?;
        Ok(Self { http: Http::new()?, guard: Guard { allowed, http }, idle_timeout })
    }

    /// A client for the default agent of a user's own gateway.
    #[must_use]
    pub fn client(&self, endpoint: Endpoint) -> GatewayClient {
        GatewayClient {
            http: self.http.clone(),
            guard: Some(self.guard.clone()),
            endpoint: Arc::new(endpoint),
            target: Arc::default(),
            idle_timeout: self.idle_timeout,
        }
    }
}

impl GatewayClient {
    /// A client for the default agent of a gateway that the operator has named, with connections of its own.
    ///
    /// # Errors
    /// As [`Gateways::new`].
    pub fn new(endpoint: Endpoint, idle_timeout: Duration) -> Result<Self, AgentError> {
        let (endpoint, target) = (Arc::new(endpoint), Arc::default());
        Ok(Self { http: Http::new()?, guard: None, endpoint, target, idle_timeout })
    }

    /// Whom it asks for.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Where it asks.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same client for another agent or model of its gateway: what `target` leaves open stays as it is.
    #[must_use]
    pub fn asking(&self, target: &Target) -> Self {
        let chosen = |choice: &Option<String>, default: &Option<String>| {
            choice.clone().filter(|name| !name.trim().is_empty()).or_else(|| default.clone())
        };
        let agent_id = chosen(&target.agent_id, &self.target.agent_id);
        let model = chosen(&target.model, &self.target.model);
        Self { target: Arc::new(Target { endpoint: None, agent_id, model }), ..self.clone() }
    }

    /// `openclaw`, and which agent or model it asks for.
    pub(crate) fn name(&self) -> String {
        let choices = [self.target.agent_id.as_deref(), self.target.model.as_deref()];
        ["openclaw"].into_iter().chain(choices.into_iter().flatten()).collect::<Vec<_>>().join("/")
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    /// Has a text judged.
    pub(crate) async fn moderate(&self, text: &str) -> Result<Judgement, AgentError> {
        let body = moderation::body(text, self.target.model.as_deref());
        let response = self.post(self.endpoint.moderations(), HeaderMap::new(), &body).await?;
        moderation::read(response, &self.endpoint).await
    }

    /// Ends a browser session.
    pub(crate) async fn stop_browser(
        &self,
        conversation_id: &str,
        idempotency_key: &str,
    ) -> Result<BrowserStop, AgentError> {
        let tools = self.endpoint.tools().ok_or_else(|| {
            AgentError::Configuration(format!("{} is no OpenClaw gateway and has no browser", self.endpoint))
        })?;
        let session_key = chat::session_key(conversation_id, &self.target);
        let status = self.post(tools, HeaderMap::new(), &browser::status_body(&session_key)).await?;
        if !browser::is_running(status, &self.endpoint).await? {
            return Ok(BrowserStop::NotRunning);
        }
        let stop = browser::stop_body(&session_key, idempotency_key);
        let stopped = self.post(tools, HeaderMap::new(), &stop).await?;
        browser::is_stopped(stopped, &self.endpoint).await
    }

    /// Fetches something, whatever the status.
    pub(crate) async fn get(&self, url: &Url) -> Result<Response, AgentError> {
        let mut request = self.http()?.get(url.clone());
        if let Some(authorization) = self.endpoint.authorization() {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        request.send().await.map_err(|error| self.unreached(error))
    }

    pub(crate) async fn post(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        body: &impl Serialize,
    ) -> Result<Response, AgentError> {
        if let Some(authorization) = self.endpoint.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
        let response = self.http()?.post(url.clone()).headers(headers).json(body).send().await;
        response.map_err(|error| self.unreached(error))
    }

    fn unreached(&self, error: reqwest::Error) -> AgentError {
        match allowed_hosts::refusal_in(&error) {
            Some(refused) => AgentError::Configuration(refused.to_string()),
            // Nobody has been asked; otherwise a run may have begun.
            None if error.is_connect() => AgentError::Unavailable {
                trouble: Trouble::Unreachable,
                retry_after: None,
                reason: format!("cannot reach {}: {}", self.endpoint, describe(error)),
            },
            None => AgentError::Broken(format!("cannot reach {}: {}", self.endpoint, describe(error))),
        }
    }

    /// What connects to the gateway, if that is allowed. Of a name it is known when it is resolved.
    fn http(&self) -> Result<&reqwest::Client, AgentError> {
        match &self.guard {
            Some(guard) if !guard.allowed.name(&self.endpoint) => {
                guard.allowed.check(&self.endpoint)?;
                Ok(&guard.http)
            }
            _ => Ok(self.http.for_operators(&self.endpoint)),
        }
    }
}

/// An error of the HTTP client with its causes. Its address is left out, since it may hold a secret.
pub(crate) fn describe(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(&format!(": {inner}"));
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests;
