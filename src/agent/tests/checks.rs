//! Whether an agent would take a turn.

use std::time::Duration;

use agent::allowed_hosts::AllowedHosts;
use agent::client::Gateways;
use agent::error::{AgentError, Trouble};
use agent::target::Target;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde_json::json;

use crate::gateway::{Gateway, refusal};

/// A gateway that has come up or not, names these models, and answers a completion of nothing like this.
async fn checked(ready: u16, models: Models, nothing: u16) -> Result<(), AgentError> {
    let gateway = Gateway::for_path(move |path| match path {
        "/readyz" => StatusCode::from_u16(ready).unwrap().into_response(),
        "/v1/models" => match models {
            Models::Refused(status) => refusal(status, "Unauthorized"),
            Models::Of(model) => axum::Json(json!({ "data": [{ "id": model }] })).into_response(),
        },
        _ => refusal(nothing, "Missing user message in `messages`."),
    })
    .await;
    let target = Target { model: Some("small".to_owned()), ..Target::default() };
    let gateways = Gateways::new(AllowedHosts::default(), Duration::from_secs(5)).unwrap();
    gateway.agent().asking(&target, &gateways).check().await
}

/// What a server says of its models.
#[derive(Clone, Copy)]
enum Models {
    Refused(u16),
    Of(&'static str),
}

#[tokio::test]
async fn a_check_finds_what_would_refuse_a_turn() {
    use Models::{Of, Refused};
    let cases = [
        ((200, Of("small"), 400), None),
        ((404, Refused(404), 422), None),
        ((404, Of("small:latest"), 500), None),
        ((503, Of("small"), 400), Some(Trouble::Unreachable)),
        ((200, Refused(401), 400), Some(Trouble::Token)),
        ((200, Of("large"), 400), Some(Trouble::Name)),
        ((200, Refused(404), 404), Some(Trouble::Endpoint)),
        ((200, Refused(404), 401), Some(Trouble::Token)),
    ];
    for (number, ((ready, models, nothing), expected)) in cases.into_iter().enumerate() {
        let found = match checked(ready, models, nothing).await {
            Ok(()) => None,
            Err(AgentError::Unavailable { trouble, .. } | AgentError::Refused { trouble, .. }) => {
                Some(trouble)
            }
            Err(error) => panic!("case {number}: {error}"),
        };
        assert_eq!(found, expected, "case {number}");
    }
}
