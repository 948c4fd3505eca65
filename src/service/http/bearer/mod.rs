//! Bearer tokens: who may use a part of the interface.

/// What wrong tokens cost.
mod refusals;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use self::refusals::Refusals;
use super::problem::Problem;

/// The one token of a part of the interface; only its hash is kept, so that nothing can show it.
#[derive(Clone)]
pub(crate) struct BearerToken(Arc<BearerParts>);

struct BearerParts {
    hash: [u8; 32],
    refusals: Refusals,
}

impl BearerToken {
    /// The token of the part of the interface that has this name.
    pub(crate) fn new(part: &'static str, token: &SecretString) -> Self {
        let hash = Sha256::digest(token.expose_secret().as_bytes()).into();
        Self(Arc::new(BearerParts { hash, refusals: Refusals::new(part) }))
    }

    /// Hashes have one length, so the time that this takes tells neither the token's length nor how much of it was right.
    fn is(&self, given: &str) -> bool {
        let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        bool::from(self.0.hash.ct_eq(&given))
    }
}

/// Lets a request with this token pass. Nothing of it is read before.
pub(crate) async fn require(State(token): State<BearerToken>, request: Request, next: Next) -> Response {
    let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some((scheme, given)) = given.and_then(|value| value.split_once(' ')) else {
        return Problem::unauthorized("send the header `Authorization: Bearer TOKEN`").into_response();
    };
    if !scheme.eq_ignore_ascii_case("bearer") || !token.is(given.trim()) {
        token.0.refusals.refuse().await;
        return Problem::unauthorized("the bearer token is not the one of this part of the interface")
            .into_response();
    }
    next.run(request).await
}
