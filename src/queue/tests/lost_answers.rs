//! A statement is carried out, and its answer never comes: the connection breaks in between.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use queue::Queue;
use queue::job::NewJob;
use queue::settings::QueueSettings;
use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

use crate::support::{Act, Bench, Deed, settings, workers};

/// In the name of a job: the server's answer that has it is lost.
const LOST: &str = "its answer is lost";

/// Stands between the workers and the server, and breaks a connection instead of passing on an answer.
struct BreakingProxy {
    folder: TempDir,
    lost: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl BreakingProxy {
    /// Loses this many answers.
    async fn losing(answers: usize, server: &PgConnectOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = |folder: PathBuf| folder.join(format!(".s.PGSQL.{}", server.get_port()));
        let server = socket(server.get_socket().expect("the tests' own server has a socket").clone());
        let listener = UnixListener::bind(socket(folder.path().to_owned())).unwrap();
        let lost = Arc::new(AtomicUsize::new(0));
        let counted = lost.clone();
        let serving = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(pass(client, server.clone(), counted.clone(), answers));
            }
        });
        Self { folder, lost, serving }
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

impl Drop for BreakingProxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn pass(client: UnixStream, server: PathBuf, lost: Arc<AtomicUsize>, to_lose: usize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = UnixStream::connect(server).await.unwrap().into_split();
    let asking = tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
        let answer = &buffer[..read];
        let is_marked = answer.windows(LOST.len()).any(|part| part == LOST.as_bytes());
        if is_marked && lost.fetch_add(1, Ordering::SeqCst) < to_lose {
            break;
        }
        if to_client.write_all(answer).await.is_err() {
            break;
        }
    }
    asking.abort();
}

/// Workers whose connections go through the proxy, and lose this many answers.
async fn proxied(bench: &Bench, answers: usize, settings: QueueSettings) -> Option<(BreakingProxy, Queue)> {
    let options = bench.database.connect_options();
    if options.get_socket().is_none() {
        eprintln!("a server without a socket is not stood in front of");
        return None;
    }
    let proxy = BreakingProxy::losing(answers, &options).await;
    let broken = sqlx::PgPool::connect_lazy_with(options.socket(proxy.folder.path()));
    let queue = Queue::open(broken, settings);
    Some((proxy, queue))
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_side_by_side_lose_no_job_to_each_others_recovery() {
    let bench = Bench::new().await;
    let few = QueueSettings { batch: 5, ..settings() };
    let Some((proxy, queue)) = proxied(&bench, 6, few).await else { return };
    let jobs = (0..600).map(|n| {
        let marked = if n % 50 == 49 { LOST } else { "" };
        NewJob::of(&Act::new(format!("{n} {marked}"), Deed::Succeed))
    });
    bench.enqueue_batch(jobs).await;

    let workers = workers(&queue, bench.record.clone(), 40).start().await.unwrap();
    bench.drained().await;
    workers.stop(Duration::from_secs(10)).await.unwrap();

    assert!(proxy.lost() >= 6, "answers were lost: {}", proxy.lost());
    let mut ran = bench.record.all();
    ran.sort();
    let times = ran.len();
    ran.dedup();
    assert_eq!((times, ran.len()), (600, 600), "each ran once");
    let returned = bench.count("SELECT count(*) FROM queue.attempts WHERE outcome = 'handed_back'").await;
    assert!(returned <= 6 * 5, "{returned} were handed back, also such as were known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_is_lost_strands_no_job() {
    let bench = Bench::new().await;
    let Some((proxy, queue)) = proxied(&bench, 3, settings()).await else { return };
    let workers = workers(&queue, bench.record.clone(), 4).start().await.unwrap();

    bench.queue.enqueue(&Act::new("before", Deed::TakeMs(3_000))).await.unwrap();
    bench.until("one runs", || async { !bench.record.all().is_empty() }).await;
    bench.queue.enqueue(&Act::new(LOST, Deed::Succeed)).await.unwrap();
    bench.drained().await;
    workers.stop(Duration::from_secs(10)).await.unwrap();

    assert!(proxy.lost() >= 3, "answers were lost: {}", proxy.lost());
    assert_eq!(
        bench.record.all(),
        ["before", LOST, "before ended"],
        "each ran once, and what ran was left alone"
    );
    assert_eq!(bench.count("SELECT count(*) FROM queue.attempts WHERE outcome = 'handed_back'").await, 3);
    assert_eq!(
        bench.count("SELECT count(*) FROM queue.finished WHERE attempt <> 1 OR crashes <> 0").await,
        0
    );
}
