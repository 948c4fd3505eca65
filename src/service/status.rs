//! `cloudybot status` and `/admin/api/status`: what the database tells, beside what this machine sees: its files of schedules and its clock.

use std::path::Path;
use std::time::Duration;

use channel::administration::findings::{Finding, Subject, Urgency};
use channel::administration::processes::PoolView;
use channel::administration::status::{self, Status};
use channel::alerts::settings::AlertSettings;
use channel::plans::Plans;
use channel::schedules::zones;
use queue::connections::Connections;
use sqlx::PgConnection;

use crate::config::Config;
use crate::database;
use crate::own_clock;
use crate::schedules::condition::Condition;
use crate::schedules::files::Files;
use crate::schedules::findings;
use crate::zone_rules::ZoneReport;

/// A database that says nothing for so long is away.
const PATIENCE: Duration = Duration::from_secs(3);

/// A look takes this long at most.
const WHOLE_PATIENCE: Duration = Duration::from_secs(10);

/// What a look goes by.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    /// The folder of the schedules' files.
    pub(crate) folder: &'a Path,
    pub(crate) plans: &'a Plans,
    /// From when on something needs a person.
    pub(crate) alerts: &'a AlertSettings,
}

impl<'a> Settings<'a> {
    pub(crate) fn of(config: &'a Config) -> Self {
        let keys = &config.keys;
        Self { folder: &keys.schedules.directory, plans: &config.plans, alerts: &keys.alerts.settings }
    }
}

/// How everything stands, as this process can tell without asking Twilio and the agent.
pub(crate) async fn read(pg: &Connections, settings: &Settings<'_>) -> Status {
    let (findings, pools) = of_all(pg, settings).await;
    Status::of(findings, pools)
}

/// The same, to be sorted yet.
pub(crate) async fn of_all(pg: &Connections, settings: &Settings<'_>) -> (Vec<Finding>, Vec<PoolView>) {
    let mut findings = of_files(settings.folder, settings.plans).await;
    let database = match tokio::time::timeout(PATIENCE, status::of_database(pg)).await {
        Ok(finding) => finding,
        Err(_) => away(pg).await,
    };
    findings.push(database);
    let mut pools = Vec::new();
    match tokio::time::timeout(WHOLE_PATIENCE, asked(pg, settings.alerts)).await {
        Ok(Ok((found, of_pools))) => {
            findings.extend(found);
            pools = of_pools;
        }
        Ok(Err(_)) | Err(_) if findings.iter().any(is_bad_database) => {}
        Ok(Err(error)) => findings.push(unanswered(format!("the database answers only in part: {error}"))),
        Err(_) => findings.push(unanswered(format!(
            "the database takes more than {} s to answer",
            WHOLE_PATIENCE.as_secs()
        ))),
    }
    (findings, pools)
}

fn is_bad_database(finding: &Finding) -> bool {
    finding.subject == Subject::Database && finding.urgency.needs_a_person()
}

fn unanswered(text: String) -> Finding {
    Finding::of(Urgency::Now, Subject::Database, text, "look at the log and the load of its server")
}

/// Why there was no answer.
async fn away(pg: &Connections) -> Finding {
    match database::reach(&pg.raw().connect_options(), Duration::from_secs(1)).await {
        Err(away) => Finding::of(Urgency::Now, Subject::Database, away.to_string(), away.remedy()),
        Ok(()) => unanswered(format!("it does not answer within {} s", PATIENCE.as_secs())),
    }
}

/// What the database tells.
async fn asked(pg: &Connections, alerts: &AlertSettings) -> sqlx::Result<(Vec<Finding>, Vec<PoolView>)> {
    let mut conn = pg.acquire().await?;
    let (mut findings, pools) = status::of_everything(&mut conn, alerts).await?;
    findings.extend(schedules(&mut conn).await?);
    findings.push(clock(&mut conn).await?);
    findings.extend(time_zones(ZoneReport::read(&mut conn).await?.warnings));
    Ok((findings, pools))
}

/// What is wrong with the files of this process's folder.
pub(crate) async fn of_files(directory: &Path, plans: &Plans) -> Vec<Finding> {
    let Files { folder, findings, .. } = Files::read(directory, plans).await;
    let wrong = findings.wrong.into_iter().map(|wrong| {
        Finding::of(
            Urgency::Soon,
            Subject::Schedules,
            wrong,
            format!(
                "mend a copy of the file, `cloudybot schedules check COPY` tells what is wrong, its next slots and its people, then put it in place in {}; until then the version goes on that was loaded last, if there is one",
                directory.display()
            ),
        )
    });
    let odd = findings
        .warnings
        .into_iter()
        .map(|warning| Finding::of(
                Urgency::Note,
                Subject::Schedules,
                warning,
                "nothing, if it is meant; `cloudybot schedules check FILE` tells of a file before it is put in place",
            ));
    let mut found: Vec<Finding> = wrong.chain(odd).collect();
    if found.is_empty() {
        found.push(Finding::fine(Subject::Schedules, findings::files(folder.schedules.len())));
    }
    found
}

/// Schedules that do not fire, as the running schedulers tell. What its own file has switched off is meant.
async fn schedules(conn: &mut PgConnection) -> sqlx::Result<Vec<Finding>> {
    let schedulers = store::schedulers::alive(conn).await?;
    let mut found = Vec::new();
    for row in store::schedules::all(conn).await? {
        let condition = Condition::read(conn, &row, &schedulers).await?;
        let (Some(why), name) = (condition.why_off, &row.name) else { continue };
        if !row.enabled {
            let remedy = format!("`cloudybot schedules enable {name}`");
            let off = Finding::of(Urgency::Note, Subject::Schedules, format!("{name} is off: {why}"), remedy);
            found.push(off.since(condition.switched_off.map(|off| off.since)));
        } else if condition.should_fire {
            let remedy = "`cloudybot schedules list`; `cloudybot workers`";
            found.push(Finding::of(
                Urgency::Soon,
                Subject::Schedules,
                format!("{name} does not fire: {why}"),
                remedy,
            ));
        }
    }
    Ok(found)
}

async fn clock(conn: &mut PgConnection) -> sqlx::Result<Finding> {
    let (_, lead) = own_clock::read(conn).await?;
    Ok(match lead.is_too_large() {
        true => Finding::of(
            Urgency::Soon,
            Subject::Clock,
            lead.to_string(),
            "let NTP set the clocks of both machines",
        ),
        false => Finding::fine(Subject::Clock, "as the database's"),
    })
}

fn time_zones(warnings: Vec<String>) -> Vec<Finding> {
    let rules = Finding::fine(Subject::TimeZones, zones::rules().to_string());
    let odd = |warning| {
        Finding::of(Urgency::Note, Subject::TimeZones, warning, "bring tzdata up to date on this machine")
    };
    warnings.into_iter().map(odd).chain([rules]).collect()
}
