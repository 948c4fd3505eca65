//! How fast the queue is, and how fast Postgres would let it be, in the same run on the same server.
//!
//! ```text
//! cargo bench -p queue --bench throughput -- --jobs 20000 [--database-url URL] [--seconds 10] [--rounds 3] [--waiting 0] [--json]
//! ```
//!
//! Without a URL a private cluster is started, with every write synchronous as in production. What is compared with each other is measured in
//! turns, so that the machine's other work hits both. The ratio is the median of the ratios of the rounds; the least and the greatest of them stand
//! beside it. After each drain it is checked that every job ran exactly once.
#![allow(clippy::print_stdout, reason = "the table is what was asked for")]

mod bare_drains;
mod cpu;
mod latency;
mod measuring;
mod raw;
mod server;
mod table;
mod workload;

use clap::Parser;

use crate::bare_drains::BareDrain;
use crate::cpu::CpuPerJob;
use crate::measuring::{Drained, Measuring};
use crate::server::Server;
use crate::table::{Measure, median};
use crate::workload::{Handlers, Lanes};

/// What the service runs with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
struct Options {
    /// Jobs in each measurement
    #[arg(long, default_value_t = 20_000)]
    jobs: usize,
    /// A server where a database may be created; without it a private cluster is started
    #[arg(long)]
    database_url: Option<String>,
    /// How long latency is measured at each rate
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How often the rest is measured; the median counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Further jobs that wait in another pool while the tables are large
    #[arg(long, default_value_t = 0)]
    waiting: i64,
    /// Only the drains, in so many rounds; with `--waiting` while the tables are large
    #[arg(long, default_value_t = 0)]
    drains: usize,
    /// Only this one of the drains
    #[arg(long, requires = "drains")]
    only: Option<Drain>,
    /// One JSON object instead of a table
    #[arg(long)]
    json: bool,
    /// What cargo itself adds
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is drained.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Drain {
    /// Handlers return `Ok`.
    Plain,
    /// Handlers return `Ok`, and each job stands in a lane of its own.
    Lanes,
    /// Handlers complete their jobs.
    Completing,
}

/// Handlers that return `Ok` and are completed in batches.
const DRAIN: &str = "drain, handlers that return Ok";
/// The same in lanes.
const DRAIN_LANES: &str = "drain, handlers that return Ok, each job in a lane of its own";
/// Handlers that write a row and complete their job in that transaction.
const DRAIN_COMPLETING: &str = "drain, handlers that write a row and complete in their transaction";

const FINISHED: i64 = 1_000_000;
const FUTURE: i64 = 200_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let server = Server::start(options.database_url.as_deref()).await?;
    let measured = measure(&options, &server).await;
    let version = server.version().await?;
    server.end().await?;
    let measures = measured?;
    if options.json {
        println!("{}", serde_json::json!({ "server": version, "jobs": options.jobs, "measures": measures }));
        return Ok(());
    }
    let rounds = if options.drains > 0 { options.drains } else { options.rounds };
    println!("{version}, {} jobs, median of {rounds}\n", options.jobs);
    table::print(&measures);
    Ok(())
}

async fn measure(options: &Options, server: &Server) -> anyhow::Result<Vec<Measure>> {
    let jobs = options.jobs;
    if options.drains > 0 {
        if options.waiting > 0 {
            server.fill(FINISHED, FUTURE, options.waiting).await?;
        }
        return drains(server, options).await;
    }
    let mut rounds = Vec::new();
    for _ in 0..options.rounds.max(1) {
        rounds.push(round(server, jobs).await?);
    }
    let each = |pick: fn(&Round) -> f64| rounds.iter().map(pick).collect();
    let beside = |what, of: fn(&Round) -> f64, bare| Measure::in_rounds(what, "/s", each(of), each(bare));
    let mut measures = vec![
        beside("enqueue, one batch", |r| r.batch, |r| r.raw_batch),
        beside("enqueue, batches of 1000", |r| r.thousands, |r| r.raw_batch),
        beside("enqueue, 8 callers, one by one", |r| r.single, |r| r.raw_single),
        beside(DRAIN, |r| r.drain, |r| r.raw_drain),
        beside(DRAIN_LANES, |r| r.lanes, |r| r.raw_drain),
        beside(DRAIN_COMPLETING, |r| r.completing, |r| r.raw_completing),
        Measure::new("WAL of a drained job", "bytes", median(each(|r| r.wal_bytes))),
    ];
    for (rate, names) in [
        (50, ["start after enqueue at 50/s, p50", "p95", "p99"]),
        (200, ["start after enqueue at 200/s, p50", "p95", "p99"]),
    ] {
        let bare = latency::bare(server, rate, options.seconds).await?;
        let latency = latency::at(server, rate, options.seconds).await?;
        for (name, value, limit) in [
            (names[0], latency.p50, bare.p50),
            (names[1], latency.p95, bare.p95),
            (names[2], latency.p99, bare.p99),
        ] {
            measures.push(Measure::new(name, "ms", value).against(limit));
        }
    }
    server.fill(FINISHED, FUTURE, options.waiting).await?;
    let (mut full, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds.max(1) {
        full.push(workload::drain(server, jobs, Lanes::None, Handlers::ReturnOk).await?.per_sec);
        bare.push(bare_drain(server, jobs).await?.per_sec);
    }
    let beside = match options.waiting {
        0 => "drain beside 1 M finished and 200 k future".to_owned(),
        waiting => format!("drain beside 1 M finished, 200 k future and {waiting} waiting"),
    };
    measures.push(Measure::in_rounds(beside, "/s", full, bare));
    Ok(measures)
}

/// Drains and bare loops in turns.
async fn drains(server: &Server, options: &Options) -> anyhow::Result<Vec<Measure>> {
    let (jobs, only) = (options.jobs, options.only);
    let is_wanted = |sort| only.is_none_or(|only| only == sort);
    let (mut plain, mut lanes, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    let (mut completing, mut bare_completing) = (Vec::new(), Vec::new());
    let is_batched = is_wanted(Drain::Plain) || is_wanted(Drain::Lanes);
    for round in 0..options.drains {
        // Now the one goes first, now the other: what the first leaves behind for the second weighs on both.
        let bare_first = round % 2 == 0;
        if is_batched && bare_first {
            bare.push(bare_drain(server, jobs).await?);
        }
        if is_wanted(Drain::Plain) {
            plain.push(workload::drain(server, jobs, Lanes::None, Handlers::ReturnOk).await?);
        }
        if is_wanted(Drain::Lanes) {
            lanes.push(workload::drain(server, jobs, Lanes::Own, Handlers::ReturnOk).await?);
        }
        if is_batched && !bare_first {
            bare.push(bare_drain(server, jobs).await?);
        }
        if is_wanted(Drain::Completing) {
            bare_completing.push(bare_completing_drain(server, jobs).await?);
            completing.push(workload::drain(server, jobs, Lanes::None, Handlers::Complete).await?);
        }
    }
    let compared = [
        (DRAIN, &plain, &bare),
        (DRAIN_LANES, &lanes, &bare),
        (DRAIN_COMPLETING, &completing, &bare_completing),
    ];
    let measured = compared.into_iter().filter(|(_, drains, _)| !drains.is_empty());
    Ok(measured.flat_map(|(what, drains, bare)| compare(what, drains, bare)).collect())
}

/// Drains beside the bare loops of their rounds. What the bare loop takes of something stands in the column of limits.
fn compare(what: &str, drains: &[Drained], bare: &[Drained]) -> Vec<Measure> {
    let line = |part: &str, unit, pick: fn(&Drained) -> f64| {
        let each = |drains: &[Drained]| drains.iter().map(pick).collect();
        Measure::in_rounds(format!("{what}{part}"), unit, each(drains), each(bare))
    };
    let mut measures = vec![
        line("", "/s", |drained| drained.per_sec),
        line(": log per job", "bytes", |drained| drained.wal_bytes),
    ];
    if drains.iter().chain(bare).all(|drained| drained.cpu.is_some()) {
        measures.extend([
            line(": client's CPU per job", "µs", |drained| cpu(drained).client_us),
            line(": server's CPU per job", "µs", |drained| cpu(drained).server_us),
            line(": CPU per job", "µs", |drained| cpu(drained).client_us + cpu(drained).server_us),
        ]);
    }
    measures
}

fn cpu(drained: &Drained) -> CpuPerJob {
    drained.cpu.unwrap_or(CpuPerJob { client_us: 0.0, server_us: 0.0 })
}

/// Two bare clients that claim and delete in batches.
async fn bare_drain(server: &Server, jobs: usize) -> anyhow::Result<Drained> {
    raw::enqueue_batch(server, jobs).await?;
    run_bare(server, BareDrain::in_batches(&server.pool(2).await?).await?, jobs).await
}

/// Bare clients that claim in batches, and write a row and delete the job in one transaction each.
async fn bare_completing_drain(server: &Server, jobs: usize) -> anyhow::Result<Drained> {
    raw::enqueue_batch(server, jobs).await?;
    run_bare(server, BareDrain::one_by_one(&server.pool(bare_drains::WRITERS).await?).await?, jobs).await
}

async fn run_bare(server: &Server, clients: BareDrain, jobs: usize) -> anyhow::Result<Drained> {
    let measuring = Measuring::begin(&server.pg, &server.cpu).await?;
    clients.run(jobs).await?;
    Ok(measuring.end(jobs).await?)
}

/// One of each, in turns.
struct Round {
    batch: f64,
    raw_batch: f64,
    thousands: f64,
    single: f64,
    raw_single: f64,
    drain: f64,
    wal_bytes: f64,
    raw_drain: f64,
    lanes: f64,
    completing: f64,
    raw_completing: f64,
}

async fn round(server: &Server, jobs: usize) -> anyhow::Result<Round> {
    let raw_batch = raw::enqueue_batch(server, jobs).await?;
    let batch = workload::enqueue_batches(server, jobs, jobs).await?;
    let thousands = workload::enqueue_batches(server, jobs, 1000).await?;
    let raw_single = raw::enqueue_single(server, jobs, 8).await?;
    let single = workload::enqueue_single(server, jobs, 8).await?;
    let raw_drain = bare_drain(server, jobs).await?.per_sec;
    let drained = workload::drain(server, jobs, Lanes::None, Handlers::ReturnOk).await?;
    let lanes = workload::drain(server, jobs, Lanes::Own, Handlers::ReturnOk).await?.per_sec;
    let raw_completing = bare_completing_drain(server, jobs).await?.per_sec;
    let completing = workload::drain(server, jobs, Lanes::None, Handlers::Complete).await?.per_sec;
    Ok(Round {
        batch,
        raw_batch,
        thousands,
        single,
        raw_single,
        drain: drained.per_sec,
        wal_bytes: drained.wal_bytes,
        raw_drain,
        lanes,
        completing,
        raw_completing,
    })
}
