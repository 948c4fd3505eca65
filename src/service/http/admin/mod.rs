//! `/admin/api`: what administrators see and do, as JSON.

mod alerts;
mod bulk;
mod cells;
mod chunks;
mod deliveries;
mod jobs;
mod messages;
mod resends;
mod run_now;
mod schedules;
mod stats;
mod status;
mod takeovers;
mod turn_retries;
mod turns;
mod unusable_entries;
mod users;

use std::path::Path;
use std::sync::Arc;

use ::channel::app::Settings;
use agent::Agent;
use queue::Queue;
use queue::connections::Connections;
use twilio::client::TwilioClient;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::bearer::BearerTokens;
use super::openapi;
use super::product::KnowsUsers;

/// What these routes need. Their connections are their own: a long list costs no lease.
#[derive(Clone)]
pub(crate) struct Admin {
    pub(crate) pg: Connections,
    pub(crate) queue: Queue,
    pub(crate) settings: Arc<Settings>,
    /// Who is asked before turns are tried again.
    pub(crate) agent: Agent,
    /// Whose list is asked about sends in doubt.
    pub(crate) twilio: TwilioClient,
    /// The folder of the schedules' files.
    pub(crate) schedules: Arc<Path>,
}

impl KnowsUsers for Admin {
    fn pg(&self) -> &Connections {
        &self.pg
    }
}

/// The routes, behind the administrator's token.
pub(crate) fn routes(admin: Admin, token: BearerTokens) -> serde_json::Result<OpenApiRouter> {
    let jobs = OpenApiRouter::new()
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::stats))
        .routes(routes!(jobs::groups))
        .routes(routes!(bulk::retry_fitting))
        .routes(routes!(bulk::cancel_fitting))
        .routes(routes!(jobs::pause))
        .routes(routes!(jobs::resume))
        .routes(routes!(jobs::probe))
        .routes(routes!(jobs::show))
        .routes(routes!(jobs::retry))
        .routes(routes!(run_now::run_now))
        .routes(routes!(jobs::cancel));
    let schedules = OpenApiRouter::new()
        .routes(routes!(schedules::list))
        .routes(routes!(schedules::preview))
        .routes(routes!(schedules::fire))
        .routes(routes!(schedules::test))
        .routes(routes!(schedules::enable))
        .routes(routes!(schedules::disable));
    let routes = OpenApiRouter::new()
        .nest("/jobs", jobs)
        .nest("/schedules", schedules)
        .routes(routes!(status::status))
        .routes(routes!(users::list))
        .routes(routes!(users::show))
        .routes(routes!(cells::move_user, cells::take_back))
        .routes(routes!(takeovers::list))
        .routes(routes!(takeovers::begin, takeovers::end))
        .routes(routes!(takeovers::answer))
        .routes(routes!(status::workers))
        .routes(routes!(status::pauses))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::show))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(deliveries::list))
        .routes(routes!(resends::resend_fitting))
        .routes(routes!(deliveries::show))
        .routes(routes!(deliveries::resend))
        .routes(routes!(turns::list))
        .routes(routes!(stats::messages))
        .routes(routes!(stats::storage))
        .routes(routes!(turn_retries::retry))
        .routes(routes!(turns::show))
        .routes(routes!(turns::retry))
        .routes(routes!(messages::list))
        .routes(routes!(messages::tell))
        .routes(routes!(messages::replay))
        .routes(routes!(unusable_entries::list))
        .routes(routes!(chunks::list))
        .routes(routes!(chunks::in_doubt))
        .routes(routes!(chunks::give_verdict))
        .with_state(admin);
    openapi::ADMIN.routes(routes, token)
}
