//! A file system of its own for the row that counts flushes: ext4 in a file, mounted through a
//! loop device, so that nobody else's flushes are counted.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;

/// Size of the file that holds the file system; it is sparse.
const IMAGE_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// A mounted file system, unmounted when dropped.
#[derive(Debug)]
pub struct LoopMount {
    point: PathBuf,
    device: String,
}

impl LoopMount {
    /// Makes an ext4 file system in `folder` and mounts it there. The error says what the host
    /// does not permit.
    pub fn ext4(folder: &Path) -> Outcome<Self> {
        let image = folder.join("ext4.img");
        let point = folder.join("mnt");
        File::create(&image)?.set_len(IMAGE_BYTES)?;
        fs::create_dir(&point)?;
        // Without these options the kernel initialises tables in the background and is counted.
        run(Command::new("mkfs.ext4")
            .args(["-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"])
            .arg(&image))?;
        run(Command::new("mount")
            .args(["-o", "loop,noatime"])
            .arg(&image)
            .arg(&point))?;
        let Some(device) = device_of(&point) else {
            unmount_below(&point);
            return Err("the mounted file system has no loop device".into());
        };
        Ok(Self { point, device })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.point
    }

    /// Name of its block device, such as `loop0`.
    pub fn device(&self) -> &str {
        &self.device
    }
}

impl Drop for LoopMount {
    fn drop(&mut self) {
        unmount_below(&self.point);
    }
}

/// Unmounts whatever is mounted at or below `folder`; says so when it cannot.
pub fn unmount_below(folder: &Path) {
    for (_, point) in mounts() {
        if point.starts_with(folder)
            && let Err(error) = run(Command::new("umount").arg(&point))
        {
            eprintln!("compare: {error}");
        }
    }
}

/// The loop device behind a mount point.
fn device_of(point: &Path) -> Option<String> {
    let point = fs::canonicalize(point).ok()?;
    let (device, _) = mounts()
        .into_iter()
        .find(|(_, mounted)| *mounted == point)?;
    Some(device.strip_prefix("/dev/")?.to_owned())
}

/// Devices and mount points of this host.
fn mounts() -> Vec<(String, PathBuf)> {
    let text = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let split = |line: &str| {
        let mut fields = line.split(' ');
        Some((fields.next()?.to_owned(), PathBuf::from(fields.next()?)))
    };
    text.lines().filter_map(split).collect()
}

/// Runs a program to its end; its complaint is the error.
fn run(command: &mut Command) -> Outcome<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{name} failed: {}", said.trim()).into())
}
