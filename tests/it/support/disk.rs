//! A file system of its own for a server's data: small enough to be filled, and one that can lose
//! its power. It needs the right to mount.

use super::{Server, coracle};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Says on stderr, past the capture of the test runner, that something was not tested; fails if
/// `CORACLE_CLIENTS=required`.
#[track_caller]
pub fn skip(what: &str, why: &str) {
    let line = format!("SKIPPED: {what} did not run: {why}");
    assert!(
        std::env::var_os("CORACLE_CLIENTS").is_none_or(|value| value != "required"),
        "{line} (and CORACLE_CLIENTS=required)"
    );
    let _ = writeln!(io::stderr(), "{line}");
}

/// What a disk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// Memory.
    Tmpfs,
    /// A file with an ext4 in it: a journal, room that only root gets, blocks that are given out
    /// late.
    Ext4,
}

/// What a server on a small disk keeps free, where that is not what is tested.
const SMALL_RESERVE: (&str, &str) = ("STORAGE_RESERVE", "1MiB");

/// A server whose data folder is a file system of its own.
pub struct ServerOnDisk {
    /// The server; its data folder is the mount point.
    pub server: Server,
    image: Option<PathBuf>,
    folder: TempDir,
}

impl ServerOnDisk {
    /// A server on a tmpfs of this many MiB, or why there can be none. It keeps little free.
    pub fn on_tmpfs(mib: u64, flags: &[&str]) -> Result<ServerOnDisk, String> {
        ServerOnDisk::on(Medium::Tmpfs, mib, flags, &[SMALL_RESERVE])
    }

    /// A server on an ext4 of this many MiB in a file, or why there can be none. It keeps little
    /// free.
    pub fn on_ext4(mib: u64, flags: &[&str]) -> Result<ServerOnDisk, String> {
        ServerOnDisk::on(Medium::Ext4, mib, flags, &[SMALL_RESERVE])
    }

    /// A server on a medium of this many MiB, with these variables (as
    /// [`Server::set_variable`] takes them), or why there can be none.
    pub fn on(
        medium: Medium,
        mib: u64,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<ServerOnDisk, String> {
        let mut disk = ServerOnDisk::stopped(flags);
        for (name, value) in variables {
            disk.server.set_variable(name, value);
        }
        match medium {
            Medium::Tmpfs => {
                let options = ["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"];
                run("mount", &options, disk.server.data())?;
            }
            Medium::Ext4 => {
                let image = disk.folder.path().join("ext4.img");
                File::create(&image)
                    .and_then(|file| file.set_len(mib << 20))
                    .map_err(|e| format!("make the image: {e}"))?;
                run("mkfs.ext4", &["-q", "-F"], &image)?;
                disk.image = Some(image);
                disk.remount()?;
            }
        }
        Ok(disk.launched())
    }

    /// Mounts the image again, after [`ServerOnDisk::unmount`].
    pub fn remount(&mut self) -> Result<(), String> {
        let image = self.image.as_ref().expect("an image");
        let image = image.to_str().expect("a path of UTF-8");
        run("mount", &["-o", "loop", image], self.server.data())
    }

    /// Unmounts; the server must have ended.
    pub fn unmount(&self) -> Result<(), String> {
        run("umount", &[], self.server.data())
    }

    /// Takes the file system's power away: what was not made durable by now never will be.
    pub fn cut_power(&self) -> Result<(), String> {
        run("xfs_io", &["-x", "-c", "shutdown"], self.server.data())
    }

    fn stopped(flags: &[&str]) -> ServerOnDisk {
        let folder = tempfile::Builder::new()
            .prefix("coracle-it-disk-")
            .tempdir()
            .expect("temp folder");
        // The harness makes the folder by starting there once.
        let mut server = Server::start(flags);
        server.stop();
        fs::remove_dir_all(server.data()).expect("empty the data folder");
        fs::create_dir(server.data()).expect("make the mount point");
        ServerOnDisk {
            server,
            image: None,
            folder,
        }
    }

    fn launched(mut self) -> ServerOnDisk {
        self.server.launch();
        self
    }
}

impl Drop for ServerOnDisk {
    fn drop(&mut self) {
        // Lazily: a server that still runs is ended after this, with its fields.
        let _ = run("umount", &["-l"], self.server.data());
    }
}

/// Fills a folder's file system to the last byte with somebody else's file; removing it makes room
/// again.
pub fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("somebody-elses");
    let mut file = File::create(&path).expect("make the file");
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    // What a file system gives out late is given out now, or found missing.
    let _ = file.sync_all();
    path
}

/// As [`fill`], but leaves so many bytes free.
pub fn fill_up_to(folder: &Path, left: u64) -> PathBuf {
    let path = folder.join("somebody-elses");
    let file = File::create(&path).expect("make the file");
    let count = free(folder).checked_sub(left).expect("as much is free");
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, count).expect("fill");
    path
}

/// Bytes that are free on a folder's file system for everybody.
pub fn free(folder: &Path) -> u64 {
    let system = rustix::fs::statvfs(folder).expect("statvfs");
    system.f_bavail * system.f_frsize
}

/// The same program, told what to do, with its output.
#[track_caller]
pub fn run_coracle(arguments: &[&str]) -> std::process::Output {
    coracle().args(arguments).output().expect("run coracle")
}

fn run(program: &str, arguments: &[&str], last: &Path) -> Result<(), String> {
    let output = Command::new(program)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .args(arguments)
        .arg(last)
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{program}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}
