//! The watchdog: fed while the server answers itself or bytes move, and not while it hangs.

use super::manager::{Manager, Program};
use crate::support::eventually;
use crate::support::tls::{Authority, Certificates};
use rustix::process::Signal;
use std::time::Duration;

/// Long enough that a loaded machine answers within a sixth of it.
const PERIOD: Duration = Duration::from_secs(6);

const NOT_FED: &str = "the watchdog is not fed";

#[track_caller]
fn expect_fed(manager: &Manager, times: usize) {
    for _ in 0..times {
        manager.expect("WATCHDOG=1");
    }
}

#[test]
fn it_is_fed_over_each_kind_of_listener() {
    let certificates = Certificates::new();
    let clients = Authority::new("clients");
    let ca = certificates.write("clients.pem", &clients.pem);
    let ca = format!("client_ca = \"{}\"", ca.display());
    let manager = Manager::new();
    let unix = format!("unix:{}", manager.path("socket").display());
    for (toml, listen) in [
        (String::new(), "127.0.0.1:0"),
        (String::new(), ":0"),
        (String::new(), "[::1]:0"),
        (certificates.toml(""), "127.0.0.1:0"),
        // Clients need a certificate, which the server itself has not.
        (certificates.toml(&ca), "127.0.0.1:0"),
        (String::new(), &unix),
    ] {
        let mut command = manager.command_at(listen, &toml);
        command.args(["--log-level", "debug"]);
        command.env("WATCHDOG_USEC", "3000000");
        let mut program = Program::start(command, manager.folder.path());
        manager.expect("READY=1");
        expect_fed(&manager, 3);
        let log = program.log();
        assert!(
            !log.contains("cannot be reached from the server itself"),
            "{log}"
        );
        assert!(!log.contains("could not be asked"), "{log}");
        assert!(
            !log.contains("/healthz"),
            "a line for each would fill the log: {log}"
        );
        program.stop();
        manager.drain();
    }
}

#[test]
fn a_stopped_process_feeds_nobody() {
    let manager = Manager::new();
    let program = manager.start_watched("", Duration::from_secs(3));
    manager.expect("READY=1");
    expect_fed(&manager, 2);
    program.signal(Signal::STOP);
    manager.drain();
    assert_eq!(manager.next_within(Duration::from_secs(5)), None);
    program.signal(Signal::CONT);
    expect_fed(&manager, 2);
}

/// A watchdog of another process is none of ours.
#[test]
fn it_is_fed_by_the_process_that_is_meant() {
    let manager = Manager::new();
    let mut command = manager.command("");
    command
        .env("WATCHDOG_USEC", "300000")
        .env("WATCHDOG_PID", "1");
    let mut program = Program::start(command, manager.folder.path());
    manager.expect("READY=1");
    program.stop();
    let said = manager.drain();
    assert!(!said.iter().any(|it| it.contains("WATCHDOG")), "{said:?}");
}

/// All workers are busy with a slow upload, so that no request is answered: it lives as long as
/// bytes move, and hangs when none do.
#[test]
fn slow_transfers_are_life_and_silence_is_not() {
    let manager = Manager::new();
    let program = manager.start_watched("[limits]\nworkers_max = 1\n", PERIOD);
    manager.expect("READY=1");
    let session = program.client().start_upload("a");
    let mut slow = program.client();
    slow.begin("PATCH", &session, &[("Content-Length", "1000000")]);
    let mut fed = 0;
    eventually("it is fed although no request is answered", || {
        slow.send(b"x");
        let message = manager.next_within(Duration::from_millis(100));
        fed += usize::from(message.is_some_and(|it| it.contains("WATCHDOG=1")));
        (fed >= 5).then_some(())
    });
    assert!(!program.log().contains(NOT_FED), "{}", program.log());
    eventually("nobody feeds a server that does nothing", || {
        program.log().contains(NOT_FED).then_some(())
    });
    manager.drain();
    assert!(
        !manager
            .next_within(PERIOD / 2)
            .is_some_and(|it| it.contains("WATCHDOG"))
    );
    slow.disconnect();
    expect_fed(&manager, 1);
}
