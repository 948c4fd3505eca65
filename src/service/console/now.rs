//! The first page: what needs a person, then who works and what waits.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use channel::administration::findings::{Finding, Subject, Urgency};
use channel::administration::processes::{self, PoolView, ProcessView};
use pages::Page;
use queue::finished_jobs;
use sqlx::PgConnection;
use store::message_records;
use store::turns::TurnState;

use super::failure::Failed;
use super::filters;
use super::flash::{Flash, Told};
use super::last_day::LastDay;
use super::layout::Layout;
use super::parts::{Action, Cell, Field, Section, Table, Tone};
use super::sparkline::{Flow, Sparkline};
use crate::config::administrators::Administrator;
use crate::http::admin::Admin;
use crate::status;

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage {
    layout: Layout,
    headline: String,
    troubles: Vec<Trouble>,
    /// What all is well with, and when that was seen, where nobody looked now.
    well: Vec<(&'static str, Option<Cell>)>,
    flow: Vec<Flow>,
    sections: Vec<Section>,
}

/// A finding that is not well, with where to look and what to press.
struct Trouble {
    tone: Tone,
    urgency: &'static str,
    subject: &'static str,
    text: String,
    since: Option<Cell>,
    seen: Option<Cell>,
    remedy: Option<String>,
    links: Vec<(&'static str, String)>,
    actions: Vec<Action>,
}

/// The page.
pub(super) async fn page(
    State(admin): State<Admin>,
    State(last_day): State<LastDay>,
    Extension(who): Extension<Administrator>,
    flash: Option<Flash>,
) -> Result<Response, Failed> {
    let settings = status::Settings {
        folder: &admin.schedules,
        plans: &admin.settings.plans,
        alerts: &admin.settings.alerts,
    };
    let status = status::read(&admin.pg, &settings).await;
    // A database that is away is told by the status.
    let (processes, flow) = match admin.pg.acquire().await {
        Ok(mut conn) => {
            let flow = flow(&mut conn, &last_day).await.unwrap_or_default();
            (processes::all(&mut conn).await.unwrap_or_default(), flow)
        }
        Err(_) => (Vec::new(), Vec::new()),
    };
    let (well, troubles): (Vec<_>, Vec<_>) =
        status.findings.into_iter().partition(|finding| finding.urgency == Urgency::Fine);
    let page = NowPage {
        layout: Layout::of(&who, "/admin", flash),
        headline: headline(&troubles),
        well: well
            .iter()
            .filter(|fine| troubles.iter().all(|trouble| trouble.subject != fine.subject))
            .map(|finding| (finding.subject.as_str(), finding.seen_at.map(Cell::moment)))
            .collect(),
        troubles: troubles.into_iter().map(trouble).collect(),
        flow,
        sections: vec![pools(&status.pools), workers(&processes)],
    };
    Ok((Told, Page(page)).into_response())
}

async fn flow(conn: &mut PgConnection, last_day: &LastDay) -> sqlx::Result<Vec<Flow>> {
    let messages = Sparkline::per_minute(&message_records::by_minute(conn).await?);
    let jobs = Sparkline::per_minute(&finished_jobs::by_minute(conn).await?);
    let day = last_day.lines(conn).await?;
    Ok(vec![
        Flow { title: "Messages", lines: [messages, day.messages] },
        Flow { title: "Jobs done", lines: [jobs, day.jobs] },
    ])
}

fn headline(troubles: &[Finding]) -> String {
    let of = |urgency| troubles.iter().filter(|finding| finding.urgency == urgency).count();
    match (of(Urgency::Now), of(Urgency::Soon)) {
        (0, 0) => "Nothing needs a person".to_owned(),
        (now, 0) => format!("{now} to be mended now"),
        (0, soon) => format!("{soon} to be mended soon"),
        (now, soon) => format!("{now} to be mended now, {soon} soon"),
    }
}

fn trouble(finding: Finding) -> Trouble {
    let tone = match finding.urgency {
        Urgency::Now => Tone::Bad,
        Urgency::Soon => Tone::Warn,
        _ => Tone::Plain,
    };
    let since = finding.since.map(|since| since.to_rfc3339());
    let (links, actions) = match finding.subject {
        Subject::DeadJobs => (vec![("Dead jobs by cause", "/admin/groups".to_owned())], Vec::new()),
        Subject::InDoubt => (vec![("Judge them", "/admin/in-doubt".to_owned())], Vec::new()),
        Subject::Undelivered => {
            (vec![("What did not arrive", "/admin/deliveries?state=undelivered".to_owned())], Vec::new())
        }
        Subject::Alerts => (vec![("Alerts", "/admin/alerts".to_owned())], Vec::new()),
        Subject::Schedules => (vec![("Schedules", "/admin/schedules".to_owned())], Vec::new()),
        Subject::Pauses => (vec![("Pauses", "/admin/pauses".to_owned())], Vec::new()),
        Subject::Backlog => (vec![("What waits", "/admin/jobs?state=waiting".to_owned())], Vec::new()),
        Subject::Sender => {
            let probe = Action::new("Try sending now", "/admin/pauses/probe");
            (vec![("Pauses", "/admin/pauses".to_owned())], vec![probe])
        }
        Subject::Agent => {
            let failed = filters::address(
                "/admin/turns",
                &[("state", Some(TurnState::Failed.as_str())), ("since", since.as_deref())],
            );
            let retry = since.map(|since| {
                Action::new("Answer what failed", "/admin/turns/retry")
                    .with(Field::hidden("since", since))
                    .confirmed("Everybody whose question came to nothing since then gets an answer, if the agent is well again.")
            });
            (vec![("What was not answered", failed)], retry.into_iter().collect())
        }
        _ => (Vec::new(), Vec::new()),
    };
    Trouble {
        tone,
        urgency: finding.urgency.as_str(),
        subject: finding.subject.as_str(),
        text: finding.text,
        since: finding.since.map(Cell::moment),
        seen: finding.seen_at.map(Cell::moment),
        remedy: finding.remedy,
        links,
        actions,
    }
}

fn pools(pools: &[PoolView]) -> Section {
    let rows = pools.iter().map(|pool| {
        let waits = pool.waiting_since.map(|since| (pool.now - since).num_seconds().max(0));
        let tone = if pool.processes == 0 { Tone::Bad } else { Tone::Plain };
        [
            Cell::link(&pool.pool, filters::address("/admin/jobs", &[("pool", Some(&pool.pool))])),
            Cell::text(pool.waiting.to_string()),
            Cell::maybe(waits.map(|seconds| format!("{seconds} s"))),
            Cell::text(format!("{} of {}", pool.running, pool.concurrency)),
            Cell { tone, ..Cell::text(pool.processes.to_string()) },
        ]
    });
    let head = ["Pool", "Wait", "The longest", "Run", "Processes"];
    Section::new("Pools").table(Table::new(head, rows, "No pool has anything to do."))
}

fn workers(processes: &[ProcessView]) -> Section {
    let rows = processes.iter().map(|process| {
        let state =
            if process.alive { Cell::tag("works", Tone::Good) } else { Cell::tag("is gone", Tone::Bad) };
        let roles = process.roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let number = process.process_id.map(|id| format!(", process {id}")).unwrap_or_default();
        [
            Cell::text(format!("{}{number}", process.host)),
            state,
            Cell::text(roles),
            Cell::maybe(process.version.clone()),
            Cell::moment(process.started_at),
            Cell::moment(process.renewed_at),
        ]
    });
    let head = ["Process", "State", "Roles", "Version", "Since", "Last sign of life"];
    Section::new("Processes").table(Table::new(head, rows, "No process works: start `cloudybot run`."))
}
