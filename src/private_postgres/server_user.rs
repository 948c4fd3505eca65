//! Whom the server runs as. PostgreSQL refuses to run as root; then it runs as the owner of its existing folder, else as
//! `postgres`, else as `nobody`.

use std::ffi::CString;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Doing, Error};

/// The user of all the server's processes and files.
pub(crate) struct ServerUser {
    pub(crate) uid: u32,
    /// Set when this process is root and must become somebody else.
    drop_to: Option<(u32, u32)>,
}

impl ServerUser {
    pub(crate) fn for_folder(folder: &Path) -> Result<Self, Error> {
        let own_uid = effective_uid();
        if own_uid != 0 {
            return Ok(Self { uid: own_uid, drop_to: None });
        }
        if let Ok(owner) = fs::metadata(folder)
            && owner.uid() != 0
        {
            return Ok(Self { uid: owner.uid(), drop_to: Some((owner.uid(), owner.gid())) });
        }
        let somebody =
            ["postgres", "_postgres", "nobody"].into_iter().find_map(ids_of).ok_or(Error::NoServerUser)?;
        Ok(Self { uid: somebody.0, drop_to: Some(somebody) })
    }

    /// A command that runs as this user, unimpressed by the environment's PostgreSQL variables.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.drop_to {
            command.uid(uid).gid(gid);
        }
        command.current_dir(folder);
        for variable in ["PGDATA", "PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGOPTIONS"] {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.drop_to else { return Ok(()) };
        chown(path, Some(uid), Some(gid)).doing(|| format!("give {} to user id {uid}", path.display()))
    }

    /// Whether this user can reach a folder: a project under `/root` is out of its reach.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        let enter = || {
            self.command(Path::new("/bin/sh"), Path::new("/"))
                .args(["-c", r#"cd "$0""#])
                .arg(folder)
                .stderr(Stdio::null())
                .status()
        };
        self.drop_to.is_none() || enter().is_ok_and(|status| status.success())
    }

    /// Makes a folder that is this user's alone.
    pub(crate) fn private_folder(&self, folder: &Path) -> Result<(), Error> {
        if !folder.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .doing(|| format!("make {}", folder.display()))?;
            self.own(folder)?;
        }
        let metadata = fs::symlink_metadata(folder).doing(|| format!("look at {}", folder.display()))?;
        if !metadata.is_dir() || metadata.uid() != self.uid {
            return Err(Error::ForeignFolder { path: folder.to_owned(), uid: self.uid });
        }
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .doing(|| format!("close {} to others", folder.display()))
    }
}

#[expect(
    unsafe_code,
    reason = "std has no way to ask for the effective user id; the call has no preconditions"
)]
fn effective_uid() -> u32 {
    unsafe { libc::geteuid() }
}

/// User and group id of a user name; never root's.
#[expect(
    unsafe_code,
    reason = "std cannot look up users; the result is read before anything else could call getpwnam"
)]
fn ids_of(name: &str) -> Option<(u32, u32)> {
    let name = CString::new(name).ok()?;
    // SAFETY: the pointer is valid for the call, and the static result is copied at once.
    let ids = unsafe { libc::getpwnam(name.as_ptr()).as_ref().map(|entry| (entry.pw_uid, entry.pw_gid)) };
    ids.filter(|(uid, _)| *uid != 0)
}
