//! What the clients push: real layers that they can unpack and real programs that they can run.
//!
//! Small images hold Debian's static busybox. The big one is a real Debian root file system, made
//! of the essential packages that are installed on this machine and all they depend on, so that
//! nothing has to be downloaded: 70 MB in thousands of files, links of both kinds, setuid bits.

use super::sandbox::{Sandbox, prepare};
use crate::support::image::{Image, digest};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The program that every small image holds.
pub const BUSYBOX: &str = "busybox";

/// Makes a root file system of busybox and one file, `/message`; answers its path.
pub fn busybox_root(sandbox: &Sandbox, name: &str, message: &str) -> PathBuf {
    let root = sandbox.path(name);
    for folder in ["bin", "etc", "tmp", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(folder)).expect("make a folder");
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).expect("copy busybox");
    for applet in ["sh", "cat", "echo", "ls", "stat", "sha256sum"] {
        symlink("busybox", root.join("bin").join(applet)).expect("make a link");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("write passwd");
    fs::write(root.join("message"), message).expect("write the message");
    root
}

/// The tar of a folder, the same for the same files.
pub fn tar(folder: &Path) -> Vec<u8> {
    prepare(
        folder,
        "tar",
        &[
            "--sort=name",
            "--mtime=@0",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-c",
            ".",
        ],
    )
}

/// An image whose layers are these tars, gzipped, and that prints `/message` when it is run.
pub fn image(sandbox: &Sandbox, architecture: &str, tars: &[Vec<u8>]) -> Image {
    let gzip = |tar: &Vec<u8>| {
        fs::write(sandbox.path("layer.tar"), tar).expect("write the tar");
        prepare(
            &sandbox.path(""),
            "gzip",
            &["--fast", "--no-name", "--stdout", "layer.tar"],
        )
    };
    let diff_ids: Vec<_> = tars.iter().map(digest).collect();
    let config = json!({
        "architecture": architecture, "os": "linux",
        "config": {"Cmd": ["/bin/cat", "/message"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    Image::new(&config, tars.iter().map(gzip).collect())
}

/// An image of busybox for this machine, in two layers, that prints the message when it is run.
pub fn busybox_image(sandbox: &Sandbox, message: &str) -> Image {
    let base = busybox_root(sandbox, "image-base", "covered by the second layer");
    let layers = [tar(&base), message_tar(sandbox, message)];
    fs::remove_dir_all(base).expect("remove the root");
    image(sandbox, host_architecture(), &layers)
}

/// A tar that holds nothing but `/message`.
pub fn message_tar(sandbox: &Sandbox, message: &str) -> Vec<u8> {
    sandbox.write("image-top/message", message);
    tar(&sandbox.path("image-top"))
}

/// This machine's architecture in the words of image configs.
pub fn host_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// Makes a tar of a Debian root file system at this path; `dpkg-query` says what belongs to it.
pub fn debian_root_tar(sandbox: &Sandbox, name: &str) -> PathBuf {
    let mut list = Vec::new();
    for file in debian_root_files(sandbox) {
        list.extend_from_slice(b".");
        list.extend_from_slice(file.as_os_str().as_bytes());
        list.push(0);
    }
    fs::write(sandbox.path("files"), list).expect("write the list of files");
    let (path, files) = (sandbox.arg(name), sandbox.arg("files"));
    let from_list = ["--no-recursion", "--null", "--files-from", &files];
    let arguments = [
        &["--create", "--file", &path, "--numeric-owner"][..],
        &from_list,
    ]
    .concat();
    prepare(Path::new("/"), "tar", &arguments);
    path.into()
}

/// What is left out, as in Debian's own slim images.
const NOT_NEEDED: [&str; 4] = [
    "/usr/share/doc/",
    "/usr/share/locale/",
    "/usr/share/man/",
    "/usr/share/i18n/",
];

/// The files of Debian's essential packages and of all that these need, folders first.
fn debian_root_files(sandbox: &Sandbox) -> BTreeSet<PathBuf> {
    let here = sandbox.path("");
    let architecture = prepare(&here, "dpkg", &["--print-architecture"]);
    let architecture = String::from_utf8(architecture).expect("an architecture in UTF-8");
    let format =
        "--showformat=${Package}\t${Architecture}\t${Essential}\t${Pre-Depends},${Depends}\n";
    let table = prepare(&here, "dpkg-query", &["--show", format]);
    let table = String::from_utf8(table).expect("a table in UTF-8");
    let packages = needed_packages(&table, architecture.trim());
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let listed = prepare(
        &here,
        "dpkg-query",
        &[&["--listfiles"][..], &packages].concat(),
    );
    let listed = String::from_utf8_lossy(&listed);
    let wanted = |path: &&str| {
        let left_out = NOT_NEEDED.iter().any(|folder| path.starts_with(folder));
        path.starts_with('/') && *path != "/." && !left_out && fs::symlink_metadata(path).is_ok()
    };
    listed
        .lines()
        .filter(wanted)
        .filter_map(real_path)
        .collect()
}

/// Packages as `name:architecture`: the essential ones and, again and again, the first installed
/// alternative of each of their dependencies.
fn needed_packages(table: &str, architecture: &str) -> BTreeSet<String> {
    let mut installed = BTreeMap::new();
    let mut to_visit = Vec::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        if let [name, built_for, essential, needs] = fields[..]
            && [architecture, "all"].contains(&built_for)
        {
            installed.insert(name, (built_for, needs));
            if essential == "yes" {
                to_visit.push(name);
            }
        }
    }
    let mut needed = BTreeSet::new();
    while let Some(name) = to_visit.pop() {
        let (built_for, needs) = installed[name];
        if needed.insert(format!("{name}:{built_for}")) {
            let first_installed = |alternatives: &str| {
                let mut names = alternatives.split('|').map(package_name);
                names.find_map(|name| installed.get_key_value(name).map(|(name, _)| *name))
            };
            to_visit.extend(needs.split(',').filter_map(first_installed));
        }
    }
    needed
}

/// `libc6` of ` libc6:any (>= 2.36)`.
fn package_name(dependency: &str) -> &str {
    dependency
        .trim()
        .split([' ', ':', '('])
        .next()
        .unwrap_or_default()
}

/// The path with the links above its last part followed: `/bin/sh` is in `/usr/bin`.
fn real_path(path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?))
}
