//! Daemons in a sandbox: started by a test, ready when it goes on, gone when it ends.

use super::sandbox::{Sandbox, skip};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How long a daemon may take to start or to stop.
const DAEMON_PATIENCE: Duration = Duration::from_secs(60);

impl Sandbox {
    /// Starts a daemon and waits until it is ready. A daemon that ends before that is taken as
    /// one that cannot work on this machine, and the test is skipped.
    #[track_caller]
    pub fn daemon(
        &self,
        program: &str,
        arguments: &[&str],
        ready: impl Fn() -> bool,
    ) -> Option<Daemon> {
        let log = self.path(&format!("{program}.log"));
        let file = File::create(&log).expect("make the daemon's log");
        // The signal ends the daemon with its test even where no destructor runs.
        let mut command = self.bare("setpriv");
        command
            .args(["--pdeathsig", "TERM", program])
            .args(arguments);
        command
            .stdout(file.try_clone().expect("share the log"))
            .stderr(file);
        let child = command
            .spawn()
            .unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        let mut daemon = Daemon { child, log };
        let patience_end = Instant::now() + DAEMON_PATIENCE;
        while !ready() {
            if let Some(status) = daemon.child.try_wait().expect("wait for the daemon") {
                skip(
                    program,
                    &format!("it ended with {status}\n{}", daemon.log_tail()),
                );
                return None;
            }
            assert!(
                Instant::now() < patience_end,
                "{program} does not become ready"
            );
            thread::sleep(Duration::from_millis(20));
        }
        Some(daemon)
    }
}

/// A daemon in a sandbox; dropping it stops it, gently first.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn log_tail(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let patience_end = Instant::now() + DAEMON_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience_end {
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log_tail());
        }
    }
}
