//! Processor time of this process and of the server. It tells builds apart on a machine that has other work, where the time that passes cannot.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use sqlx::PgPool;

/// Processor time, in nanoseconds.
pub(crate) struct CpuTime {
    client_ns: u64,
    /// Of each process of the server: what one took that has ended meanwhile does not count.
    server_ns: HashMap<u32, u64>,
}

/// Processor time for each job, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct CpuPerJob {
    pub(crate) client_us: f64,
    pub(crate) server_us: f64,
}

/// The processes whose time counts. The server's are known where it runs on this machine, which must be Linux.
pub(crate) struct CpuMeter {
    postmaster: Option<u32>,
}

impl CpuMeter {
    pub(crate) async fn of(pg: &PgPool) -> sqlx::Result<Self> {
        let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(pg).await?;
        let postmaster = u32::try_from(backend).ok().and_then(parent);
        Ok(Self { postmaster })
    }

    /// What the processes that live now have taken. `None` where that cannot be known.
    pub(crate) fn now(&self) -> Option<CpuTime> {
        let postmaster = self.postmaster?;
        let server = numbers("/proc").filter(|process| parent(*process) == Some(postmaster));
        let server_ns =
            server.chain([postmaster]).filter_map(|process| Some((process, process_ns(process)?))).collect();
        Some(CpuTime { client_ns: process_ns(std::process::id())?, server_ns })
    }

    /// What each job took since then.
    pub(crate) fn per_job_since(&self, before: Option<CpuTime>, jobs: usize) -> Option<CpuPerJob> {
        let (before, after) = (before?, self.now()?);
        let server_ns = after.server_ns.iter();
        let server_ns =
            server_ns.map(|(process, ns)| ns - before.server_ns.get(process).copied().unwrap_or(0));
        let per_job = |ns: u64| ns as f64 / 1000.0 / jobs as f64;
        Some(CpuPerJob {
            client_us: per_job(after.client_ns - before.client_ns),
            server_us: per_job(server_ns.sum()),
        })
    }
}

/// The time of all threads that a process has now.
fn process_ns(process: u32) -> Option<u64> {
    let threads = format!("/proc/{process}/task");
    if !Path::new(&threads).exists() {
        return None;
    }
    Some(numbers(&threads).filter_map(|thread| on_cpu_ns(&format!("{threads}/{thread}/schedstat"))).sum())
}

fn on_cpu_ns(schedstat: &str) -> Option<u64> {
    fs::read_to_string(schedstat).ok()?.split(' ').next()?.parse().ok()
}

fn parent(process: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

/// The folders in this one whose names are numbers.
fn numbers(folder: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}
