//! Many connections: more than there are threads, more than are allowed, more than there are
//! files.

use super::is_well;
use crate::support::image::Image;
use crate::support::{Client, Server, for_each_open_shape, for_each_shape_configured};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::fs;
use std::net::TcpStream;
use std::thread;

/// Of five connections opened at once, another server served only four until one closed.
#[test]
fn hundreds_of_connections_are_served_side_by_side() {
    for_each_open_shape(|server| {
        let mut clients: Vec<Client> = (0..500).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send_head("GET", "/v2/", &[]);
        }
        for client in clients.iter_mut().rev() {
            client.receive().expect(200);
        }
        for client in &mut clients {
            client.get("/v2/_catalog").expect(200);
            assert!(client.is_kept_alive());
        }
    });
}

#[test]
fn beyond_the_bound_the_connection_that_is_idle_longest_is_closed() {
    for_each_shape_configured("[limits]\nconnections_max = 20\n", |server| {
        let mut idle: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for client in &mut idle {
            client.get("/v2/").expect(200);
        }
        let mut newcomers: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for client in &mut newcomers {
            client.get("/v2/").expect(200);
        }
        let image = Image::oci(1, &[1000]);
        newcomers[4].push_image("a", "v1", &image);
        newcomers[4].expect_image("a", "v1", &image);
        // No more were closed than came; what had just been used may be among them.
        let mut closed = 0;
        for client in &mut idle {
            client.about("a question on an old connection");
            let sent = client.try_send(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
            closed += usize::from(sent.and_then(|()| client.try_receive()).is_err());
        }
        assert!(
            (1..=newcomers.len()).contains(&closed),
            "{closed} were closed"
        );
    });
}

#[test]
fn one_address_cannot_take_all_connections() {
    let toml = "[limits]\nconnections_per_client_max = 5\n";
    for_each_shape_configured(toml, |server| {
        let mut held: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for client in &mut held {
            client.get("/v2/").expect(200);
        }
        // Refused, or in the place of one of its own: never beyond the bound, never hanging.
        let mut beyond = server.client();
        beyond.send_head("GET", "/v2/", &[]);
        if let Ok(answer) = beyond.try_receive() {
            assert!(matches!(answer.status, 200 | 503), "{answer}");
        }
        drop(held);
        drop(beyond);
        crate::support::eventually("there is room again", || {
            let mut client = server.client();
            client.send_head("GET", "/v2/", &[]);
            client
                .try_receive()
                .ok()
                .filter(|answer| answer.status == 200)
        });
    });
}

/// "Too many open files" ended another server's listener for good.
#[test]
fn too_many_open_files_end_nothing() {
    for_each_open_shape(|server| {
        let image = Image::oci(1, &[1000]);
        server.client().push_image("a", "v1", &image);
        let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
        let open = fs::read_dir(format!("/proc/{}/fd", server.pid()))
            .unwrap()
            .count() as u64;
        // The hard limit is inherited and stays.
        let maximum = getrlimit(Resource::Nofile).maximum;
        let low = Rlimit {
            current: Some(open + 10),
            maximum,
        };
        let before = prlimit(pid, Resource::Nofile, low).unwrap();
        let crowd: Vec<TcpStream> = (0..200)
            .map(|_| TcpStream::connect(server.host()).unwrap())
            .collect();
        // Those that say nothing make room for who asks.
        server.client().get("/v2/").expect(200);
        drop(crowd);
        prlimit(
            pid,
            Resource::Nofile,
            Rlimit {
                current: before.current,
                ..low
            },
        )
        .unwrap();
        let mut client = server.client();
        client.expect_image("a", "v1", &image);
        client.push_image("b", "v1", &Image::oci(2, &[2000]));
        is_well(server);
    });
}

#[test]
fn connections_that_come_and_go_leave_no_file_open() {
    let server = Server::memory();
    let open = || {
        fs::read_dir(format!("/proc/{}/fd", server.pid()))
            .unwrap()
            .count()
    };
    server.client().get("/v2/").expect(200);
    let before = open();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..200 {
                    server.client().get("/v2/").expect(200);
                    drop(TcpStream::connect(server.host()).unwrap());
                }
            });
        }
    });
    crate::support::eventually("as many files are open as before", || {
        (open() <= before + 1).then_some(())
    });
}
