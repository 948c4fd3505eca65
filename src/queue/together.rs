//! Plain jobs that callers enqueue one by one: those that come while others are being written share the next commit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::enqueue::{self, EnqueueError};
use crate::job::{Enqueued, NewJob};
use crate::kept::Kept;

/// Jobs of one statement at most.
const MOST: usize = 500;

/// A statement that takes longer is not waited for: another begins beside it. Until then jobs gather, which costs the server much less than
/// as many commits of one job each.
const UNHURRIED: Duration = Duration::from_millis(20);

/// Statements at a time at most.
const WRITERS_AT_MOST: usize = 4;

/// Clones lead to the same place.
#[derive(Clone)]
pub(crate) struct Together(Arc<Inner>);

struct Inner {
    kept: Kept,
    /// A statement that takes longer is given up: whoever waits for it cannot do that.
    patience: Duration,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    writers: usize,
    waiting: Vec<Waiting>,
}

struct Waiting {
    job: NewJob,
    answer: oneshot::Sender<Answer>,
}

/// What becomes of a job at first.
enum Beginning {
    Writes(NewJob, Turn),
    Waits(oneshot::Receiver<Answer>),
}

enum Answer {
    Written(Enqueued),
    /// The database has refused what was gathered, all of it: each is tried by itself, so that one takes no others with it.
    Alone(NewJob),
    /// Nobody knows whether it was written.
    Lost(sqlx::Error),
}

impl Together {
    /// Needs a tokio runtime.
    pub(crate) fn new(kept: Kept, patience: Duration) -> Self {
        Self(Arc::new(Inner { kept, patience, runtime: Handle::current(), state: Mutex::default() }))
    }

    /// Enqueues a plain job; it exists when this returns. `say` is asked what a commit of this job alone shall say to who listens; the answer is
    /// whether it has said something.
    pub(crate) async fn enqueue(
        &self,
        job: NewJob,
        say: impl FnOnce() -> Option<String>,
    ) -> Result<(Enqueued, bool), EnqueueError> {
        match self.begin(job)? {
            Beginning::Writes(job, _turn) => {
                let said = say();
                let is_said = said.is_some();
                Ok((self.write_alone(job, said).await?, is_said))
            }
            Beginning::Waits(answered) => Ok((self.wait(answered).await?, false)),
        }
    }

    /// Who comes while nobody writes writes; anybody else waits. It is one step, or the writer could end in between and see nobody waiting.
    fn begin(&self, job: NewJob) -> Result<Beginning, EnqueueError> {
        let mut state = self.state();
        if state.writers == 0 {
            state.writers = 1;
            return Ok(Beginning::Writes(job, Turn(self.clone())));
        }
        let job = job.for_others_to_write()?;
        let (answer, answered) = oneshot::channel();
        state.waiting.push(Waiting { job, answer });
        Ok(Beginning::Waits(answered))
    }

    async fn write_alone(&self, job: NewJob, said: Option<String>) -> Result<Enqueued, EnqueueError> {
        let write = async |conn: &mut PgConnection| match said {
            Some(said) => enqueue::insert_saying(conn, job, &said).await,
            None => enqueue::insert(conn, job).await,
        };
        self.0.kept.ask(write).await
    }

    async fn wait(&self, mut answered: oneshot::Receiver<Answer>) -> Result<Enqueued, EnqueueError> {
        let answer = loop {
            match tokio::time::timeout(UNHURRIED, &mut answered).await {
                Ok(answer) => break answer,
                Err(_) => self.write_beside(),
            }
        };
        match answer {
            Ok(Answer::Written(enqueued)) => Ok(enqueued),
            Ok(Answer::Alone(job)) => self.write_alone(job, None).await,
            Ok(Answer::Lost(error)) => Err(error.into()),
            // The writer is gone without a word: it panicked, or the runtime is going down.
            Err(_) => Err(sqlx::Error::WorkerCrashed.into()),
        }
    }

    /// Begins another statement for what waits, unless as many as may are under way.
    fn write_beside(&self) {
        let (jobs, turn) = {
            let mut state = self.state();
            if state.writers >= WRITERS_AT_MOST {
                return;
            }
            let jobs = state.gathered();
            if jobs.is_empty() {
                return;
            }
            state.writers += 1;
            (jobs, Turn(self.clone()))
        };
        self.0.runtime.spawn(self.clone().write(jobs, turn));
    }

    /// Writes these, and what has gathered meanwhile, until there is nothing.
    async fn write(self, mut jobs: Vec<Waiting>, _turn: Turn) {
        while !jobs.is_empty() {
            let insert = self.0.kept.ask(async |conn| insert(conn, &jobs).await);
            let written = tokio::time::timeout(self.0.patience, insert).await;
            answer(jobs, written.unwrap_or_else(|_| Err(too_late())));
            // Who has just had an answer may have another job: without this it would miss the next statement, which begins now.
            tokio::task::yield_now().await;
            jobs = self.state().gathered();
        }
    }

    /// What is guarded is valid at every step, also after a panic elsewhere.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What waits and has not been given up, as much as one statement takes. None only if nothing waits.
    fn gathered(&mut self) -> Vec<Waiting> {
        self.waiting.retain(|one| !one.answer.is_closed());
        let rest = self.waiting.split_off(self.waiting.len().min(MOST));
        std::mem::replace(&mut self.waiting, rest)
    }
}

async fn insert(conn: &mut PgConnection, waiting: &[Waiting]) -> sqlx::Result<Vec<i64>> {
    let jobs: Vec<&NewJob> = waiting.iter().map(|one| &one.job).collect();
    enqueue::insert_plain(conn, &jobs).await
}

/// Tells each what has become of its job. Who waits no more does not hear it.
fn answer(waiting: Vec<Waiting>, written: sqlx::Result<Vec<i64>>) {
    match written {
        Ok(ids) => {
            for (one, id) in waiting.into_iter().zip(ids) {
                let _ = one.answer.send(Answer::Written(Enqueued::New(id)));
            }
        }
        Err(error) if is_refusal(&error) => {
            for one in waiting {
                let _ = one.answer.send(Answer::Alone(one.job));
            }
        }
        Err(error) => {
            for one in waiting {
                let _ = one.answer.send(Answer::Lost(alike(&error)));
            }
        }
    }
}

/// Whether nothing was written for certain: the database did not like the data (class 22), a constraint (23), what others did (40) or the size of it all
/// (54). After any other error a commit could have happened all the same.
fn is_refusal(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| ["22", "23", "40", "54"].iter().any(|class| code.starts_with(class)))
}

fn too_late() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "the database does not answer"))
}

/// The same error for another one who waits for the same answer.
fn alike(error: &sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Io(error) => sqlx::Error::Io(std::io::Error::new(error.kind(), error.to_string())),
        sqlx::Error::PoolTimedOut => sqlx::Error::PoolTimedOut,
        sqlx::Error::PoolClosed => sqlx::Error::PoolClosed,
        other => sqlx::Error::Protocol(other.to_string()),
    }
}

/// The right to write. At its end it passes to what has gathered meanwhile.
struct Turn(Together);

impl Drop for Turn {
    fn drop(&mut self) {
        let jobs = {
            let mut state = self.0.state();
            let jobs = state.gathered();
            if jobs.is_empty() {
                state.writers -= 1;
                return;
            }
            jobs
        };
        // A runtime that is going down drops both, and who waits is told so.
        let (together, turn) = (self.0.clone(), Turn(self.0.clone()));
        self.0.0.runtime.spawn(together.write(jobs, turn));
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use private_postgres::schema::Schema;
    use private_postgres::test_database::TestDatabase;
    use serde_json::json;

    use super::*;

    static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../../migrations");

    static SCHEMA: Schema<'static> =
        Schema { migrations: &MIGRATOR, functions: include_str!("../../migrations/functions.sql") };

    async fn together() -> (TestDatabase, sqlx::PgPool, Together) {
        let database = TestDatabase::create(&SCHEMA).await;
        let pg = database.pool().await;
        let together = Together::new(Kept::new(database.pool().await.into()), Duration::from_secs(10));
        (database, pg, together)
    }

    fn job(number: usize, text: &str) -> NewJob {
        NewJob {
            kind: "act",
            pool: "test",
            max_attempts: 3,
            payload: serde_json::value::to_raw_value(&json!({ "number": number, "text": text })),
            priority: i16::try_from(number % 3).unwrap_or(0),
            run_at: None,
            lane: None,
            unique_key: None,
            trace: None,
        }
    }

    async fn enqueue(together: &Together, number: usize, text: &str) -> Result<i64, EnqueueError> {
        match together.enqueue(job(number, text), || None).await? {
            (Enqueued::New(id), _) => Ok(id),
            (Enqueued::Duplicate, _) => unreachable!("a plain job has no key"),
        }
    }

    /// Returns when so many writers are left, no matter how soon the others notice that there is nothing more to do.
    async fn only(together: &Together, writers: usize) {
        let idle = async {
            while together.state().writers != writers {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), idle).await.expect("they end");
    }

    /// The numbers in the payloads, by id, and how many commits wrote them.
    async fn written(pg: &sqlx::PgPool) -> (Vec<(i64, i32)>, i64) {
        let jobs = "SELECT id, (payload->>'number')::INTEGER FROM queue.jobs WHERE priority = (payload->>'number')::INTEGER % 3 ORDER BY id";
        let commits = "SELECT count(DISTINCT xmin::TEXT) FROM queue.jobs";
        (
            sqlx::query_as(jobs).fetch_all(pg).await.unwrap(),
            sqlx::query_scalar(commits).fetch_one(pg).await.unwrap(),
        )
    }

    #[tokio::test]
    async fn jobs_that_come_at_the_same_time_share_commits_and_each_caller_learns_of_its_own() {
        let (_database, pg, together) = together().await;

        let ids = join_all((0..700).map(|number| enqueue(&together, number, "Hello"))).await;

        let (jobs, commits) = written(&pg).await;
        let mut told: Vec<(i64, i32)> = ids.into_iter().map(Result::unwrap).zip(0..).collect();
        told.sort_unstable();
        assert_eq!(jobs, told);
        // The first by itself, then 500, then the rest.
        assert_eq!(commits, 3);
        only(&together, 0).await;
    }

    #[tokio::test]
    async fn a_job_that_the_database_refuses_takes_no_other_one_with_it() {
        let (_database, pg, together) = together().await;

        let text = |number| if number == 7 { "no text holds a \0" } else { "Hello" };
        let outcomes = join_all((0..20).map(|number| enqueue(&together, number, text(number)))).await;

        let refused: Vec<usize> = (0..20).filter(|number| outcomes[*number].is_err()).collect();
        assert_eq!(refused, [7]);
        assert_eq!(written(&pg).await.0.len(), 19);
    }

    #[tokio::test]
    async fn a_payload_without_a_json_form_is_refused_before_it_waits_for_anybody() {
        let (_database, _pg, together) = together().await;
        together.state().writers = 1;
        let payload = serde_json::value::to_raw_value(&std::collections::HashMap::from([((1, 2), 3)]));

        let refused = together.enqueue(NewJob { payload, ..job(1, "") }, || None).await;

        assert!(matches!(refused, Err(EnqueueError::Payload { kind: "act", .. })));
    }

    #[tokio::test]
    async fn a_statement_that_hangs_holds_up_nobody_else_for_long() {
        let (_database, pg, together) = together().await;
        together.state().writers = 1;

        let ids = join_all((0..5).map(|number| enqueue(&together, number, "Hello"))).await;

        assert!(ids.iter().all(Result::is_ok));
        assert_eq!(written(&pg).await.0.len(), 5);
        only(&together, 1).await;
    }

    #[tokio::test]
    async fn a_statement_of_several_that_the_database_does_not_answer_is_given_up() {
        let database = TestDatabase::create(&SCHEMA).await;
        let pg = database.pool().await;
        let together = Together::new(Kept::new(database.pool().await.into()), Duration::from_millis(200));
        let mut blocker = pg.begin().await.unwrap();
        sqlx::query("LOCK TABLE queue.jobs").execute(&mut *blocker).await.unwrap();
        together.state().writers = 1;

        let outcomes = join_all((0..3).map(|number| enqueue(&together, number, "Hello"))).await;

        for outcome in outcomes {
            let Err(EnqueueError::Database(sqlx::Error::Io(error))) = outcome else { panic!("{outcome:?}") };
            assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        }
        only(&together, 1).await;
    }

    #[tokio::test]
    async fn who_gives_up_while_others_write_is_not_written_and_leaves_nobody_waiting() {
        let (_database, pg, together) = together().await;
        let mut first = Box::pin(enqueue(&together, 1, "Hello"));
        assert!(futures::poll!(&mut first).is_pending());
        let mut second = Box::pin(enqueue(&together, 2, "Hello"));
        assert!(futures::poll!(&mut second).is_pending());
        let mut third = Box::pin(enqueue(&together, 3, "Hello"));
        assert!(futures::poll!(&mut third).is_pending());

        drop(second);
        // Whether the first one is written is its own affair; the third one has its turn.
        drop(first);

        assert!(third.await.is_ok());
        let numbers: Vec<i32> = written(&pg).await.0.into_iter().map(|(_, number)| number).collect();
        assert!(numbers.contains(&3) && !numbers.contains(&2), "{numbers:?}");
    }

    #[tokio::test]
    async fn when_the_connection_is_lost_every_caller_is_told_and_nothing_is_written_twice() {
        let (_database, pg, together) = together().await;
        let mut blocker = pg.begin().await.unwrap();
        sqlx::query("LOCK TABLE queue.jobs").execute(&mut *blocker).await.unwrap();
        let callers: Vec<_> = (0..10)
            .map(|number| {
                let together = together.clone();
                tokio::spawn(async move { enqueue(&together, number, "Hello").await })
            })
            .collect();
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO queue.jobs%' AND query LIKE '%unnest%'";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pg).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }

        let end = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'INSERT INTO queue.jobs%'";
        sqlx::query(end).execute(&pg).await.unwrap();
        blocker.rollback().await.unwrap();

        let outcomes: Vec<_> = join_all(callers).await.into_iter().map(Result::unwrap).collect();
        let exist = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(exist < 10, "{outcomes:?}");
        assert_eq!(written(&pg).await.0.len(), exist);
    }
}
