//! `/admin/audit`: who did what, and what came of it.

use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Extension, Router};
use queue::audit;

use super::Console;
use super::failure::Failed;
use super::filters::{self, Wanted};
use super::flash::Flash;
use super::parts::{Cell, Section, Sections, Table};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;

const PAGE: i64 = 100;

pub(super) fn routes() -> Router<Console> {
    Router::new().route("/admin/audit", get(page))
}

async fn page(
    State(admin): State<Admin>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
    Query(wanted): Query<Wanted>,
) -> Result<Sections, Failed> {
    let before = filters::parsed("before", wanted.before.as_deref())?;
    let rows = audit::newest(&mut *admin.pg.acquire().await?, before, PAGE).await?;
    let next = rows.last().filter(|_| i64::try_from(rows.len()).is_ok_and(|rows| rows == PAGE));
    let next = next.map(|last| wanted.address("/admin/audit", Some(&last.id.to_string())));
    let rows = rows.iter().map(|row| {
        [
            Cell::moment(row.at),
            Cell::text(&row.actor),
            Cell::text(&row.action),
            Cell::text(&row.target),
            Cell::text(&row.outcome),
            Cell::maybe(row.before.clone()),
            Cell::maybe(row.after.clone()),
        ]
    });
    let table = Table::new(
        ["When", "Who", "Did", "To what", "What came of it", "Before", "After"],
        rows,
        "Nobody has done anything yet.",
    );
    Ok(Sections::new(&who, "/admin/audit", flash, "Audit", vec![Section::new("").table(table)]).next(next))
}
