//! Histories of chance: jobs of all kinds, workers that die, administrators who act, in any order. At the end every job has one end.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use queue::Queue;
use queue::attempt::Attempt;
use queue::backoff::Backoff;
use queue::failure::Failure;
use queue::inspection::{JobAction, JobCriteria};
use queue::job::{Ended, Enqueued, FollowUp, Job, JobId, NewJob};
use queue::job_state::JobState;
use queue::pauses::Scope;
use queue::workers::{RunningWorkers, Workers};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::support::{Bench, settings};

/// Does what chance has chosen for it, and leaves one row in `effects` in the transaction that completes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fate {
    number: i32,
    /// What its first attempts come to, one character each: f fails, s snoozes, p panics, a aborts, h hangs. After the last it succeeds.
    story: String,
}

impl Job for Fate {
    const KIND: &'static str = "fate";
    const POOL: &'static str = "fates";
    const MAX_ATTEMPTS: u16 = 4;
    const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(5), Duration::from_millis(20));
    const TIMEOUT: Option<Duration> = Some(Duration::from_millis(400));
    const ON_END: Option<FollowUp> = Some(FollowUp::of::<AfterFate>());
}

async fn fate(job: Fate, witness: Witness, attempt: Attempt) -> Result<(), Failure> {
    let chapter = witness.next_chapter(job.number, &job.story);
    match chapter {
        Some('f') => return Err(Failure::retry("it failed")),
        Some('s') => return Err(Failure::Snooze(Duration::from_millis(10))),
        Some('p') => panic!("it fell over"),
        Some('a') => return Err(Failure::abort("it gave up")),
        Some('h') => std::future::pending().await,
        _ => {}
    }
    let mut tx = attempt.queue().begin(&witness.pg).await?;
    sqlx::query("INSERT INTO effects (number, job_id) VALUES ($1, $2)")
        .bind(job.number)
        .bind(attempt.job_id())
        .execute(&mut *tx)
        .await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}

/// The follow-up of a fate that died or was cancelled.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct AfterFate(Ended<Fate>);

impl Job for AfterFate {
    const KIND: &'static str = "after_fate";
    const POOL: &'static str = "fates";
}

async fn after_fate(job: AfterFate, witness: Witness, attempt: Attempt) -> Result<(), Failure> {
    let mut tx = attempt.queue().begin(&witness.pg).await?;
    sqlx::query("INSERT INTO ends (number, state) VALUES ($1, $2)")
        .bind(job.0.payload.number)
        .bind(job.0.state.to_string())
        .execute(&mut *tx)
        .await?;
    attempt.complete_and_commit(tx).await?;
    Ok(())
}

#[derive(Clone)]
struct Witness {
    pg: PgPool,
    told: Arc<Mutex<HashMap<i32, usize>>>,
}

impl Witness {
    fn next_chapter(&self, number: i32, story: &str) -> Option<char> {
        let mut told = self.told.lock().unwrap();
        let at = told.entry(number).or_default();
        let chapter = story.chars().nth(*at);
        *at += 1;
        chapter
    }
}

/// A history under way.
struct History {
    bench: Bench,
    witness: Witness,
    rng: StdRng,
    workers: Vec<RunningWorkers>,
    /// Every job that was committed, with its lane.
    committed: BTreeMap<i32, (JobId, Option<String>)>,
    /// Fates that an administrator touched: their order and their number of ends are theirs.
    touched: Vec<JobId>,
    next: i32,
}

impl History {
    async fn new(seed: u64) -> Self {
        let bench = Bench::new().await;
        sqlx::raw_sql(
            "CREATE TABLE effects (at BIGINT GENERATED ALWAYS AS IDENTITY, number INTEGER PRIMARY KEY, job_id BIGINT);
             CREATE TABLE ends (number INTEGER, state TEXT)",
        )
        .execute(&bench.pg)
        .await
        .unwrap();
        let witness = Witness { pg: bench.database.pool().await, told: Arc::default() };
        let rng = StdRng::seed_from_u64(seed);
        Self { bench, witness, rng, workers: vec![], committed: BTreeMap::new(), touched: vec![], next: 0 }
    }

    async fn start_worker(&mut self) {
        let queue = Queue::open(self.bench.database.pool().await, settings());
        let workers = Workers::new(&queue, self.witness.clone())
            .pool("fates", 8, Duration::from_secs(5))
            .register(fate)
            .register(after_fate)
            .start()
            .await
            .unwrap();
        self.workers.push(workers);
    }

    fn fate(&mut self) -> (Fate, Option<String>) {
        let length = self.rng.random_range(0..4);
        let story =
            (0..length).map(|_| ['f', 'f', 's', 's', 'p', 'a', 'h'][self.rng.random_range(0..7)]).collect();
        let lane = self.rng.random_bool(0.6).then(|| format!("lane {}", self.rng.random_range(0..5)));
        self.next += 1;
        (Fate { number: self.next, story }, lane)
    }

    fn job(&mut self) -> (NewJob, i32, Option<String>) {
        let (fate, lane) = self.fate();
        let mut job = NewJob::of(&fate);
        if let Some(lane) = &lane {
            job = job.lane(lane.clone());
        } else if self.rng.random_bool(0.3) {
            job = job.priority(self.rng.random_range(-5..5));
        }
        if self.rng.random_bool(0.3) {
            job = job.unique_key(format!("key {}", self.rng.random_range(0..8)));
        }
        if self.rng.random_bool(0.2) {
            job = job
                .run_at(chrono::Utc::now() + chrono::TimeDelta::milliseconds(self.rng.random_range(0..150)));
        }
        (job, fate.number, lane)
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..50 => self.enqueue().await,
            50..58 => self.roll_back().await,
            58..66 => self.cancel().await,
            66..72 => self.retry().await,
            72..78 => self.pause_or_resume().await,
            78..84 => self.crash().await,
            84..90 => self.stop_one().await,
            _ => tokio::time::sleep(Duration::from_millis(self.rng.random_range(1..40))).await,
        }
    }

    async fn enqueue(&mut self) {
        let mut tx = self.bench.queue.begin(&self.witness.pg).await.unwrap();
        let mut added = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            let (job, number, lane) = self.job();
            if let Enqueued::New(id) = tx.enqueue(job).await.unwrap() {
                added.push((number, (id, lane)));
            }
        }
        tx.commit().await.unwrap();
        self.committed.extend(added);
    }

    async fn roll_back(&mut self) {
        let mut tx = self.bench.queue.begin(&self.witness.pg).await.unwrap();
        let (job, ..) = self.job();
        tx.enqueue(job).await.unwrap();
        drop(tx);
    }

    fn any_job(&mut self) -> Option<JobId> {
        let ids: Vec<JobId> = self.committed.values().map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[self.rng.random_range(0..ids.len())])
    }

    async fn cancel(&mut self) {
        let Some(id) = self.any_job() else { return };
        self.touched.push(id);
        self.bench.queue.act_on(JobAction::Cancel, id, "chance").await.unwrap();
    }

    async fn retry(&mut self) {
        let filter = JobCriteria {
            state: Some(JobState::Dead),
            kind: Some("fate".to_owned()),
            ..JobCriteria::default()
        };
        let outcomes = self.bench.act_on_fitting(JobAction::Retry, filter, "chance").await;
        self.touched.extend(outcomes.into_iter().map(|outcome| outcome.id));
    }

    async fn pause_or_resume(&mut self) {
        let (scope, name) =
            if self.rng.random_bool(0.5) { (Scope::Pool, "fates") } else { (Scope::Kind, "fate") };
        if self.rng.random_bool(0.5) {
            self.bench.queue.pause(scope, name, "chance", None).await.unwrap();
        } else {
            self.bench.queue.resume(scope, name, "chance").await.unwrap();
        }
    }

    /// A worker's lease is over although it lives: what it then tries to complete, it cannot.
    async fn crash(&mut self) {
        sqlx::query("UPDATE queue.workers SET lease_until = now() - interval '1 s' WHERE id = (SELECT id FROM queue.workers ORDER BY random() LIMIT 1)")
            .execute(&self.bench.pg)
            .await
            .unwrap();
    }

    async fn stop_one(&mut self) {
        if self.workers.len() > 1 {
            let at = self.rng.random_range(0..self.workers.len());
            self.workers.swap_remove(at).stop(Duration::from_millis(50)).await.unwrap();
        } else {
            self.start_worker().await;
        }
    }

    async fn end(mut self, seed: u64) {
        for (scope, name) in [(Scope::Pool, "fates"), (Scope::Kind, "fate")] {
            self.bench.queue.resume(scope, name, "the end").await.unwrap();
        }
        self.start_worker().await;
        self.bench.drained().await;
        let story = format!("seed {seed}");
        let number = async |sql: &'static str| self.bench.count(sql).await;

        // Every committed job has exactly one end, and none is there that was rolled back.
        let ended = "SELECT count(*) FROM (SELECT id FROM queue.finished WHERE kind = 'fate' UNION ALL SELECT id FROM queue.dead WHERE kind = 'fate') e";
        assert_eq!(number(ended).await, i64::try_from(self.committed.len()).unwrap(), "{story}");
        let distinct = "SELECT count(DISTINCT id) FROM (SELECT id FROM queue.finished WHERE kind = 'fate' UNION ALL SELECT id FROM queue.dead WHERE kind = 'fate') e";
        assert_eq!(number(distinct).await, i64::try_from(self.committed.len()).unwrap(), "{story}");
        let ids: Vec<JobId> = self.committed.values().map(|(id, _)| *id).collect();
        let known: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM (SELECT id FROM queue.finished UNION ALL SELECT id FROM queue.dead) e WHERE id = ANY ($1)",
        )
        .bind(&ids)
        .fetch_one(&self.bench.pg)
        .await
        .unwrap();
        assert_eq!(known, i64::try_from(ids.len()).unwrap(), "{story}");

        // What is done has its effect, once; what is not has none.
        let done = "SELECT count(*) FROM queue.finished WHERE kind = 'fate' AND NOT cancelled";
        assert_eq!(number("SELECT count(*) FROM effects").await, number(done).await, "{story}");
        let stray = "SELECT count(*) FROM effects e WHERE NOT EXISTS (SELECT FROM queue.finished f WHERE f.id = e.job_id AND NOT f.cancelled)";
        assert_eq!(number(stray).await, 0, "{story}");

        // Each death and each cancellation was followed up once. A retried job may die again; putting a dead job away is no second end.
        let deaths = "SELECT count(*) FROM queue.attempts a WHERE outcome = 'dead'";
        assert_eq!(
            number("SELECT count(*) FROM ends WHERE state = 'dead'").await,
            number(deaths).await,
            "{story}"
        );
        let cancelled = "SELECT count(*) FROM queue.finished WHERE kind = 'fate' AND cancelled AND reason NOT LIKE '% after: %'";
        assert_eq!(
            number("SELECT count(*) FROM ends WHERE state = 'cancelled'").await,
            number(cancelled).await,
            "{story}"
        );

        // Nobody died of other people's crashes, and nothing of a worker is left behind.
        assert_eq!(number("SELECT count(*) FROM queue.dead WHERE crashes > 0").await, 0, "{story}");

        // In a lane the effects follow the order of enqueueing, but for what an administrator brought back.
        let mut last: HashMap<String, JobId> = HashMap::new();
        let effects: Vec<(i32, JobId)> = sqlx::query_as("SELECT number, job_id FROM effects ORDER BY at")
            .fetch_all(&self.bench.pg)
            .await
            .unwrap();
        for (fate, id) in effects {
            let Some((_, Some(lane))) = self.committed.get(&fate) else { continue };
            if self.touched.contains(&id) {
                continue;
            }
            let before = last.insert(lane.clone(), id).unwrap_or(JobId(0));
            assert!(before < id, "{story}: {lane} ran job {id} after {before}");
        }
        for worker in self.workers {
            worker.stop(Duration::from_secs(1)).await.unwrap();
        }
        assert_eq!(
            self.bench.count("SELECT count(*) FROM queue.workers WHERE lease_until > now()").await,
            0,
            "{story}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_in_whatever_order_every_job_has_one_end() {
    let histories = (0..6).map(|_| async {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let mut history = History::new(seed).await;
        history.start_worker().await;
        history.start_worker().await;
        for _ in 0..150 {
            history.step().await;
        }
        history.end(seed).await;
    });
    futures::future::join_all(histories).await;
}
