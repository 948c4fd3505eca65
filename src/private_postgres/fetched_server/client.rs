//! The package clients, and running them. They look for packages where their user has told them to.

use std::fmt::{self, Display, Formatter};
use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::package::{Package, Registry};

/// A client that does not even tell its version in this time is not there.
const VERSION_LIMIT: Duration = Duration::from_secs(10);

/// How often a client that runs is looked at.
const POLL: Duration = Duration::from_millis(20);

/// As much of a client's words as an error quotes.
const QUOTE_CHARS: usize = 300;

/// How pip and npm begin to tell why they have no connection, or no package.
const CAUSES: [&str; 3] = ["connection broken by", "request to ", "404 Not Found"];

/// Given as the Python that the wheel is for: any will do, and an old one of this machine would refuse a wheel that needs none.
const PYTHON: &str = "3.12";

/// How a client is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Client {
    program: &'static str,
    arguments: &'static [&'static str],
    registry: Registry,
}

/// A Python without pip is common, so pip is asked for its version and not Python.
const CLIENTS: [Client; 4] = [
    Client { program: "python3", arguments: &["-m", "pip"], registry: Registry::Python },
    Client { program: "pip3", arguments: &[], registry: Registry::Python },
    Client { program: "pip", arguments: &[], registry: Registry::Python },
    Client { program: "npm", arguments: &[], registry: Registry::Node },
];

impl Client {
    /// The first one on this machine.
    pub(super) fn find(registry: Registry) -> Option<Self> {
        CLIENTS.into_iter().find(|client| client.registry == registry && client.is_here())
    }

    #[cfg(test)]
    pub(super) const fn of_test(
        program: &'static str,
        arguments: &'static [&'static str],
        registry: Registry,
    ) -> Self {
        Self { program, arguments, registry }
    }

    fn is_here(&self) -> bool {
        let mut command = self.command(Path::new("/"));
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        let ended = command.spawn().ok().and_then(|mut child| wait(&mut child, VERSION_LIMIT));
        ended.is_some_and(|status| status.success())
    }

    /// Leaves the package's archive, and nothing else, in this folder.
    pub(super) fn download(&self, package: &Package, folder: &Path, limit: Duration) -> Result<(), String> {
        let scratch = folder.with_extension("client");
        fs::create_dir(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
        let mut command = self.command(folder);
        match self.registry {
            Registry::Python => {
                command.args([
                    "download",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--no-input",
                    "--progress-bar=off",
                ]);
                command.args(["--disable-pip-version-check", "--retries=1", "--timeout=15"]);
                command.args(["--python-version", PYTHON, "--platform", package.platform, "--dest", "."]);
                command.arg(format!("{}=={}", package.name, package.version));
            }
            Registry::Node => {
                command.args([
                    "pack",
                    "--ignore-scripts",
                    "--fetch-retries=1",
                    "--fetch-retry-mintimeout=500",
                ]);
                // As root it would leave root's files in a user's cache, and a home may not be writable.
                command.arg("--cache").arg(&scratch);
                command.arg(format!("{}@{}", package.name, package.version));
            }
        }
        let log = scratch.join("words");
        let open = || -> std::io::Result<(File, File)> {
            let file = File::create(&log)?;
            Ok((file.try_clone()?, file))
        };
        let (out, err) = open().map_err(|error| format!("{}: {error}", log.display()))?;
        let mut child = command.stdout(out).stderr(err).spawn().map_err(|error| error.to_string())?;
        let ended = wait(&mut child, limit);
        let words = || telling_line(&fs::read_to_string(&log).unwrap_or_default());
        match ended {
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(words().unwrap_or_else(|| status.to_string())),
            None => Err(format!("not done after {} s: {}", limit.as_secs(), words().unwrap_or_default())),
        }
    }

    /// In a folder without a project, whose settings or modules could come in.
    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(self.program);
        command.args(self.arguments).current_dir(folder).stdin(Stdio::null());
        // Nothing is installed, so a rule about where to install is not meant.
        command.env("PIP_REQUIRE_VIRTUALENV", "0");
        command
    }
}

impl Display for Client {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.program)?;
        self.arguments.iter().try_for_each(|argument| write!(formatter, " {argument}"))
    }
}

/// `None`: it took too long, and was ended.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let begun = Instant::now();
    while begun.elapsed() < limit {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => thread::sleep(POLL),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// The last line that tells what is wrong, without a user or password that an address in it may have.
fn telling_line(words: &str) -> Option<String> {
    let is_about_the_log = |line: &str| line.contains("complete log") || line.contains("debug-0.log");
    let lines = || words.lines().map(str::trim).filter(|line| !line.is_empty() && !is_about_the_log(line));
    let names_an_error = |line: &&str| line.to_lowercase().contains("error");
    // Without a network pip ends with "no matching distribution" and npm with a stack trace; both have told the cause before.
    let from_cause = |line: &str| CAUSES.iter().find_map(|cause| line.find(cause));
    let cause = lines().rev().find_map(|line| from_cause(line).map(|at| &line[at..]));
    let line = cause.or_else(|| lines().rfind(names_an_error));
    let line = line.or_else(|| lines().next_back())?;
    Some(without_credentials(line).chars().take(QUOTE_CHARS).collect())
}

fn without_credentials(line: &str) -> String {
    let mut parts = line.split("://");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |told, part| {
        let host_end = part.find(['/', ' ', '\'', '"', ')', '>']).unwrap_or(part.len());
        match part[..host_end].rfind('@') {
            Some(at) => format!("{told}://…{}", &part[at..]),
            None => format!("{told}://{part}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_clients_words_the_line_that_tells_is_kept() {
        let told = |words: &str| telling_line(words).unwrap();
        let pip = "WARNING: Retrying (total=0) after connection broken by 'no route': /x/\nERROR: No matching distribution found\n";
        let npm = "npm ERR! FetchError: request to http://host/ failed, reason: no route\nnpm ERR!     at emit (node:events:1:2)\nnpm ERR! }\n";
        let log = "npm error code E1\nnpm error no such thing\nnpm error A complete log of this run can be found in: /x/debug-0.log\n";

        assert_eq!(told(pip), "connection broken by 'no route': /x/");
        assert_eq!(told(npm), "request to http://host/ failed, reason: no route");
        assert_eq!(told(log), "npm error no such thing");
        assert_eq!(told("ERROR: wrong\n\n[notice] later\n"), "ERROR: wrong");
        assert_eq!(told("first\nlast\n"), "last");
        assert_eq!(telling_line(" \n"), None);
    }

    #[test]
    fn no_credentials_of_an_address_are_kept() {
        let line =
            "Could not find https://me:se@cret@host/simple, see 'https://token@host' and https://host/a@b";

        assert_eq!(
            without_credentials(line),
            "Could not find https://…@host/simple, see 'https://…@host' and https://host/a@b"
        );
    }
}
