//! Where fetched servers are kept: each in a folder of its own, which appears in one step when all of it is there.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use super::package::Package;
use crate::server_binaries::{self, ServerBinaries};
use crate::server_user::ServerUser;

/// Root's: the server's user has to read it, and other users may use it too.
const SHARED: &str = "/var/cache/cloudybot/postgres";

/// What a fetch that was killed leaves begins so.
const DRAFT: &str = "unfinished-";

/// A folder of fetched servers.
#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) folder: PathBuf,
}

/// Where fetched servers may be, those of this user's own first.
pub(super) fn places(user: &ServerUser) -> Vec<PathBuf> {
    let mut places = own_places(user);
    if !user.is_another() {
        places.push(SHARED.into());
    }
    places
}

/// Where this user may put one.
fn own_places(user: &ServerUser) -> Vec<PathBuf> {
    if user.is_another() {
        return vec![SHARED.into()];
    }
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(below_home)));
    let in_cache = cache.map(|cache| cache.join("cloudybot/postgres"));
    // For a user without a home of its own.
    in_cache.into_iter().chain([env::temp_dir().join(format!("cloudybot-postgres-{}", user.uid))]).collect()
}

impl Shelf {
    /// The first place of this user's that can be written to.
    pub(super) fn writable(user: &ServerUser) -> Result<Self, String> {
        let mut reasons = Vec::new();
        for folder in own_places(user) {
            match prepare(&folder, user) {
                Ok(()) => return Ok(Self { folder }),
                Err(reason) => {
                    reasons.push(format!("cannot keep a server in {}: {reason}", folder.display()))
                }
            }
        }
        Err(reasons.join("; "))
    }

    /// A complete server, if one of these packages was fetched. Only what this user or root has put there counts.
    pub(super) fn find<'a>(&self, packages: impl IntoIterator<Item = &'a Package>) -> Option<ServerBinaries> {
        let places = packages.into_iter().map(|package| (self.folder.join(package.folder()), package));
        let mut servers = places.filter(|(place, _)| is_trusted(&self.folder) && is_trusted(place));
        servers.find_map(|(place, package)| server_binaries::check(&place.join(package.programs)).ok())
    }

    /// Held while a server is fetched. A process that is killed lets go of it.
    pub(super) fn lock(&self) -> Result<File, String> {
        let path = self.folder.join("fetch.lock");
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let lock = opened.and_then(|file| file.lock().map(|()| file));
        let lock = lock.map_err(|error| format!("{}: {error}", path.display()))?;
        self.remove_drafts();
        Ok(lock)
    }

    /// Nobody works on them: who does has the lock.
    fn remove_drafts(&self) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(DRAFT)) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }

    /// A folder to work in, beside the servers, so that one can be moved to its place in one step.
    pub(super) fn draft(&self) -> Result<Draft, String> {
        let folder = self.folder.join(format!("{DRAFT}{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(Draft(folder))
    }

    /// Moves an unpacked server to its place.
    pub(super) fn keep(&self, unpacked: &Path, package: &Package) -> Result<ServerBinaries, String> {
        let place = self.folder.join(package.folder());
        // One that is there was found wanting: a disk that failed, or a hand.
        let broken = unpacked.with_extension("broken");
        let moved = || -> std::io::Result<()> {
            if place.exists() {
                fs::rename(&place, broken)?;
            }
            fs::rename(unpacked, &place)?;
            File::open(&self.folder)?.sync_all()
        };
        moved().map_err(|error| format!("cannot move it to {}: {error}", place.display()))?;
        server_binaries::check(&place.join(package.programs))
    }
}

/// Removed with all that is in it, also when the fetch fails.
pub(super) struct Draft(PathBuf);

impl Draft {
    pub(super) fn folder(&self, name: &str) -> Result<PathBuf, String> {
        let folder = self.0.join(name);
        let made = fs::create_dir(&folder)
            .and_then(|()| fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)));
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes a shelf that nobody else may write to.
fn prepare(folder: &Path, user: &ServerUser) -> Result<(), String> {
    if user.is_another() {
        let shared = folder.parent().unwrap_or(folder);
        for folder in [shared, folder] {
            if folder.exists() {
                continue;
            }
            fs::create_dir_all(folder).map_err(|error| error.to_string())?;
            fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
                .map_err(|error| error.to_string())?;
        }
    } else {
        let parent = folder.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        user.private_folder(folder).map_err(|error| error.to_string())?;
    }
    if is_trusted(folder) {
        return Ok(());
    }
    Err("others may write there".to_owned())
}

/// A folder of this user's or root's that nobody else may write to.
fn is_trusted(folder: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    fs::symlink_metadata(folder)
        .is_ok_and(|found| found.is_dir() && [0, own].contains(&found.uid()) && found.mode() & 0o022 == 0)
}
