//! A wall clock that is wrong for one program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// How many seconds the clock is off.
const SECONDS: &str = "WRONG_CLOCK";

/// The same, read from a file that may change.
const FILE: &str = "WRONG_CLOCK_FILE";

/// A library that a program loads before all others; gone with this value.
pub(crate) struct WrongClock {
    _folder: TempDir,
    library: String,
}

impl WrongClock {
    /// In a folder that the database's user can read, too.
    pub(crate) fn compile() -> Self {
        let folder = TempDir::new().unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        let library = folder.path().join("wrong_clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/wrong_clock.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source);
        let output = compiler.output().expect("there is no C compiler: install gcc and libc6-dev");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::set_permissions(&library, fs::Permissions::from_mode(0o755)).unwrap();
        Self { library: library.into_os_string().into_string().unwrap(), _folder: folder }
    }

    /// Variables for a program whose clock is off by so many seconds.
    pub(crate) fn off_by<'a>(&'a self, seconds: &'a str) -> [(&'static str, &'a str); 2] {
        [("LD_PRELOAD", &self.library), (SECONDS, seconds)]
    }

    /// The same by what stands in this file.
    pub(crate) fn off_by_file<'a>(&'a self, file: &'a Path) -> [(&'static str, &'a str); 2] {
        [("LD_PRELOAD", &self.library), (FILE, file.to_str().unwrap())]
    }
}
