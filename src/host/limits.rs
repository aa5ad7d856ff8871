//! How many files a process may open, and how much memory there is.

use rustix::process::{Resource, getrlimit};

/// A limit of open files; `None` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// What holds now.
    pub soft: Option<u64>,
    /// What the process may raise it to.
    pub hard: Option<u64>,
}

/// The memory of the machine, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All that there is.
    pub total: u64,
    /// What programs could still get.
    pub available: u64,
    /// What the control group of this process may have, if it has a limit.
    pub limit: Option<u64>,
}

/// The limit of this process, which those that it starts inherit.
pub fn open_files() -> OpenFiles {
    let limit = getrlimit(Resource::Nofile);
    OpenFiles {
        soft: limit.current,
        hard: limit.maximum,
    }
}

/// The limit of another process; `None` when it may not be read.
pub fn open_files_of(pid: u32) -> Option<OpenFiles> {
    parse_limits(&super::read(format!("/proc/{pid}/limits"))?)
}

fn parse_limits(text: &str) -> Option<OpenFiles> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut words = line.split_whitespace();
    let mut next = || match words.next()? {
        "unlimited" => Some(None),
        number => Some(Some(number.parse().ok()?)),
    };
    Some(OpenFiles {
        soft: next()?,
        hard: next()?,
    })
}

/// The memory of this machine and of this process's control group.
pub fn memory() -> Option<Memory> {
    let info = super::read("/proc/meminfo")?;
    let groups = super::read("/proc/self/cgroup").unwrap_or_default();
    let limit = limit_files(&groups).into_iter().filter_map(|file| {
        let bytes: u64 = super::read(file)?.trim().parse().ok()?;
        // The old interface writes a huge number for none.
        (bytes < 1 << 60).then_some(bytes)
    });
    Some(Memory {
        total: meminfo(&info, "MemTotal")?,
        available: meminfo(&info, "MemAvailable").or_else(|| meminfo(&info, "MemFree"))?,
        limit: limit.min(),
    })
}

/// The files that hold the limit of memory of the control groups of a process and of those above.
fn limit_files(groups: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(kinds), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let (root, file) = match kinds {
            "" => ("/sys/fs/cgroup", "memory.max"),
            _ if kinds.split(',').any(|kind| kind == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => continue,
        };
        let mut path = path.trim_end_matches('/');
        loop {
            files.push(format!("{root}{path}/{file}"));
            let Some((above, _)) = path.rsplit_once('/') else {
                break;
            };
            path = above;
        }
    }
    files
}

/// A line of `meminfo`, in bytes.
fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_a_process_are_read_as_the_kernel_writes_them() {
        let text = "Limit                     Soft Limit           Hard Limit           Units\n\
                    Max processes             1                    2                    processes\n\
                    Max open files            1024                 unlimited            files\n";
        let expected = OpenFiles {
            soft: Some(1024),
            hard: None,
        };
        assert_eq!(parse_limits(text), Some(expected));
        assert_eq!(parse_limits("Max open files x"), None);
        assert_eq!(open_files_of(std::process::id()), Some(open_files()));
    }

    #[test]
    fn control_groups_of_both_interfaces() {
        assert_eq!(
            limit_files("0::/a/b\n"),
            [
                "/sys/fs/cgroup/a/b/memory.max",
                "/sys/fs/cgroup/a/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        assert_eq!(
            limit_files("3:cpu,memory:/x\n2:freezer:/\n"),
            [
                "/sys/fs/cgroup/memory/x/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
        assert_eq!(limit_files("nonsense"), Vec::<String>::new());
    }

    #[test]
    fn this_machine_has_memory() {
        let memory = memory().expect("a Linux machine");
        assert!(memory.total >= memory.available && memory.available > 0);
        assert_eq!(meminfo("MemTotal:  2 kB\n", "MemTotal"), Some(2048));
        assert_eq!(meminfo("MemTotalX: 2 kB\n", "MemTotal"), None);
    }
}
