//! What this process uses: memory, files, threads, time, storage.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// How it stands with the process. What the kernel does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub resident_bytes: Option<u64>,
    /// Address space, in bytes.
    pub virtual_bytes: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// Open files.
    pub open_files: Option<u64>,
    /// The most that may be open; `None` without a limit.
    pub open_files_max: Option<u64>,
    /// Processor time, of user and system together.
    pub cpu: Duration,
    /// Bytes that it caused to be read from storage.
    pub read_bytes: Option<u64>,
    /// Bytes that it caused to be written to storage.
    pub written_bytes: Option<u64>,
}

/// Looks at this process.
pub fn own() -> Usage {
    let status = super::read("/proc/self/status").unwrap_or_default();
    let io = super::read("/proc/self/io").unwrap_or_default();
    let kib = |name| field(&status, name).map(|number| number.saturating_mul(1024));
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    Usage {
        resident_bytes: kib("VmRSS"),
        virtual_bytes: kib("VmSize"),
        threads: field(&status, "Threads"),
        // The folder that is being read is open itself.
        open_files: std::fs::read_dir("/proc/self/fd")
            .ok()
            .map(|entries| (entries.count() as u64).saturating_sub(1)),
        open_files_max: getrlimit(Resource::Nofile).current,
        cpu: Duration::new(
            u64::try_from(cpu.tv_sec).unwrap_or_default(),
            u32::try_from(cpu.tv_nsec).unwrap_or_default(),
        ),
        read_bytes: field(&io, "read_bytes"),
        written_bytes: field(&io, "write_bytes"),
    }
}

/// Bytes that this thread has written to files so far; `None` where the kernel does not tell.
pub fn thread_written() -> Option<u64> {
    field(&super::read("/proc/thread-self/io")?, "wchar")
}

/// The number of a line `name: number`, perhaps with a unit behind it.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    value.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "VmPeak:\t  10 kB\nVmRSS:\t    7 kB\nThreads:\t3\n";
        assert_eq!(field(text, "VmRSS"), Some(7));
        assert_eq!(field(text, "Threads"), Some(3));
        assert_eq!(field(text, "Vm"), None);
        assert_eq!(field("", "VmRSS"), None);
    }

    #[test]
    fn what_a_thread_writes_is_counted_for_it_alone() {
        let Some(before) = thread_written() else {
            return;
        };
        let mut file = tempfile::tempfile().expect("a file");
        std::io::Write::write_all(&mut file, &[0; 5000]).expect("written");
        assert_eq!(thread_written(), Some(before + 5000));
    }

    #[test]
    fn this_process_is_told_of() {
        let own = own();
        assert!(own.resident_bytes > Some(100 << 10), "{own:?}");
        assert!(own.virtual_bytes >= own.resident_bytes);
        assert!(own.threads >= Some(1));
        assert!(own.open_files >= Some(1));
        assert!(own.open_files_max >= own.open_files);
    }
}
