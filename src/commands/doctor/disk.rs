//! The disk below the data folder: what kind it is, how much room it has, how fast it is.

use std::path::{Path, PathBuf};

use super::finding::Findings;
use crate::config::Settings;
use crate::host::mounts::{self, Mount};
use crate::host::users;
use crate::store::blobs::disk::{Disk, RealDisk, Room};
use crate::store::layout::Layout;
use crate::store::look::{may_write, nearest};
use crate::store::measure::{DiskFigures, FILE_BYTES, measure};
use crate::store::space::{Options as SpaceOptions, human};

const KIND: &str = "file system";
const ROOM: &str = "room";
const SPEED: &str = "disk speed";

/// Flushes that the push of a small image takes: a config, three layers and a manifest, each in
/// the catalog (`ARCHITECTURE.md`, "Short blobs inline"); by one client alone, and by many at a
/// time, who share them.
const FLUSHES_ALONE: f64 = 5.5;
const FLUSHES_SHARED: f64 = 2.0;
/// A flush that takes longer is felt by everybody who pushes, in milliseconds.
const FLUSH_MS_SLOW: f64 = 50.0;
/// A disk that writes less is the bound of every push, in bytes a second.
const WRITE_SLOW: u64 = 5 << 20;

/// What was measured, unless `quick` or the room forbids it.
pub(super) fn check(
    settings: &Settings,
    layout: &Layout,
    quick: bool,
    findings: &mut Findings,
) -> Option<DiskFigures> {
    let folder = nearest(layout.root())?;
    let mount = mounts::of(&folder);
    if let Some(mount) = &mount {
        kind(mount, findings);
    }
    let has_room = room(settings, &folder, findings);
    if quick {
        return None;
    }
    speed(layout, &folder, has_room, findings)
}

/// What is to be said of a kind of file system, and what to do about it.
fn trouble(mount: &Mount) -> Option<(&'static str, &'static str)> {
    const LOCAL: &str = "use a folder on a disk of this machine: ext4, xfs or btrfs";
    match mount.kind.as_str() {
        "nfs" | "nfs4" | "cifs" | "smb3" | "smbfs" | "9p" | "afs" | "ceph" | "virtiofs" => Some((
            "a network file system: the catalog's log needs memory that processes share, and locks \
             that hold",
            LOCAL,
        )),
        "vfat" | "msdos" | "exfat" | "ntfs" | "ntfs3" | "fuseblk" => Some((
            "it has neither permissions nor a journal that survives a power cut",
            LOCAL,
        )),
        kind if kind.starts_with("fuse") => Some((
            "a file system of a program, whose flushes may promise nothing",
            LOCAL,
        )),
        "tmpfs" | "ramfs" => Some((
            "memory: everything is gone with the next restart of the machine",
            "use a folder on a disk where content is to be kept",
        )),
        "overlay" | "aufs" => Some((
            "the layer of a container: everything is gone when the container is removed",
            "mount a volume for the data",
        )),
        _ => None,
    }
}

fn kind(mount: &Mount, findings: &mut Findings) {
    let (name, point) = (&mount.kind, mount.point.display());
    let before = findings.bad();
    if let Some((what, advice)) = trouble(mount) {
        findings.warn(KIND, format!("{name} at {point}: {what}"), advice);
    }
    if mount.has("ro") {
        findings.fail(
            KIND,
            format!("{name} at {point} is mounted read-only"),
            format!("mount -o remount,rw {point}; an error of the disk may have made it so: dmesg"),
        );
    }
    for (option, why) in risky(mount) {
        findings.warn(
            KIND,
            format!("{name} at {point} is mounted with {option}: {why}"),
            "mount it without this option, or what was acknowledged may be lost in a power cut",
        );
    }
    if findings.bad() == before {
        findings.ok(KIND, format!("{name} at {point} ({})", mount.source));
    }
}

/// Options with which a flush promises less than it should.
fn risky(mount: &Mount) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    if mount.value("data") == Some("writeback") {
        let why = "after a power cut files may hold what was never written to them";
        found.push(("data=writeback".to_owned(), why));
    }
    for option in ["nobarrier", "barrier=0"] {
        if mount.has(option) {
            found.push((option.to_owned(), "flushes do not reach the device"));
        }
    }
    if mount.kind == "btrfs" && mount.has("notreelog") {
        found.push((
            "notreelog".to_owned(),
            "every flush writes the whole tree: slow",
        ));
    }
    found
}

/// Whether there is room for the file that is written to measure.
fn room(settings: &Settings, folder: &Path, findings: &mut Findings) -> bool {
    let room = match RealDisk.room(folder) {
        Ok(room) => room,
        Err(error) => {
            let message = format!("the room at {} is not told: {error}", folder.display());
            findings.warn(ROOM, message, "pushes are only refused once a write fails");
            return false;
        }
    };
    let marks = SpaceOptions {
        reserve: settings.storage.reserve,
        low_water: settings.storage.low_water,
    };
    let (reserve, low_water) = marks.of(room.total);
    let Room { free, total } = room;
    let facts = format!("{} of {} are free", human(free), human(total));
    if free <= reserve {
        findings.fail(
            ROOM,
            format!(
                "{facts}, not more than the reserve of {}: pushes are refused",
                human(reserve)
            ),
            "delete content, run `coracle gc`, or make room; storage.reserve is what is kept free",
        );
    } else if free < low_water {
        findings.warn(
            ROOM,
            format!(
                "{facts}, less than {} (storage.low_water)",
                human(low_water)
            ),
            "make room: uploads that rest are removed, and at the reserve pushes are refused",
        );
    } else {
        findings.ok(
            ROOM,
            format!("{facts}, {} of them are kept for reading", human(reserve)),
        );
    }
    free > reserve.saturating_add(2 * FILE_BYTES)
}

fn speed(
    layout: &Layout,
    nearest: &Path,
    has_room: bool,
    findings: &mut Findings,
) -> Option<DiskFigures> {
    if !has_room {
        findings.ok(SPEED, "not measured: there is too little room");
        return None;
    }
    let folder = place(layout, nearest);
    if !may_write(&folder) {
        let (folder, who) = (folder.display(), users::name(users::own_id()));
        findings.ok(
            SPEED,
            format!("not measured: {who} may not write to {folder}"),
        );
        return None;
    }
    match measure(&folder) {
        Ok(figures) => {
            tell(&figures, findings);
            Some(figures)
        }
        Err(error) => {
            findings.fail(
                SPEED,
                error.to_string(),
                "look at the disk: dmesg, smartctl; a registry on it cannot take pushes",
            );
            None
        }
    }
}

/// Where the file is written: beside uploads, or where the folder will be.
fn place(layout: &Layout, nearest: &Path) -> PathBuf {
    let uploads = layout.uploads();
    if uploads.is_dir() {
        uploads
    } else {
        nearest.to_owned()
    }
}

fn tell(figures: &DiskFigures, findings: &mut Findings) {
    let flush = figures.flush_ms_median;
    // A flush that takes no time is no bound.
    let bound = |flushes: f64| 1000.0 / (flushes * flush.max(0.001));
    let facts = format!(
        "writes {}/s, a flush takes {flush:.2} ms (at most {:.2}): at most about {} small images a \
         second from one client and {} from many",
        human(figures.write_bytes_per_second),
        figures.flush_ms_max,
        round(bound(FLUSHES_ALONE)),
        round(bound(FLUSHES_SHARED)),
    );
    if flush > FLUSH_MS_SLOW || figures.write_bytes_per_second < WRITE_SLOW {
        findings.warn(
            SPEED,
            facts,
            "a better card or an SSD; other programs that write to this disk make it slow as well",
        );
    } else {
        findings.ok(SPEED, facts);
    }
}

/// A rate for people: a digit behind the point below ten, and no more than two that count above.
fn round(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}");
    }
    let unit = 10_f64.powf(rate.log10().floor() - 1.0);
    format!("{:.0}", (rate / unit).floor() * unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    fn mount(kind: &str, options: &str) -> Mount {
        Mount {
            point: "/srv".into(),
            kind: kind.to_owned(),
            source: "/dev/sdb1".to_owned(),
            options: options.split(',').map(str::to_owned).collect(),
        }
    }

    #[test]
    fn file_systems_that_lose_content_are_named() {
        let rows = [
            ("ext4", "rw,data=ordered", &[Level::Ok][..]),
            (
                "ext4",
                "rw,data=writeback,nobarrier",
                &[Level::Warn, Level::Warn],
            ),
            ("ext4", "ro", &[Level::Fail]),
            ("nfs4", "rw", &[Level::Warn]),
            ("fuse.sshfs", "rw", &[Level::Warn]),
            ("vfat", "ro", &[Level::Warn, Level::Fail]),
            ("tmpfs", "rw", &[Level::Warn]),
            ("btrfs", "rw,notreelog", &[Level::Warn]),
            ("xfs", "rw", &[Level::Ok]),
        ];
        for (name, options, expected) in rows {
            let mut findings = Findings::default();
            kind(&mount(name, options), &mut findings);
            let levels: Vec<Level> = findings.into_vec().iter().map(|it| it.level).collect();
            assert_eq!(levels, expected, "{name} {options}");
        }
    }

    #[test]
    fn a_slow_disk_is_a_warning_with_what_it_means() {
        let figures = |write_bytes_per_second, flush_ms_median| DiskFigures {
            write_bytes_per_second,
            flush_ms_median,
            flush_ms_max: flush_ms_median * 2.0,
            flushes: 64,
        };
        let told = |figures: DiskFigures| {
            let mut findings = Findings::default();
            tell(&figures, &mut findings);
            findings.into_vec().remove(0)
        };
        let good = told(figures(100 << 20, 1.0));
        assert_eq!(good.level, Level::Ok);
        assert!(
            good.message.contains("180 small images a second"),
            "{}",
            good.message
        );
        let card = told(figures(20 << 20, 100.0));
        assert_eq!(card.level, Level::Warn);
        assert!(
            card.message.contains("1.8 small images a second"),
            "{}",
            card.message
        );
        assert_eq!(told(figures(1 << 20, 1.0)).level, Level::Warn);
        assert_eq!(told(figures(1 << 30, 0.0)).level, Level::Ok);
    }
}
