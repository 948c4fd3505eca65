//! The processes of a [`TestApp`]: how the program is started, ended, asked and watched.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use futures::future::join_all;
use rustix::process::{Pid, Signal};

use super::{ACCOUNT_SID, ADMIN_TOKEN, API_TOKEN, AUTH_TOKEN, NUMBER, PATIENCE, TestApp};

/// The program once more.
pub(super) struct Other {
    process: Child,
    address: SocketAddr,
    /// Keys of its own, spelled as in the environment.
    env: Vec<(String, String)>,
}

impl TestApp {
    /// Starts the program, and waits until it is ready.
    pub(crate) async fn launch(&mut self) {
        self.process = Some(self.spawn(self.address, &[]).await);
    }

    /// The same with keys of this start's own.
    pub(crate) async fn launch_with(&mut self, env: &[(&str, &str)]) {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.process = Some(self.spawn(self.address, &env).await);
    }

    /// Starts the program once more, on the same database; returns where this process listens.
    pub(crate) async fn launch_another(&mut self) -> SocketAddr {
        self.launch_another_with(&[]).await
    }

    /// The same with keys of this process's own.
    pub(crate) async fn launch_another_with(&mut self, env: &[(&str, &str)]) -> SocketAddr {
        let address = free_address();
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let process = self.spawn(address, &env).await;
        self.others.push(Other { process, address, env });
        address
    }

    /// `kill -9` of one of all processes, and another in its place.
    pub(crate) async fn kill_one(&mut self, number: usize) {
        if number >= self.others.len() {
            self.kill();
            self.launch().await;
            return;
        }
        let Other { mut process, address, env } = self.others.swap_remove(number);
        process.kill().unwrap();
        process.wait().unwrap();
        let process = self.spawn(address, &env).await;
        self.others.push(Other { process, address, env });
    }

    async fn spawn(&self, listen: SocketAddr, env: &[(String, String)]) -> Child {
        let process = self.program(listen, env).spawn().unwrap();
        self.until("the program is ready", async || {
            let answer = self.http.get(format!("http://{listen}/readyz")).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
        .await;
        process
    }

    /// Starts the program once more with keys of its own, and expects that it refuses; returns what it said.
    pub(crate) async fn refused(&self, env: &[(&str, &str)]) -> String {
        let env: Vec<_> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let mut command = self.program(free_address(), &env);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let begun = Instant::now();
        while process.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        let runs_on = process.try_wait().unwrap().is_none();
        process.kill().unwrap();
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!runs_on, "the program was not refused: {said}");
        assert!(!output.status.success(), "{said}");
        said
    }

    /// The program as it will be started, with short times.
    fn program(&self, listen: SocketAddr, env: &[(String, String)]) -> Command {
        let short = [
            ("AGENT__DEBOUNCE", "0s"),
            ("AGENT__DEBOUNCE_CAP", "0s"),
            ("QUEUE__LEASE", "1500ms"),
            ("QUEUE__RENEW", "300ms"),
            ("QUEUE__POLL", "100ms"),
            ("TWILIO__SEND_DEADLINE", "1500ms"),
            ("TWILIO__SEND_START_WITHIN", "1s"),
            ("TWILIO__IN_DOUBT_GRACE", "1500ms"),
            ("TWILIO__IN_DOUBT_SECOND_LOOK", "500ms"),
            ("DELIVERIES__CALLBACK_WAIT", "1s"),
            ("SERVER__SHUTDOWN_GRACE", "5s"),
            ("SERVER__DRAIN", "0s"),
            // A burst of webhooks is taken in on a busy machine, too.
            ("SERVER__WEBHOOK_TIMEOUT", "20s"),
        ];
        let mut command = match self.files {
            None => Command::new(env!("CARGO_BIN_EXE_cloudybot")),
            Some((soft, hard)) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\"")]);
                shell.arg(env!("CARGO_BIN_EXE_cloudybot"));
                shell
            }
        };
        for (name, _) in
            std::env::vars().filter(|(name, _)| name.starts_with("CLOUDYBOT") || name.starts_with("TWILIO"))
        {
            command.env_remove(name);
        }
        command.envs(short.map(|(name, value)| (format!("CLOUDYBOT__{name}"), value)));
        command
            .env("DATABASE_URL", &self.database_url)
            .env("CLOUDYBOT__SCHEDULES__DIRECTORY", self.schedules.path())
            .env("CLOUDYBOT_ADMIN_TOKEN", ADMIN_TOKEN)
            .env("CLOUDYBOT_API_TOKEN", API_TOKEN)
            .env("CLOUDYBOT_SECRET_KEY", "of the hashes")
            .env("TWILIO_ACCOUNT_SID", ACCOUNT_SID)
            .env("TWILIO_AUTH_TOKEN", AUTH_TOKEN)
            .env("TWILIO_WHATSAPP_NUMBER", NUMBER)
            .env("TWILIO_API_BASE_URL", self.sandbox.base_url())
            .env("TWILIO_WEBHOOK_PUBLIC_URL", format!("http://{}", self.address))
            .env("CLOUDYBOT__SERVER__LISTEN", listen.to_string())
            .envs(self.env.iter().chain(env).map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        if std::env::var_os("SHOW_LOGS").is_none() {
            let log = File::options().create(true).append(true).open(self.log.path()).unwrap();
            command.stderr(log);
        }
        command
    }

    /// Runs the command line beside the program; its exit code and what it printed.
    pub(crate) async fn command(&self, arguments: &[&str]) -> (bool, String) {
        self.command_with(&[], arguments).await
    }

    /// The same with keys of its own.
    pub(crate) async fn command_with(&self, env: &[(&str, &str)], arguments: &[&str]) -> (bool, String) {
        let output = self.output(env, arguments).await;
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// The same with its exit code, and the answer alone where there is one.
    pub(crate) async fn exit_code(&self, env: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.output(env, arguments).await;
        let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    async fn output(&self, env: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloudybot"));
        command
            .args(arguments)
            .env("DATABASE_URL", &self.database_url)
            .env("CLOUDYBOT__SCHEDULES__DIRECTORY", self.schedules.path())
            .env("CLOUDYBOT_SECRET_KEY", "of the hashes")
            .envs(env.iter().copied());
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    /// Everything that the program has logged; nothing with `SHOW_LOGS`, which sends it to the terminal.
    pub(crate) fn logged(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    /// What the kernel says of the process in one of its files.
    #[cfg(target_os = "linux")]
    pub(crate) fn kernels(&self, file: &str) -> String {
        let process = self.process.as_ref().unwrap().id();
        std::fs::read_to_string(format!("/proc/{process}/{file}")).unwrap()
    }

    /// The memory that it has now in KiB, as the kernel counts it.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_kib(&self) -> u64 {
        let status = self.kernels("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// SIGTERM; returns the exit code.
    pub(crate) async fn terminate(&mut self) -> Option<i32> {
        self.ask_to_stop();
        self.stopped().await
    }

    /// SIGTERM alone.
    pub(crate) fn ask_to_stop(&self) {
        send_term(self.process.as_ref().unwrap());
    }

    /// Waits until it has stopped; returns the exit code.
    pub(crate) async fn stopped(&mut self) -> Option<i32> {
        exit_code_of(self.process.take().unwrap()).await
    }

    /// SIGTERM for these of the other processes, and when they have stopped the same ones once more, at the same addresses. Returns the exit codes.
    pub(crate) async fn restart_others(&mut self, addresses: &[SocketAddr]) -> Vec<Option<i32>> {
        let (stopping, staying) = std::mem::take(&mut self.others)
            .into_iter()
            .partition(|other| addresses.contains(&other.address));
        self.others = staying;
        let stopping: Vec<Other> = stopping;
        stopping.iter().for_each(|other| send_term(&other.process));
        let mut codes = Vec::new();
        let mut again = Vec::new();
        for Other { process, address, env } in stopping {
            codes.push(exit_code_of(process).await);
            again.push((address, env));
        }
        let processes = join_all(again.iter().map(|(address, env)| self.spawn(*address, env))).await;
        let others = again.into_iter().zip(processes);
        self.others.extend(others.map(|((address, env), process)| Other { process, address, env }));
        codes
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.kill();
        for Other { process, .. } in &mut self.others {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }
}

fn send_term(process: &Child) {
    rustix::process::kill_process(Pid::from_child(process), Signal::TERM).unwrap();
}

async fn exit_code_of(mut process: Child) -> Option<i32> {
    tokio::task::spawn_blocking(move || process.wait().unwrap().code()).await.unwrap()
}

/// A port that is free now. It lies below those that the kernel gives to outgoing connections, one of which could take it before the program does.
pub(crate) fn free_address() -> SocketAddr {
    loop {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(16_000..32_000)));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
