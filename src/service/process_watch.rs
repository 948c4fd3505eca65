//! Twice a minute each process says that it runs and for what, and looks whether anything is wrong with itself.

use std::sync::Arc;
use std::time::Duration;

use channel::alerts;
use channel::app::Settings;
use queue::connections::Connections;
use queue::{Queue, workers};
use tokio_util::sync::CancellationToken;

use crate::own_clock::LastLead;
use crate::process_alerts;
use crate::roles::Roles;

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// After a look that failed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Looks after one process.
pub(crate) struct ProcessWatch {
    queue: Queue,
    pg: Connections,
    settings: Arc<Settings>,
    roles: Roles,
    process: String,
    clock_lead: LastLead,
}

impl ProcessWatch {
    pub(crate) fn new(queue: Queue, pg: Connections, settings: Arc<Settings>, roles: Roles) -> Self {
        Self { queue, pg, settings, roles, process: workers::process_name(), clock_lead: LastLead::default() }
    }

    /// What its last look at the clocks has shown.
    pub(crate) fn clock_lead(&self) -> LastLead {
        self.clock_lead.clone()
    }

    /// Looks until `stop`, then takes the process off the list.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let looking = async {
            loop {
                let pause = match self.look().await {
                    Ok(()) => LOOK_EVERY,
                    Err(error) => {
                        tracing::warn!("Could not look after this process; trying again: {error:#}");
                        LOOK_AGAIN
                    }
                };
                tokio::time::sleep(pause).await;
            }
        };
        let _: Option<()> = stop.run_until_cancelled(looking).await;
        if let Ok(mut conn) = self.pg.acquire().await
            && let Err(error) = store::processes::forget(&mut conn, &self.process).await
        {
            tracing::debug!("Could not take this process off the list of processes: {error}");
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        self.note().await?;
        for (cause, detail) in process_alerts::found(&self.pg, &self.settings, &self.clock_lead).await? {
            let mut tx = self.queue.begin(&self.pg).await?;
            alerts::hold(&mut tx, &self.settings, cause, &format!("process {}: {detail}", self.process))
                .await?;
            tx.commit().await?;
        }
        Ok(())
    }

    async fn note(&self) -> sqlx::Result<()> {
        let mut conn = self.pg.acquire().await?;
        store::processes::note(&mut conn, &self.process, self.roles.list(), env!("CARGO_PKG_VERSION")).await
    }
}
