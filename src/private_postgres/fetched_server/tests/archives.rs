//! Archives that would write outside of their folder.

use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::path::Path;

use tempfile::TempDir;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::names;
use crate::fetched_server::archive::unpack;
use crate::fetched_server::package::Registry;

#[test]
fn an_entry_that_leaves_the_folder_is_refused() {
    for path in ["../evil", "a/../../evil", "/tmp/evil"] {
        let folder = TempDir::new().unwrap();
        let mut wheel = ZipWriter::new(Cursor::new(Vec::new()));
        wheel.start_file(path, SimpleFileOptions::default()).unwrap();
        refuses(Registry::Python, folder.path(), &wheel.finish().unwrap().into_inner());

        // The writer refuses such names, so the name is put into the header as bytes.
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(0);
        header.set_mode(0o644);
        header.set_entry_type(tar::EntryType::Regular);
        refuses(Registry::Node, folder.path(), &tarball(header));
    }
}

#[test]
fn a_link_in_an_archive_is_refused() {
    let folder = TempDir::new().unwrap();
    let mut wheel = ZipWriter::new(Cursor::new(Vec::new()));
    wheel.add_symlink("link", "/etc", SimpleFileOptions::default()).unwrap();
    refuses(Registry::Python, folder.path(), &wheel.finish().unwrap().into_inner());

    let mut header = tar::Header::new_gnu();
    header.set_path("package/link").unwrap();
    header.set_size(0);
    header.set_mode(0o777);
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_link_name("/etc").unwrap();
    refuses(Registry::Node, folder.path(), &tarball(header));
}

fn tarball(mut header: tar::Header) -> Vec<u8> {
    header.set_cksum();
    let mut tarball =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    tarball.append(&header, &[][..]).unwrap();
    tarball.into_inner().unwrap().finish().unwrap()
}

fn refuses(registry: Registry, folder: &Path, bytes: &[u8]) {
    let (archive, unpacked) = (folder.join("archive"), folder.join("unpacked"));
    File::create(&archive).unwrap().write_all(bytes).unwrap();
    let _ = fs::create_dir(&unpacked);

    let error = unpack(registry, &archive, &unpacked).unwrap_err();

    assert!(error.contains("leaves the folder") || error.contains("neither a file nor a folder"), "{error}");
    assert_eq!(names(&unpacked), [""; 0]);
    assert!(names(folder).iter().all(|name| ["archive", "unpacked"].contains(&name.as_str())));
}
