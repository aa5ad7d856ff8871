//! Small requests of clients that are logged in, against the same server without authentication.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::Context;
use super::requests::CLIENTS;
use crate::client::expect;
use crate::content::Image;
use crate::flood::{Target, flood};
use crate::load::{push_image, share};
use crate::measure::{Goal, real_len};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;
use crate::system::cpu_seconds;
use crate::{Failure, Outcome};

/// Different manifests that are asked for in turn.
const TARGETS: usize = 20;
/// Bytes of a layer.
const LAYER_BYTES: usize = 1024;

const RATE: &str = "requests/s";
const COST: &str = "CPU µs/request";

const OPEN: &str = "coracle, without authentication";
const BEARER: &str = "coracle, Bearer token";
const ACCOUNT: &str = "coracle, password of an account";
const HTPASSWD: &str = "coracle, password of an htpasswd file";
const PEER: &str = "docker-registry, password of an htpasswd file";

const PASSWORD: &str = "correct horse battery";
/// `ada` with that password; bcrypt of cost 10.
const HTPASSWD_LINE: &str = "ada:$2y$10$BIdWWg8yfJMUGw4GUowMT.iGsBCNZGjPZadC/9aTMq/k5UJjVZNGC\n";
/// The same as a client shows it.
const BASIC: &str = "Authorization: Basic YWRhOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==\r\n";
/// Rules as a team would have them; the last one is the one that decides here.
const RULES: &str = r#"
[[access]]
who = "anyone"
repositories = ["public/**"]
actions = ["pull"]

[[access]]
who = "authenticated"
repositories = ["home/{user}/**"]
actions = ["*"]

[[access]]
who = "group:dev"
repositories = ["bench/**"]
actions = ["pull", "push"]
"#;

/// A server, and what its clients show.
struct Subject {
    name: &'static str,
    server: Server,
    shows: Shows,
    rates: Vec<f64>,
    /// Processor microseconds of the server for a request.
    costs: Vec<f64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    Password,
    Token,
}

/// With a token of the registry's own token endpoint for each repository, as clients have it.
pub fn bearer(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    measure(context, report, &[OPEN, BEARER, PEER])?;
    conclude(report, BEARER, Goal::AtLeast(0.8));
    Ok(())
}

/// With a password that was verified before.
pub fn basic(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    measure(context, report, &[OPEN, ACCOUNT, HTPASSWD, PEER])?;
    conclude(report, ACCOUNT, Goal::AtLeast(0.7));
    conclude(report, HTPASSWD, Goal::AtLeast(0.7));
    Ok(())
}

/// What a subject reached of the open server, what it costs more, and the peer.
fn conclude(report: &mut RowReport, subject: &str, goal: Goal) {
    let short = subject.trim_start_matches("coracle, ");
    let of_open = report.ratio(subject, OPEN, RATE);
    report.judge(format!("{short}: {RATE} against none"), of_open, "×", goal);
    let cost = report.ratio(subject, OPEN, COST);
    report.tell(format!("{short}: {COST} against none"), cost, "×");
    let of_peer = report.ratio(subject, PEER, RATE);
    report.tell(
        format!("{short}: {RATE} against docker-registry"),
        of_peer,
        "×",
    );
}

/// Lets the subjects answer in turns and reports their rates.
fn measure(context: &Context<'_>, report: &mut RowReport, names: &[&'static str]) -> Outcome<()> {
    let images = Image::many(7_000, TARGETS, context.scale.layers, LAYER_BYTES);
    let house = House::build(context)?;
    let mut subjects = Vec::new();
    for name in names {
        match house.open(context, name, &images) {
            Ok(subject) => subjects.push(subject),
            Err(error) => report.fail(name, &error),
        }
    }
    rustix::fs::sync();
    let window = Duration::from_millis(context.scale.window_ms);
    for round in 0..context.scale.rounds {
        let count = subjects.len().max(1);
        subjects.rotate_left(round % count);
        let mut failed = Vec::new();
        for subject in &mut subjects {
            match subject.answer(window, &images) {
                Ok((rate, cost)) => {
                    subject.rates.push(rate);
                    subject.costs.push(cost);
                }
                Err(error) => {
                    report.fail(subject.name, &error);
                    failed.push(subject.name);
                }
            }
        }
        subjects.retain(|subject| !failed.contains(&subject.name));
    }
    for name in names {
        if let Some(subject) = subjects.iter_mut().find(|subject| subject.name == *name) {
            report.add(*name, RATE, std::mem::take(&mut subject.rates));
            report.add(*name, COST, std::mem::take(&mut subject.costs));
        }
    }
    report
        .notes
        .push("one thread drives all connections, each with one request under way".into());
    Ok(())
}

/// Where the files are that say who is let in, and the folders of the servers.
struct House {
    folder: TempDir,
    rules: PathBuf,
    htpasswd: PathBuf,
}

impl House {
    fn build(context: &Context<'_>) -> Outcome<Self> {
        let folder = context.folder.fresh()?;
        let (rules, htpasswd) = (
            folder.path().join("coracle.toml"),
            folder.path().join("htpasswd"),
        );
        fs::write(&rules, RULES)?;
        fs::write(&htpasswd, HTPASSWD_LINE)?;
        Ok(Self {
            folder,
            rules,
            htpasswd,
        })
    }

    /// Fills a server while it is open, and starts it again behind its door: a peer that hashes a
    /// password with each request would take minutes to fill.
    fn open(
        &self,
        context: &Context<'_>,
        name: &'static str,
        images: &[Image],
    ) -> Outcome<Subject> {
        let kind = if name == PEER {
            Kind::DockerRegistry
        } else {
            Kind::Coracle
        };
        let folder = self.folder.path().join(name.replace([' ', ','], "-"));
        fs::create_dir(&folder)?;
        let open = context.start_on(kind, &folder)?;
        share(open.address, 4, images, push_image)?;
        let data = open.data().to_owned();
        open.stop();
        let (door, shows) = match name {
            OPEN => (Door::Open, Shows::Nothing),
            BEARER => (Door::Rules(&self.rules), Shows::Token),
            ACCOUNT => (Door::Rules(&self.rules), Shows::Password),
            _ => (Door::Htpasswd(&self.htpasswd), Shows::Password),
        };
        if let Door::Rules(_) = door {
            add_user(&context.options.coracle, &data)?;
        }
        Ok(Subject {
            name,
            server: context.start_behind(door, kind, &folder)?,
            shows,
            rates: Vec::new(),
            costs: Vec::new(),
        })
    }
}

fn add_user(coracle: &Path, data: &Path) -> Outcome<()> {
    let mut child = Command::new(coracle)
        .args(["user", "add", "ada", "--group", "dev", "--password-stdin"])
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(PASSWORD.as_bytes())?;
    }
    let status = child.wait()?;
    if status.success() {
        return Ok(());
    }
    Err(format!("coracle user add ended with {status}").into())
}

impl Subject {
    /// Requests a second over `window`, after a tenth of it that does not count, and what one
    /// costs.
    fn answer(&self, window: Duration, images: &[Image]) -> Outcome<(f64, f64)> {
        let targets = self.targets(images)?;
        // One alone first, as a client begins: its password is verified, and then known.
        let first = &targets[0];
        let mut connection = self.server.connect()?;
        let head = connection.ask_with("GET", &first.path, &first.fields, &mut |_| {})?;
        expect(head, 200, "GET", &first.path)?;
        let ask = |window| flood(self.server.address, CLIENTS, window, "GET", &targets, 200);
        ask(window / 10)?;
        let before = cpu_seconds(self.server.pid())?;
        // A peer that hashes a password for each answers few.
        let window = if self.name == PEER {
            window * 2
        } else {
            window
        };
        let answered = ask(window)?;
        let used = cpu_seconds(self.server.pid())? - before;
        Ok((answered.rate(), used * 1e6 / real_len(answered.done.max(1))))
    }

    fn targets(&self, images: &[Image]) -> Outcome<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for image in images {
            let fields = match self.shows {
                Shows::Nothing => String::new(),
                Shows::Password => BASIC.to_owned(),
                Shows::Token => self.token(&image.repository)?,
            };
            let path = image.target();
            targets.push(Target { path, fields });
        }
        Ok(targets)
    }

    /// The header line with a token for a repository.
    fn token(&self, repository: &str) -> Outcome<String> {
        let target = format!("/v2/token?service=coracle&scope=repository:{repository}:pull");
        let mut body = Vec::new();
        let head = self
            .server
            .connect()?
            .ask_with("GET", &target, BASIC, &mut |bytes| {
                body.extend_from_slice(bytes);
            })?;
        expect(head, 200, "GET", &target)?;
        let body: serde_json::Value = serde_json::from_slice(&body)?;
        let token = body["token"].as_str();
        let token = token.ok_or_else(|| Failure::from("the token endpoint gave no token"))?;
        Ok(format!("Authorization: Bearer {token}\r\n"))
    }
}
