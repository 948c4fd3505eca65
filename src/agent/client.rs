//! The client of an OpenClaw gateway, which is a client of any server that speaks OpenAI's chat completions.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use serde::Serialize;
use url::Url;

use crate::browser::{self, BrowserStop};
use crate::error::AgentError;
use crate::moderation::{self, Verdict};
use crate::target::{Endpoint, Target};
use crate::turn::{Reply, TurnRequest};
use crate::{chat, completion, refusal};

/// How long a stream may be silent, unless the operator says otherwise. A gateway's own watchdog gives a silent model up to 300 s.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(300);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A run may be silent for minutes, and routers forget connections that are.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Asks one gateway. Clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: Http,
    endpoint: Arc<Endpoint>,
    target: Arc<Target>,
    idle_timeout: Duration,
}

/// What every gateway's client is made from: their connections are shared, and making another client costs nothing.
#[derive(Clone, Debug)]
pub struct Gateways {
    http: Http,
    idle_timeout: Duration,
}

/// Two clients, because a proxy from the environment is right for the world and wrong for this machine.
#[derive(Clone, Debug)]
struct Http {
    world: reqwest::Client,
    this_machine: reqwest::Client,
}

impl Gateways {
    /// A stream that is silent for `idle_timeout` is given up; a line that says nothing, as gateways send to keep a connection open, is a sign
    /// of life.
    ///
    /// # Errors
    /// [`AgentError::Configuration`] if TLS cannot be set up on this machine.
    pub fn new(idle_timeout: Duration) -> Result<Self, AgentError> {
        let builder = || {
            // A redirected POST would lose its body, and take the token to somewhere else.
            reqwest::Client::builder()
                .redirect(Policy::none())
                .connect_timeout(CONNECT_TIMEOUT)
                .tcp_keepalive(KEEPALIVE)
                .user_agent("cloudybot")
        };
        let failed =
            |error| AgentError::Configuration(format!("cannot make an HTTP client: {}", describe(error)));
        let http = Http {
            world: builder().build().map_err(failed)?,
            this_machine: builder().no_proxy().build().map_err(failed)?,
        };
        Ok(Self { http, idle_timeout })
    }

    /// A client for the default agent of a gateway.
    #[must_use]
    pub fn client(&self, endpoint: Endpoint) -> Client {
        let (http, idle_timeout) = (self.http.clone(), self.idle_timeout);
        Client { http, endpoint: Arc::new(endpoint), target: Arc::default(), idle_timeout }
    }
}

impl Client {
    /// A client for the default agent of a gateway, with connections of its own.
    ///
    /// # Errors
    /// As [`Gateways::new`].
    pub fn new(endpoint: Endpoint, idle_timeout: Duration) -> Result<Self, AgentError> {
        Ok(Gateways::new(idle_timeout)?.client(endpoint))
    }

    /// The same client for another target: what it leaves open stays as it is.
    #[must_use]
    pub fn asking(&self, target: &Target) -> Self {
        let chosen = |choice: &Option<String>, default: &Option<String>| {
            choice.clone().filter(|name| !name.trim().is_empty()).or_else(|| default.clone())
        };
        // Another gateway knows nothing of this one's agents and models.
        let here = if target.endpoint.is_some() { &Target::default() } else { &*self.target };
        let agent_id = chosen(&target.agent_id, &here.agent_id);
        let model = chosen(&target.model, &here.model);
        Self {
            http: self.http.clone(),
            endpoint: target.endpoint.clone().map_or_else(|| self.endpoint.clone(), Arc::new),
            target: Arc::new(Target { endpoint: None, agent_id, model }),
            idle_timeout: self.idle_timeout,
        }
    }

    /// `openclaw`, and which agent or model it asks for.
    pub(crate) fn name(&self) -> String {
        let choices = [self.target.agent_id.as_deref(), self.target.model.as_deref()];
        ["openclaw"].into_iter().chain(choices.into_iter().flatten()).collect::<Vec<_>>().join("/")
    }

    /// Runs a turn.
    pub(crate) async fn complete(&self, turn: &TurnRequest) -> Result<Reply, AgentError> {
        let headers = chat::headers(turn, &self.target)?;
        let response = self.post(self.endpoint.chat(), headers, &chat::body(turn, &self.target)).await?;
        if !response.status().is_success() {
            return Err(refusal::of(response, &self.endpoint, &refusal::OF_A_TURN).await);
        }
        tracing::debug!(gateway = %self.endpoint, conversation = turn.conversation_id, "The agent is at work");
        let text = match content_type(&response).as_str() {
            "text/event-stream" => completion::streamed(response, &self.endpoint, self.idle_timeout).await?,
            _ => completion::whole(response, &self.endpoint).await?,
        };
        completion::judge(text)
    }

    /// Has a text judged.
    pub(crate) async fn moderate(&self, text: &str) -> Result<Verdict, AgentError> {
        let body = moderation::body(text, self.target.model.as_deref());
        let response = self.post(self.endpoint.moderations(), HeaderMap::new(), &body).await?;
        moderation::read(response, &self.endpoint).await
    }

    /// Ends a browser session.
    pub(crate) async fn stop_browser(
        &self,
        session_key: &str,
        idempotency_key: &str,
    ) -> Result<BrowserStop, AgentError> {
        let tools = self.endpoint.tools().ok_or_else(|| {
            AgentError::Configuration(format!("{} is no OpenClaw gateway and has no browser", self.endpoint))
        })?;
        let response =
            self.post(tools, HeaderMap::new(), &browser::body(session_key, idempotency_key)).await?;
        browser::read(response, &self.endpoint).await
    }

    async fn post(
        &self,
        url: &Url,
        mut headers: HeaderMap,
        body: &impl Serialize,
    ) -> Result<Response, AgentError> {
        if let Some(authorization) = self.endpoint.authorization() {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream, application/json"));
        let http = if self.endpoint.is_loopback() { &self.http.this_machine } else { &self.http.world };
        let response = http.post(url.clone()).headers(headers).json(body).send().await;
        response.map_err(|error| {
            AgentError::Transient(format!("cannot reach {}: {}", self.endpoint, describe(error)))
        })
    }
}

/// The media type of an answer, in small letters.
pub(crate) fn content_type(response: &Response) -> String {
    let header =
        response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
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
