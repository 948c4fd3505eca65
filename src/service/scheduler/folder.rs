//! Follows the folder of schedules: files that are new, changed or gone, and a folder that cannot be read.

use channel::alerts;
use channel::schedules::firing;
use channel::schedules::schedule_file::{self, Folder, Schedule};
use store::alerts::AlertCause;
use store::ids::ScheduleName;

use super::Scheduler;
use super::loaded::of;

impl Scheduler {
    /// Takes in files that are new, changed or gone since this process last looked.
    pub(super) async fn load(&mut self) -> anyhow::Result<()> {
        let folder = self.folder.clone();
        let (read, is_there) =
            tokio::task::spawn_blocking(move || (schedule_file::read_folder(&folder), folder.exists()))
                .await?;
        let folder = match read {
            Ok(read) if is_there || of(&self.loaded).schedules.is_empty() => read,
            // A folder that has gone was not emptied by anybody.
            Ok(_) => return self.go_on("it is gone").await,
            Err(error) => return self.go_on(&error.to_string()).await,
        };
        if self.unreadable.take().is_some() {
            tracing::info!("{} can be read again", self.folder.display());
        }
        if folder.ignored != self.ignored {
            folder.ignored_in_words().for_each(|ignored| tracing::info!("{ignored}"));
            self.ignored.clone_from(&folder.ignored);
        }
        let Folder { schedules, errors, .. } = folder;
        if errors != self.told {
            for error in &errors {
                tracing::error!("{error}; the others go on, and so does its last good version");
            }
            self.told.clone_from(&errors);
        }
        let known = of(&self.loaded).hashes();
        let there = |name: &ScheduleName| {
            schedules.iter().any(|schedule| schedule.name == *name)
                || errors.iter().any(|error| error.name == name.as_str())
        };
        for (name, hash) in known.iter().filter(|(name, _)| !there(name)) {
            store::schedules::remove(&mut *self.pg.acquire().await?, name, hash).await?;
            of(&self.loaded).schedules.remove(name);
            self.sure_at = None;
            tracing::info!("Schedule {name} is gone");
        }
        for schedule in schedules {
            if known.get(&schedule.name) == Some(&schedule.hash) {
                continue;
            }
            let mut tx = self.queue.begin(&self.pg).await?;
            let is_new = firing::load(&mut tx, &schedule).await?;
            tx.commit().await?;
            if is_new {
                tracing::info!("Loaded schedule {}: {}", schedule.name, schedule.definition.when());
            }
            of(&self.loaded).schedules.insert(schedule.name.clone(), (schedule, None));
            self.sure_at = None;
        }
        Ok(())
    }

    pub(super) fn unreadable_in_words(&self, why: &str) -> String {
        format!(
            "{} cannot be read: {why}; what was loaded last goes on. Mend the folder or schedules.directory; to stop a schedule, use \
             `cloudybot schedules disable`",
            self.folder.display()
        )
    }

    /// While the folder cannot be read, what was loaded last goes on: by this process, or else by any.
    async fn go_on(&mut self, why: &str) -> anyhow::Result<()> {
        if of(&self.loaded).schedules.is_empty() {
            let rows = store::schedules::all(&mut *self.pg.acquire().await?).await?;
            for row in rows {
                let Ok(definition) = serde_json::from_value(row.definition) else { continue };
                let Ok(schedule) = Schedule::of(&row.name, definition) else { continue };
                of(&self.loaded).schedules.insert(row.name, (schedule, None));
                self.sure_at = None;
            }
        }
        if self.unreadable.as_deref() == Some(why) {
            return Ok(());
        }
        let detail = format!("process {}: {}", self.process, self.unreadable_in_words(why));
        let mut tx = self.queue.begin(&self.pg).await?;
        alerts::raise(&mut tx, &self.settings, AlertCause::SchedulesUnreadable, &detail).await?;
        tx.commit().await?;
        self.unreadable = Some(why.to_owned());
        Ok(())
    }
}
