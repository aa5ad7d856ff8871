//! Which file system a path is on, and how it is mounted.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// `ext4`, `nfs4`, `fuse.sshfs`.
    pub kind: String,
    /// What is mounted there: a device, an address.
    pub source: String,
    /// The options of the mount and of the file system: `rw`, `noatime`, `data=ordered`.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether the option is among them.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|own| own == option)
    }

    /// What stands behind `name=` in the options.
    pub fn value(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        options.find_map(|own| own.strip_prefix(name)?.strip_prefix('='))
    }
}

/// The file system of an existing path.
pub fn of(path: &Path) -> Option<Mount> {
    let path = path.canonicalize().ok()?;
    find(&super::read("/proc/self/mountinfo")?, &path)
}

/// The mount that a path is below: the deepest, and of those the last, which hides the others.
fn find(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(parse);
    mounts
        .filter(|mount| path.starts_with(&mount.point))
        .max_by_key(|mount| mount.point.components().count())
}

/// A line of `mountinfo`: proc(5).
fn parse(line: &str) -> Option<Mount> {
    let (mount, system) = line.split_once(" - ")?;
    let mount: Vec<&str> = mount.split(' ').collect();
    let system: Vec<&str> = system.split(' ').collect();
    let (&[kind, source, ref rest @ ..], own) = (system.as_slice(), *mount.get(5)?) else {
        return None;
    };
    let options = own
        .split(',')
        .chain(rest.iter().flat_map(|it| it.split(',')));
    Some(Mount {
        point: unescape(mount.get(4)?),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.map(str::to_owned).collect(),
    })
}

/// Blanks and backslashes are written in octal: `\040`.
fn unescape(text: &str) -> PathBuf {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| first == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            bytes.push(byte);
            rest = &behind[3..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw
40 22 8:2 / /srv rw,noatime - ext4 /dev/sdb1 rw,data=writeback,commit=600
41 40 0:50 / /srv/my\\040data ro - nfs4 host:/export rw,vers=4.2
42 22 8:3 / /srv rw - xfs /dev/sdc1 rw
broken
";

    #[test]
    fn a_path_is_on_the_deepest_mount_and_the_last() {
        let found = |path: &str| {
            let mount = find(TABLE, Path::new(path)).expect("a mount");
            (mount.kind, mount.source)
        };
        let pair = |kind: &str, source: &str| (kind.to_owned(), source.to_owned());
        assert_eq!(found("/var/lib"), pair("ext4", "/dev/sda1"));
        assert_eq!(found("/srvice"), pair("ext4", "/dev/sda1"));
        assert_eq!(found("/srv/x"), pair("xfs", "/dev/sdc1"));
        assert_eq!(found("/srv/my data/x"), pair("nfs4", "host:/export"));
    }

    #[test]
    fn options_of_the_mount_and_of_the_file_system() {
        let mount = parse(TABLE.lines().nth(2).expect("a line")).expect("a mount");
        assert!(mount.has("noatime") && mount.has("rw") && !mount.has("ro"));
        assert_eq!(mount.value("data"), Some("writeback"));
        assert_eq!(mount.value("commit"), Some("600"));
        assert_eq!(mount.value("errors"), None);
        assert!(parse("1 2 3").is_none());
        assert!(parse("1 2 3 4 - ext4").is_none());
    }

    #[test]
    fn this_machine_has_a_root() {
        assert!(of(Path::new("/")).is_some());
    }
}
