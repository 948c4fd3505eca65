//! Whom the server runs as. PostgreSQL refuses to run as root; then it runs as the owner of its existing folder, else as
//! `postgres`, else as `nobody`.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Doing, Error};

/// The user of all the server's processes and files.
#[derive(Debug)]
pub(crate) struct ServerUser {
    pub(crate) uid: u32,
    /// User and group id; set when this process is root and must become somebody else.
    drop_to: Option<(u32, u32)>,
}

impl ServerUser {
    pub(crate) fn for_folder(folder: &Path) -> Result<Self, Error> {
        let own_uid = rustix::process::geteuid();
        if !own_uid.is_root() {
            return Ok(Self { uid: own_uid.as_raw(), drop_to: None });
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

    /// Whether this process is root, and the server runs as somebody else.
    pub(crate) fn is_another(&self) -> bool {
        self.drop_to.is_some()
    }

    /// A command that runs as this user. Of the environment it gets only what programs need to run: PostgreSQL's own variables
    /// would mislead it, and secrets are not its business.
    pub(crate) fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        if let Some((uid, gid)) = self.drop_to {
            command.uid(uid).gid(gid);
        }
        command.current_dir(folder).env_clear();
        for variable in ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
            if let Some(value) = env::var_os(variable) {
                command.env(variable, value);
            }
        }
        // Set, because macOS otherwise asks a framework that starts threads, which the server does not survive.
        command.env("LC_ALL", "C");
        command
    }

    /// Gives a file of root's to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        let Some((uid, gid)) = self.drop_to else { return Ok(()) };
        chown(path, Some(uid), Some(gid)).doing(|| format!("give {} to user id {uid}", path.display()))
    }

    /// Whether this user can reach a folder: a project under `/root` is out of its reach.
    pub(crate) fn can_enter(&self, folder: &Path) -> bool {
        if self.drop_to.is_none() {
            return true;
        }
        let mut enter = self.command(Path::new("/bin/sh"), Path::new("/"));
        enter.args(["-c", r#"cd "$0""#]).arg(folder).stdin(Stdio::null()).stderr(Stdio::null());
        enter.status().is_ok_and(|status| status.success())
    }

    /// Makes a folder that is this user's alone. Its parent must exist.
    pub(crate) fn private_folder(&self, folder: &Path) -> Result<(), Error> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(error).doing(|| format!("make {}", folder.display()));
            }
            _ => {}
        }
        // Nothing but root's own is given away: in `/tmp` somebody else may have been quicker.
        if self.drop_to.is_some() && is_empty_folder_of_root(folder) {
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

/// A folder that an image or a script of root's has prepared.
fn is_empty_folder_of_root(folder: &Path) -> bool {
    let is_root_s =
        fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == 0);
    is_root_s && fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// User and group id of a user name; never root's. Users may come from a directory service, which `id` knows how to ask.
fn ids_of(name: &str) -> Option<(u32, u32)> {
    let ask = |option: &str| {
        let answer = Command::new("id").args([option, name]).stdin(Stdio::null()).output().ok()?;
        String::from_utf8_lossy(&answer.stdout).trim().parse::<u32>().ok()
    };
    Some((ask("-u")?, ask("-g")?)).filter(|(uid, _)| *uid != 0)
}
