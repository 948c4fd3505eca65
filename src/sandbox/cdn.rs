//! Where the files that people send really are: whoever has the link gets the file.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{self, Path};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::stream;

use crate::shelf::ShelfFile;
use crate::state::SandboxState;

/// What stands behind a file's own bytes if a fault makes it larger.
static PADDING: [u8; 1 << 16] = [0; 1 << 16];

/// `GET /sandbox/cdn/{link}`: the file. The link is the permission, and as at a presigned URL of S3 a second one is an error.
pub(crate) async fn file(
    extract::State(sandbox): extract::State<Arc<SandboxState>>,
    Path(link): Path<String>,
    headers: HeaderMap,
) -> Response {
    if headers.contains_key(header::AUTHORIZATION) {
        return (StatusCode::BAD_REQUEST, "Only one auth mechanism allowed").into_response();
    }
    let Some(file) = sandbox.shelf.find(|file| file.link == link) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let faults = sandbox.faults();
    let size_bytes = faults.media_size_bytes.unwrap_or(file.bytes.len() as u64);
    let headers =
        [(header::CONTENT_TYPE, file.content_type.clone()), (header::CONTENT_LENGTH, size_bytes.to_string())];
    (headers, drip(file, size_bytes, Duration::from_millis(faults.media_drip_ms))).into_response()
}

/// So many bytes of a file and of what stands behind it: one by one with a pause before each, or as fast as they are taken.
fn drip(file: Arc<ShelfFile>, size_bytes: u64, pause: Duration) -> Body {
    let piece_bytes = if pause.is_zero() { PADDING.len() } else { 1 };
    Body::from_stream(stream::unfold(0, move |sent: u64| {
        let file = file.clone();
        async move {
            if sent >= size_bytes {
                return None;
            }
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let left = usize::try_from(size_bytes - sent).unwrap_or(usize::MAX);
            let mut piece = usize::try_from(sent)
                .ok()
                .filter(|sent| *sent < file.bytes.len())
                .map_or(Bytes::from_static(&PADDING), |sent| file.bytes.slice(sent..));
            piece.truncate(piece_bytes.min(left));
            let sent = sent + piece.len() as u64;
            Some((Ok::<_, std::convert::Infallible>(piece), sent))
        }
    }))
}
