//! Limits of the process and of the machine: open files, memory.

use super::finding::Findings;
use crate::config::Settings;
use crate::host::limits::{self, Memory};
use crate::store::space::human;

const FILES: &str = "open files";
const MEMORY: &str = "memory";

/// Files beside connections: listeners, the catalog, and two for each worker.
const FILES_BESIDE: u64 = 64;
/// Memory that a registry needs to be at ease, in bytes.
const MEMORY_MIN: u64 = 48 << 20;

/// `pid` is the server's, where one runs: its limits are those that count.
pub(super) fn check(settings: &Settings, pid: Option<u32>, findings: &mut Findings) {
    let of_server = pid.and_then(limits::open_files_of);
    let (whose, own) = match (pid, of_server) {
        (Some(pid), Some(own)) => (format!("process {pid}"), own),
        _ => ("this process".to_owned(), limits::open_files()),
    };
    files(settings, &whose, own.hard, findings);
    if let Some(memory) = limits::memory() {
        judge_memory(settings, memory, findings);
    }
}

/// The soft limit is raised to the hard one by the server itself.
fn files(settings: &Settings, whose: &str, hard: Option<u64>, findings: &mut Findings) {
    let wanted = files_wanted(settings);
    match hard {
        Some(hard) if hard < wanted => findings.warn(
            FILES,
            format!(
                "{whose} may open {hard} files, and {wanted} are needed for \
                 limits.connections_max = {}: fewer connections are kept",
                settings.limits.connections_max
            ),
            format!("LimitNOFILE={wanted} in the unit, or ulimit -Hn {wanted}"),
        ),
        Some(hard) => findings.ok(
            FILES,
            format!("{whose} may open {hard}, {wanted} are enough"),
        ),
        None => findings.ok(FILES, format!("{whose} may open as many as it likes")),
    }
}

fn files_wanted(settings: &Settings) -> u64 {
    let limits = &settings.limits;
    let count = limits.connections_max + 2 * limits.workers_max;
    count as u64 + FILES_BESIDE
}

fn judge_memory(settings: &Settings, memory: Memory, findings: &mut Findings) {
    let Memory {
        total,
        available,
        limit,
    } = memory;
    let most = limit.map_or(available, |limit| limit.min(available));
    let group = limit.map_or_else(String::new, |limit| {
        format!(", {} is the limit of this control group", human(limit))
    });
    let facts = format!("{} of {} are free{group}", human(available), human(total));
    let storage = &settings.storage;
    let kept = if storage.memory {
        storage.memory_bytes_max
    } else {
        0
    };
    if most < MEMORY_MIN {
        let least = human(MEMORY_MIN);
        let message = format!("{facts}: a registry is at ease with {least}");
        findings.warn(
            MEMORY,
            message,
            "stop what is not needed, or lower limits.workers_max",
        );
    } else if kept > most {
        findings.fail(
            MEMORY,
            format!(
                "{facts}, less than storage.memory_bytes_max = {}",
                human(kept)
            ),
            "lower storage.memory_bytes_max, or keep the data on a disk",
        );
    } else {
        findings.ok(MEMORY, facts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Level;

    fn level(check: impl FnOnce(&mut Findings)) -> Level {
        let mut findings = Findings::default();
        check(&mut findings);
        findings.into_vec()[0].level
    }

    #[test]
    fn few_open_files_are_few_connections() {
        let settings = Settings::default();
        let wanted = files_wanted(&settings);
        for (hard, expected) in [
            (None, Level::Ok),
            (Some(wanted), Level::Ok),
            (Some(wanted - 1), Level::Warn),
            (Some(1024), Level::Warn),
        ] {
            let found = level(|findings| files(&settings, "it", hard, findings));
            assert_eq!(found, expected, "{hard:?}");
        }
    }

    #[test]
    fn memory_must_hold_what_is_to_be_kept_in_it() {
        let mut settings = Settings::default();
        let memory = |available, limit| Memory {
            total: 8 << 30,
            available,
            limit,
        };
        let judged = |settings: &Settings, memory| {
            level(|findings| judge_memory(settings, memory, findings))
        };
        assert_eq!(judged(&settings, memory(1 << 30, None)), Level::Ok);
        assert_eq!(judged(&settings, memory(10 << 20, None)), Level::Warn);
        assert_eq!(
            judged(&settings, memory(1 << 30, Some(20 << 20))),
            Level::Warn
        );
        settings.storage.memory = true;
        assert_eq!(judged(&settings, memory(2 << 30, None)), Level::Ok);
        assert_eq!(
            judged(&settings, memory(2 << 30, Some(512 << 20))),
            Level::Fail
        );
    }
}
