//! What webhooks cost pushes: one at an address where nobody listens, one that takes its time, one
//! that takes everything at once.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::Context;
use crate::Outcome;
use crate::content::Image;
use crate::load::{push_image, share};
use crate::measure::{Goal, real_len};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;

const CLIENTS: usize = 8;
/// How long the slow webhook takes for each delivery.
const SLOW: Duration = Duration::from_millis(200);

const WITHOUT: &str = "without webhooks";
const DEAD_AND_SLOW: &str = "one dead and one slow webhook";
const QUICK: &str = "one quick webhook";

/// Pushes of small images with and without webhooks, in turns, each on a fresh folder.
pub fn webhooks(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let (slow, quick) = (Taker::start(SLOW)?, Taker::start(Duration::ZERO)?);
    let folder = context.folder.fresh()?;
    let settings = |name: &str, text: String| -> Outcome<_> {
        let path = folder.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    };
    // Nobody listens on the first port.
    let dead = table("dead", "127.0.0.1:1");
    let both = dead + &table("slow", &slow.address.to_string());
    let subjects = [
        (WITHOUT, settings("none.toml", String::new())?),
        (DEAD_AND_SLOW, settings("both.toml", both)?),
        (
            QUICK,
            settings("quick.toml", table("quick", &quick.address.to_string()))?,
        ),
    ];
    let mut rates = [const { Vec::new() }; 3];
    // The round before the first is not counted: it makes the disk what it is for all others.
    for round in 0..=scale.rounds {
        let seed = 90_000 + round as u64;
        let images = Image::many(seed, scale.images, scale.layers, scale.layer_small_bytes);
        for step in 0..subjects.len() {
            let at = (round + step) % subjects.len();
            let rate = rate(context, &subjects[at].1, &images)?;
            if round > 0 {
                rates[at].push(rate);
            }
        }
    }
    for ((subject, _), rates) in subjects.iter().zip(rates) {
        report.add(*subject, "images/s", rates);
    }
    report.judge_ratio(DEAD_AND_SLOW, WITHOUT, "images/s", Goal::AtLeast(0.95));
    report.tell(
        "images/s with one that takes all at once",
        report.ratio(QUICK, WITHOUT, "images/s"),
        "×",
    );
    report.notes.push(format!(
        "the slow one takes {} ms for each delivery; the quick one runs in this process, on the \
         same processors",
        SLOW.as_millis()
    ));
    Ok(())
}

fn table(name: &str, address: &str) -> String {
    format!("[[webhook]]\nname = \"{name}\"\nurl = \"http://{address}/\"\n")
}

/// Images a second on a fresh folder, whose files are emptied at the end.
fn rate(context: &Context<'_>, settings: &Path, images: &[Image]) -> Outcome<f64> {
    let (kind, door) = (Kind::Coracle, Door::Settings(settings));
    let server = Server::start(kind, &context.options.coracle, context.folder.path(), door)?;
    rustix::fs::sync();
    let took = share(server.address, CLIENTS, images, push_image)?;
    drop(server);
    rustix::fs::sync();
    Ok(real_len(images.len()) / took.as_secs_f64())
}

/// Takes deliveries, each after a time.
struct Taker {
    address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Taker {
    fn start(pause: Duration) -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                // It ends with its connection.
                thread::spawn(move || take(stream, pause));
            }
        });
        Ok(Self { address, over })
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn take(stream: TcpStream, pause: Duration) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let line = line.trim_end().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if line.is_empty() {
                break;
            }
        }
        io::copy(&mut (&mut stream).take(length), &mut io::sink())?;
        thread::sleep(pause);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.get_mut().write_all(answer)?;
    }
}
