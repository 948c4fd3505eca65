//! `/admin`: the pages on which administrators see and mend everything. They ask and do what `/admin/api` and the command line do, by the same functions.
//!
//! A page is made of parts (`parts`): facts, tables, texts and actions, which two templates lay out. A module for each subject says what is on its pages.

mod alerts;
mod audit;
mod dead_jobs;
mod deliveries;
mod failure;
mod filters;
mod flash;
mod groups;
mod in_doubt;
mod job_list;
mod job_page;
/// A job's states as a drawing.
mod job_states;
/// The drawings of the last day.
mod last_day;
mod layout;
mod live;
mod messages;
mod now;
/// Opt-outs on request.
mod opt_outs;
mod parts;
mod pauses;
mod people;
mod schedules;
mod session;
mod sparkline;
mod tones;
mod turns;
/// Who answers a person.
mod who_answers;

use axum::Router;
use axum::extract::FromRef;
use axum::middleware;
use axum::routing::{get, post};
use tower_http::csrf::CsrfLayer;

use self::last_day::LastDay;
use self::live::Watch;
use self::session::Sessions;
use crate::http::admin::Admin;
use crate::http::bearer::BearerTokens;

/// What the pages need.
#[derive(Clone)]
struct Console {
    admin: Admin,
    sessions: Sessions,
    watch: Watch,
    last_day: LastDay,
}

impl FromRef<Console> for Admin {
    fn from_ref(console: &Console) -> Self {
        console.admin.clone()
    }
}

impl FromRef<Console> for LastDay {
    fn from_ref(console: &Console) -> Self {
        console.last_day.clone()
    }
}

/// The pages, for whoever logs in with one of the tokens; their looks and script are served beside them. Forms are taken from pages of ours alone: of this address, or of `origins`.
pub(crate) fn routes(admin: Admin, tokens: BearerTokens, origins: &[String]) -> anyhow::Result<Router> {
    let watch = Watch::of(admin.pg.clone());
    let console = Console { admin, sessions: Sessions::of(tokens), watch, last_day: LastDay::default() };
    let mut same_site = CsrfLayer::new();
    for origin in origins {
        same_site = same_site.add_trusted_origin(origin)?;
    }
    let pages = Router::new()
        .route("/admin", get(now::page))
        .route("/admin/events", get(live::events))
        .route("/admin/logout", post(session::log_out))
        .merge(job_list::routes())
        .merge(job_page::routes())
        .merge(dead_jobs::routes())
        .merge(groups::routes())
        .merge(pauses::routes())
        .merge(messages::routes())
        .merge(turns::routes())
        .merge(deliveries::routes())
        .merge(in_doubt::routes())
        .merge(schedules::routes())
        .merge(people::routes())
        .merge(opt_outs::routes())
        .merge(who_answers::routes())
        .merge(alerts::routes())
        .merge(audit::routes())
        .layer(middleware::from_fn_with_state(console.clone(), session::require));
    Ok(pages
        .route("/admin/login", get(session::form).post(session::log_in))
        .layer(same_site)
        .with_state(console))
}
