//! Where a cluster is, and whom it belongs to.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cluster::ClusterSettings;
use crate::error::{Doing, Error};
use crate::server_user::ServerUser;

/// A socket's path may have about a hundred bytes, of which the file's name needs fifteen.
const SOCKET_FOLDER_MAX_BYTES: usize = 85;

/// A development cluster is started often, and nobody turns its log over.
const LOG_MAX_BYTES: u64 = 10 << 20;

/// The folders of one cluster, all closed to other users.
#[derive(Debug)]
pub(crate) struct ClusterFolders {
    /// Whom all of it belongs to.
    pub(crate) user: ServerUser,
    /// Holds everything else, and the server's log.
    pub(crate) folder: PathBuf,
    /// The server's own folder.
    pub(crate) data: PathBuf,
    /// Where clients find the socket.
    pub(crate) socket_folder: PathBuf,
}

impl ClusterFolders {
    /// The same for every process that asks with the same settings.
    pub(crate) fn choose(settings: &ClusterSettings) -> Result<Self, Error> {
        let user = ServerUser::for_folder(&settings.directory)?;
        let folder = reachable_folder(settings, &user)?;
        let socket_folder = socket_folder(&folder, &user, &settings.name)?;
        Ok(Self { user, data: folder.join("pgdata"), socket_folder, folder })
    }

    /// Waits until no other process is starting this cluster; the lock lasts as long as the file.
    pub(crate) fn gate(&self) -> Result<File, Error> {
        let gate = self.open_for_writing("start.lock")?;
        gate.lock().doing(|| "wait for another process that starts the database".to_owned())?;
        Ok(gate)
    }

    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The server's log, to be appended to; one that has grown too long begins anew.
    pub(crate) fn open_log(&self) -> Result<File, Error> {
        let log = self.open_for_writing("server.log")?;
        if log.metadata().is_ok_and(|metadata| metadata.len() > LOG_MAX_BYTES) {
            log.set_len(0).doing(|| "shorten the server's log".to_owned())?;
        }
        Ok(log)
    }

    /// The major version that made the cluster; `None`: there is no cluster.
    pub(crate) fn data_version(&self) -> Option<u32> {
        fs::read_to_string(self.data.join("PG_VERSION")).ok()?.trim().parse().ok()
    }

    /// Root's files too belong to the server's user, who may start this cluster without root's help the next time.
    fn open_for_writing(&self, name: &str) -> Result<File, Error> {
        let path = self.folder.join(name);
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        let file = opened.doing(|| format!("open {}", path.display()))?;
        self.user.own(&path)?;
        Ok(file)
    }
}

/// The folder that was asked for, or one under `/var/lib` when the server's user cannot reach it.
fn reachable_folder(settings: &ClusterSettings, user: &ServerUser) -> Result<PathBuf, Error> {
    let wanted = std::path::absolute(&settings.directory)
        .doing(|| format!("resolve {}", settings.directory.display()))?;
    let parent = wanted.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).doing(|| format!("make {}", parent.display()))?;
    if user.can_enter(parent) {
        user.private_folder(&wanted)?;
        return Ok(wanted);
    }
    let home = PathBuf::from("/var/lib").join(&settings.name);
    if !home.exists() {
        fs::create_dir_all(&home).doing(|| format!("make {}", home.display()))?;
        // Root's file mask may be strict; the server's user has to pass through.
        fs::set_permissions(&home, fs::Permissions::from_mode(0o755))
            .doing(|| format!("open {} to others", home.display()))?;
    }
    let elsewhere = home.join(format!("pg-{:08x}", hash(&wanted)));
    user.private_folder(&elsewhere)?;
    tracing::info!(
        wanted = %wanted.display(),
        folder = %elsewhere.display(),
        "The database lives in {}: its user cannot reach {}",
        elsewhere.display(),
        wanted.display()
    );
    Ok(elsewhere)
}

/// The cluster's folder, or a short one when a socket there could not be named: in an address, on the server's command line
/// (where a comma separates folders) or in a shell.
fn socket_folder(folder: &Path, user: &ServerUser, name: &str) -> Result<PathBuf, Error> {
    let bytes = folder.as_os_str().as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
    if bytes.len() <= SOCKET_FOLDER_MAX_BYTES && bytes.iter().all(is_plain) {
        return Ok(folder.to_owned());
    }
    // Not TMPDIR: every process of the cluster must come to the same folder.
    let short = PathBuf::from(format!("/tmp/{name}-{}-{:08x}", user.uid, hash(folder)));
    user.private_folder(&short)?;
    Ok(short)
}

/// FNV-1a: the same folder must get the same name in every process and version.
fn hash(path: &Path) -> u32 {
    path.as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
