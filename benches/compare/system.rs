//! The machine: what it is, and what the kernel says about processes and block devices.

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::Outcome;
use crate::measure::real;

/// Clock ticks of /proc/PID/stat in a second: 100 on every Linux that these servers run on.
const TICKS_PER_SECOND: f64 = 100.0;
/// Bytes of a megabyte as the report uses it.
pub const MB: f64 = 1e6;

/// What the figures were measured on.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Processor model.
    pub cpu: String,
    /// Processors that this process may use.
    pub cores: usize,
    /// Memory in MB.
    pub memory_mb: f64,
    /// Kernel release.
    pub kernel: String,
    /// File system of the folder measured on, with its device.
    pub file_system: String,
    /// Whether that file system lives in memory, which makes every durable figure worthless.
    pub in_memory: bool,
}

impl Machine {
    /// Looks at this machine and at the file system of `folder`.
    pub fn look(folder: &Path) -> Self {
        let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into());
        let memory = field("/proc/meminfo", "MemTotal").and_then(|text| kibibytes(&text));
        let mount = mount_of(folder);
        Self {
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_mb: memory.unwrap_or(0.0) * 1024.0 / MB,
            kernel: read("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".into()),
            in_memory: mount.starts_with("tmpfs") || mount.starts_with("ramfs"),
            file_system: mount,
        }
    }
}

/// First line of what `program` says about its version, on whichever stream.
pub fn version(program: &Path, argument: &str) -> String {
    let Ok(output) = Command::new(program).arg(argument).output() else {
        return "not installed".into();
    };
    let text = if output.stdout.is_empty() {
        output.stderr
    } else {
        output.stdout
    };
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .next()
        .unwrap_or("says nothing")
        .trim()
        .to_owned()
}

/// Raises the soft limit of open files to the hard one: one row holds ten thousand connections.
pub fn raise_open_files() -> Outcome<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    )?;
    Ok(())
}

/// How many files this process may open.
pub fn open_files_max() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Resident memory of a process and its children, in MB: now, and the sum of their peaks.
pub fn memory_mb(pid: u32) -> Outcome<(f64, f64)> {
    let mut now = 0.0;
    let mut peak = 0.0;
    for pid in family(pid) {
        let status = format!("/proc/{pid}/status");
        let read = |name| field(&status, name).and_then(|text| kibibytes(&text));
        now += read("VmRSS").ok_or_else(|| format!("{status} has no VmRSS; is it alive?"))?;
        peak += read("VmHWM").unwrap_or(0.0);
    }
    Ok((now * 1024.0 / MB, peak * 1024.0 / MB))
}

/// Processor seconds that a process and its children have used so far, in user and kernel mode.
pub fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let mut ticks = 0;
    for pid in family(pid) {
        let fields = stat_fields(pid).ok_or_else(|| format!("process {pid} is gone"))?;
        // After the name: state is field 0, so utime and stime are 11 and 12.
        for index in [11, 12] {
            ticks += fields
                .get(index)
                .and_then(|text| text.parse::<u64>().ok())
                .unwrap_or(0);
        }
    }
    Ok(real(ticks) / TICKS_PER_SECOND)
}

/// The process and its direct children.
pub fn family(pid: u32) -> Vec<u32> {
    let mut members = vec![pid];
    let Ok(processes) = fs::read_dir("/proc") else {
        return members;
    };
    let parent = pid.to_string();
    for entry in processes.flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        if stat_fields(child)
            .and_then(|it| it.get(1).cloned())
            .as_ref()
            == Some(&parent)
        {
            members.push(child);
        }
    }
    members
}

/// Processes that have a path below `folder` in their arguments.
pub fn processes_naming(folder: &Path) -> Vec<u32> {
    let wanted = format!("{}/", folder.display());
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let names = |pid: &u32| {
        let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&arguments).contains(&wanted)
    };
    pids.filter(names).collect()
}

/// The fields of /proc/PID/stat that follow the name.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(") ")?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// What a block device has done: flush requests, and bytes written.
#[derive(Clone, Copy, Debug)]
pub struct DeviceCounts {
    /// Flush requests completed.
    pub flushes: u64,
    /// Bytes written.
    pub written_bytes: u64,
}

impl DeviceCounts {
    /// The counts of `/sys/block/NAME/stat`.
    pub fn read(name: &str) -> Outcome<Self> {
        let path = format!("/sys/block/{name}/stat");
        let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let fields: Vec<u64> = text.split_whitespace().flat_map(str::parse).collect();
        let (Some(sectors), Some(flushes)) = (fields.get(6), fields.get(15)) else {
            return Err(format!("{path} has no count of flushes (kernel older than 5.5)").into());
        };
        Ok(Self {
            flushes: *flushes,
            written_bytes: sectors * 512,
        })
    }
}

/// File-system type, device and options of the mount that holds `folder`.
fn mount_of(folder: &Path) -> String {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let mounts = read("/proc/self/mounts").unwrap_or_default();
    let mut best = (0, String::from("unknown"));
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if folder.starts_with(point) && point.len() >= best.0 {
            best = (point.len(), format!("{kind} on {device}"));
        }
    }
    best.1
}

/// The value of the first line `name: value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The number in `123 kB`.
fn kibibytes(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path)
        .ok()
        .map(|text| text.trim().to_owned())
}
