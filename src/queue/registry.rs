//! Which kinds this process can run, and how.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::attempt::Attempt;
use crate::backoff::Backoff;
use crate::enqueue::as_smallint;
use crate::failure::Failure;
use crate::job::{FollowUp, Job};

pub(crate) type HandlerFuture = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;
type Handler = Arc<dyn Fn(&RawValue, Attempt) -> HandlerFuture + Send + Sync>;

/// The kinds of a process, by name.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    kinds: HashMap<&'static str, RegisteredKind>,
}

#[derive(Clone)]
pub(crate) struct RegisteredKind {
    handler: Handler,
    pub(crate) backoff: Backoff,
    pub(crate) timeout: Option<Duration>,
    pool: &'static str,
    on_end: Option<FollowUp>,
    kept: bool,
}

impl Registry {
    pub(crate) fn add<J, App, Run, Running>(&mut self, app: &App, run: Run)
    where
        J: Job,
        App: Clone + Send + Sync + 'static,
        Run: Fn(J, App, Attempt) -> Running + Send + Sync + 'static,
        Running: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let app = app.clone();
        let handler: Handler =
            Arc::new(move |payload, attempt| match serde_json::from_str::<J>(payload.get()) {
                Ok(job) => Box::pin(run(job, app.clone(), attempt)),
                Err(error) => {
                    Box::pin(std::future::ready(Err(Failure::Abort(format!("undecodable payload: {error}")))))
                }
            });
        let kind = RegisteredKind {
            handler,
            backoff: J::BACKOFF,
            timeout: J::TIMEOUT,
            pool: J::POOL,
            on_end: J::ON_END,
            kept: J::KEPT,
        };
        let before = self.kinds.insert(J::KIND, kind);
        assert!(before.is_none(), "job kind {} is registered twice", J::KIND);
    }

    /// Every kind with the pool whose workers run it.
    pub(crate) fn pools(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.kinds.iter().map(|(name, kind)| (*name, kind.pool))
    }

    /// Every kind that has a follow-up, with the follow-up's kind.
    pub(crate) fn follow_ups(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.kinds.iter().filter_map(|(name, kind)| Some((*name, kind.on_end?.kind)))
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&RegisteredKind> {
        self.kinds.get(kind)
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.kinds.keys().copied().collect()
    }

    /// Tells the database what each kind's end leads to, so that any process, also one that knows no kind, can end a
    /// job properly.
    pub(crate) async fn publish(&self, conn: &mut PgConnection) -> sqlx::Result<()> {
        let mut kinds: Vec<_> = self.kinds.iter().collect();
        kinds.sort_unstable_by_key(|(name, _)| **name); // one order for all processes: no deadlock
        let kept: Vec<bool> = kinds.iter().map(|(_, kind)| kind.kept).collect();
        let (names, on_end): (Vec<&str>, Vec<_>) =
            kinds.into_iter().map(|(name, kind)| (*name, kind.on_end)).unzip();
        let on_end_kinds: Vec<Option<&str>> = on_end.iter().map(|end| Some(end.as_ref()?.kind)).collect();
        let on_end_pools: Vec<Option<&str>> = on_end.iter().map(|end| Some(end.as_ref()?.pool)).collect();
        let on_end_attempts: Vec<Option<i16>> =
            on_end.iter().map(|end| Some(as_smallint(end.as_ref()?.max_attempts))).collect();
        sqlx::query(
            "INSERT INTO queue.kinds AS k (kind, on_end_kind, on_end_pool, on_end_attempts, kept)
             SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::SMALLINT[], $5::BOOLEAN[])
             ON CONFLICT (kind) DO UPDATE SET on_end_kind = EXCLUDED.on_end_kind, on_end_pool = EXCLUDED.on_end_pool,
                 on_end_attempts = EXCLUDED.on_end_attempts, kept = EXCLUDED.kept
             WHERE (k.on_end_kind, k.on_end_pool, k.on_end_attempts, k.kept)
                 IS DISTINCT FROM (EXCLUDED.on_end_kind, EXCLUDED.on_end_pool, EXCLUDED.on_end_attempts, EXCLUDED.kept)",
        )
        .bind(names)
        .bind(on_end_kinds)
        .bind(on_end_pools)
        .bind(on_end_attempts)
        .bind(kept)
        .execute(conn)
        .await?;
        Ok(())
    }
}

impl RegisteredKind {
    pub(crate) fn run(&self, payload: &RawValue, attempt: Attempt) -> HandlerFuture {
        (self.handler)(payload, attempt)
    }
}
