//! `cloudybot schedules check FILE`: what a file would do that is not in place yet. A file in the folder is live as soon as it can be read, so its warnings come
//! too late there.

use std::path::Path;

use anyhow::Context as _;
use channel::schedules::audience_size::AudienceSize;
use channel::schedules::firing;
use channel::schedules::schedule_file::{Folder, Schedule};
use serde::Serialize;

use super::command::PATIENCE;
use super::findings::Findings;
use super::upcoming::{Upcoming, upcoming};
use crate::commands::ordered::Ordered;
use crate::commands::output::{moment, print};
use crate::config::Config;
use crate::database::Database;

/// So many slots are told.
const SLOTS: usize = 5;

/// What the file would do.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Trial {
    /// The file's stem.
    schedule: String,
    /// What must be mended.
    wrong: Vec<String>,
    /// What may not be meant.
    warnings: Vec<String>,
    /// When it falls due, as the file says; null: it cannot be read.
    when: Option<String>,
    /// Its next slots; null: nobody could be asked for the time and for people's zones.
    next: Option<Vec<Upcoming>>,
    /// How many people it would write to; null: they are too many to be counted, or nobody could be asked.
    audience: Option<i64>,
    /// The same as the database estimates it; null: it is counted, or nobody could be asked.
    audience_about: Option<i64>,
    /// What would become of the version that is loaded now; null: nobody could be asked.
    replaces: Option<String>,
}

/// Looks at the file, and tells; an error where it must be mended.
pub(super) async fn check(config: &Config, file: &Path, as_json: bool) -> anyhow::Result<()> {
    let path = file.display();
    let text = tokio::fs::read_to_string(file).await.with_context(|| format!("cannot read {path}"))?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    // Its calendars are where it will be.
    let folder = match Schedule::parse(&stem, &text, &config.keys.schedules.directory) {
        Ok(schedule) => Folder { schedules: vec![schedule], ..Folder::default() },
        Err(errors) => Folder { errors, ..Folder::default() },
    };
    let mut found = Findings::of_files(&folder, &config.plans);
    if file.extension().is_none_or(|extension| extension != "toml") {
        found.warnings.push(format!("in place, its name must be {stem}.toml"));
    }
    let mut trial = Trial { schedule: stem, ..Trial::default() };
    if let Some(schedule) = folder.schedules.first() {
        trial.when = Some(schedule.definition.when());
        let asked = tokio::time::timeout(PATIENCE, trial.ask(config, schedule, &mut found)).await;
        if !matches!(asked, Ok(Ok(()))) {
            found.warnings.push("no database answers: slots and people were not looked for".to_owned());
        }
    }
    trial.wrong = found.wrong;
    trial.warnings = found.warnings;
    let shown = trial.shown()?;
    print(as_json, &trial, || shown)?;
    anyhow::ensure!(trial.wrong.is_empty(), "{path} must be mended");
    Ok(())
}

impl Trial {
    async fn ask(
        &mut self,
        config: &Config,
        schedule: &Schedule,
        found: &mut Findings,
    ) -> anyhow::Result<()> {
        anyhow::ensure!(Database::is_there(config), "there is none");
        let database = Database::open(config).await?;
        let pg = database.pool(1, PATIENCE);
        let mut conn = pg.acquire().await?;
        found.add_unknown_users(&mut conn, std::slice::from_ref(schedule)).await?;
        let due_zones = firing::due_zones(&mut conn, schedule).await?;
        let now = store::clock::now(&mut conn).await?;
        self.next = Some(upcoming(schedule, &due_zones, now, SLOTS));
        let size = AudienceSize::of(&mut conn, &schedule.definition.audience).await?;
        self.audience = Some(size.people).filter(|_| !size.is_estimate);
        self.audience_about = Some(size.people).filter(|_| size.is_estimate);
        let mut loaded = store::schedules::all(&mut conn).await?.into_iter();
        let loaded = loaded.find(|row| row.name == schedule.name && row.removed_at.is_none());
        self.replaces = Some(match loaded {
            None => "nothing: no schedule of this name is loaded".to_owned(),
            Some(row) if row.hash == schedule.hash => "nothing: the loaded version says the same".to_owned(),
            Some(row) => format!("the version loaded at {}", moment(row.loaded_at)),
        });
        Ok(())
    }

    /// For people.
    fn shown(&self) -> serde_json::Result<String> {
        let mut value = Ordered::of(self)?;
        let next = self.next.iter().flatten();
        let with_zone = next.clone().any(|one| Some(one.zone()) != next.clone().next().map(Upcoming::zone));
        let sentences: Vec<String> = next.map(|one| one.sentence(with_zone)).collect();
        value.replace("next", Ordered::of(&sentences)?);
        Ok(value.lines(""))
    }
}
