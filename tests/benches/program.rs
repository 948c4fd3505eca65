//! The program as an operator runs it, on a durable server of its own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use private_postgres::cluster::{ClusterSettings, PrivatePostgres};
use sqlx::PgPool;

/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(900);

/// Starts a server that writes every commit to its disk, and makes the tables.
pub(crate) async fn server(folder: &Path) -> anyhow::Result<(PrivatePostgres, PgPool)> {
    let settings =
        ClusterSettings { durable: true, ..ClusterSettings::new(folder.join("postgres"), "bench") };
    let postgres = tokio::task::spawn_blocking(move || PrivatePostgres::start(&settings)).await??;
    let pg = PgPool::connect(&postgres.url()).await?;
    store::migrations::run(&pg).await?;
    Ok((postgres, pg))
}

/// Waits until the database says yes.
pub(crate) async fn until(pg: &PgPool, question: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !sqlx::query_scalar::<_, bool>(sqlx::AssertSqlSafe(question.to_owned())).fetch_one(pg).await? {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "this takes too long: {question}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// A process of the program. It ends with this value.
pub(crate) struct Program {
    process: Child,
    /// Where it listens.
    pub(crate) url: String,
    env: Vec<(String, String)>,
}

impl Program {
    /// Starts it with these keys, spelled as in the environment, and waits until it is ready.
    pub(crate) async fn start(database_url: &str, env: &[(&str, &str)]) -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        drop(listener);
        let mut env: Vec<(String, String)> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        env.push(("DATABASE_URL".to_owned(), database_url.to_owned()));
        env.push(("CLOUDYBOT_SECRET_KEY".to_owned(), "of the hashes".to_owned()));
        env.push(("CLOUDYBOT__SERVER__LISTEN".to_owned(), address.to_string()));
        // The built-in Twilio, whatever credentials are given: nothing leaves this machine.
        let process = bare(&env).arg("--sandbox").stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let program = Self { process, url: format!("http://{address}"), env };
        let begun = Instant::now();
        let ready = format!("{}/readyz", program.url);
        while !reqwest::get(&ready).await.is_ok_and(|answer| answer.status().is_success()) {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(60), "the program does not start");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(program)
    }

    /// Runs the command line beside it.
    pub(crate) fn command(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let output = bare(&self.env).args(arguments).output()?;
        let told = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{arguments:?}: {told}");
        Ok(())
    }

    /// The most memory it ever had in KiB, as the kernel counts it.
    #[allow(dead_code, reason = "not every benchmark asks")]
    pub(crate) fn peak_memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        Ok(line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0))
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

fn bare(env: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudybot"));
    command.envs(env.iter().map(|(name, value)| (name, value)));
    command
}
