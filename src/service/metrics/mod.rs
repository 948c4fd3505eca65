//! `/metrics`: what this process has counted, and figures of the whole database, as OpenMetrics has it. A scrape reads memory alone.

/// Figures of the whole database, kept in memory.
pub(crate) mod database_figures;
/// How metrics are written.
mod page;
/// What of this process is watched.
mod process;
/// What became of webhooks.
pub(crate) mod webhooks;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

use self::database_figures::DatabaseFigures;
use self::page::Page;
pub(crate) use self::process::ProcessParts;

/// OpenMetrics, as Prometheus asks for it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "cloudybot";

/// Everything that is shown.
struct Metrics {
    process: ProcessParts,
    database: DatabaseFigures,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut page = Page(encoder);
        self.process.write(&mut page)?;
        self.database.write(&mut page)
    }
}

/// The route of a process's metrics. They hold no personal data, and are served where the internet does not come.
pub(crate) fn routes(process: ProcessParts, database: DatabaseFigures) -> Router {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Metrics { process, database }));
    Router::new().route("/metrics", get(show)).with_state(Arc::new(registry))
}

async fn show(State(registry): State<Arc<Registry>>) -> Response {
    let mut page = String::new();
    match text::encode(&mut page, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response(),
        Err(error) => {
            tracing::error!(error = %error, "Could not write the metrics: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
