//! What requests bring, held to the description of their operation ahead of the handler: parameters that are not described are refused, and so are values
//! beyond their bounds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use axum::extract::{FromRequestParts as _, MatchedPath, RawPathParams, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use url::form_urlencoded;
use utoipa::openapi::OpenApi;

use super::bounds::{self, Bounds};
use crate::http::problem::Problem;

/// The operations of a part of the interface, by method and path; clones are the same ones.
#[derive(Clone)]
pub(crate) struct Operations(Arc<HashMap<(Method, String), Arc<Operation>>>);

/// What an operation takes.
#[derive(Debug, Default)]
pub(crate) struct Operation {
    path: BTreeMap<String, Bounds>,
    query: BTreeMap<String, Bounds>,
    headers: BTreeMap<String, Bounds>,
    body: Bounds,
}

impl Operations {
    /// The operations that are described, at paths behind `prefix`.
    pub(super) fn of(prefix: &str, api: &OpenApi) -> serde_json::Result<Self> {
        let api = serde_json::to_value(api)?;
        let mut operations = HashMap::new();
        for (path, item) in api["paths"].as_object().into_iter().flatten() {
            let path = format!("{prefix}{path}");
            for (method, operation) in item.as_object().into_iter().flatten() {
                let Ok(method) = Method::from_bytes(method.to_uppercase().as_bytes()) else { continue };
                let operation = Arc::new(Operation::of(operation, &api["components"]));
                operations.insert((method, path.clone()), operation);
            }
        }
        Ok(Self(Arc::new(operations)))
    }

    fn find(&self, request: &Request) -> Option<Arc<Operation>> {
        let path = request.extensions().get::<MatchedPath>()?.as_str();
        let method = if request.method() == Method::HEAD { Method::GET } else { request.method().clone() };
        self.0.get(&(method, path.to_owned())).cloned()
    }
}

impl Operation {
    fn of(described: &Value, components: &Value) -> Self {
        let mut operation = Self {
            body: Bounds::of(&described["requestBody"]["content"]["application/json"]["schema"], components),
            ..Self::default()
        };
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let Some(name) = parameter["name"].as_str() else { continue };
            let parameters = match parameter["in"].as_str() {
                Some("path") => &mut operation.path,
                Some("query") => &mut operation.query,
                Some("header") => &mut operation.headers,
                _ => continue,
            };
            parameters.insert(name.to_owned(), Bounds::of(&parameter["schema"], components));
        }
        operation
    }

    /// What is wrong with a body.
    pub(crate) fn check_body(&self, body: &Value) -> Result<(), Problem> {
        self.body.refuse("", body).map_or(Ok(()), |wrong| Err(Problem::invalid(wrong)))
    }

    async fn check_parameters(&self, parts: &mut Parts) -> Result<(), Problem> {
        let path = RawPathParams::from_request_parts(parts, &())
            .await
            .map_err(|rejection| Problem::unreadable(rejection.status(), rejection.body_text()))?;
        for (name, value) in &path {
            check(self.path.get(name), name, value)?;
        }
        for (name, value) in form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes()) {
            let bounds = self.query.get(&*name).ok_or_else(|| self.unknown(&name))?;
            check(Some(bounds), &name, &value)?;
        }
        for (name, bounds) in &self.headers {
            let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
            value.map_or(Ok(()), |value| check(Some(bounds), name, value))?;
        }
        Ok(())
    }

    fn unknown(&self, name: &str) -> Problem {
        let name: String = name.chars().take(50).collect();
        let known: Vec<&str> = self.query.keys().map(String::as_str).collect();
        let remedy = match known.as_slice() {
            [] => "there are none here".to_owned(),
            known => format!("there are {}", known.join(", ")),
        };
        Problem::bad_request(format!("unknown parameter `{name}`; {remedy}"))
    }
}

fn check(bounds: Option<&Bounds>, name: &str, value: &str) -> Result<(), Problem> {
    if value.contains('\0') {
        return Err(Problem::bad_request(bounds::holds_nul(name)));
    }
    let wrong = bounds.and_then(|bounds| bounds.refuse_text(name, value));
    wrong.map_or(Ok(()), |wrong| Err(Problem::invalid(wrong)))
}

/// Lets a request pass that brings what its operation takes; the operation goes with it, for the one who reads the body.
pub(super) async fn check_request(
    State(operations): State<Operations>,
    request: Request,
    next: Next,
) -> Response {
    let Some(operation) = operations.find(&request) else { return next.run(request).await };
    let (mut parts, body) = request.into_parts();
    if let Err(problem) = operation.check_parameters(&mut parts).await {
        return problem.into_response();
    }
    parts.extensions.insert(operation);
    next.run(Request::from_parts(parts, body)).await
}
