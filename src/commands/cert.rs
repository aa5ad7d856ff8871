//! `coracle cert`: certificates for a registry that has none, and what certificates say.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::cli::SelfSignedArgs;
use crate::clock::{Clock, SystemClock};
use crate::exit::Exit;
use crate::http::tls::{CertificateFacts, SelfSigned, read_certificates, self_sign};
use crate::serve::Error;

/// Hosts of a certificate for a registry that serves its own machine.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
/// The port in what is printed.
const PORT: u16 = 5000;

/// Makes an authority and a certificate, writes their files and prints what to do with them.
///
/// # Errors
/// A host is none, a file is there already, or one cannot be written.
pub fn self_signed(args: &SelfSignedArgs) -> Result<(), Error> {
    let hosts = if args.host.is_empty() {
        LOOPBACK.map(str::to_owned).to_vec()
    } else {
        args.host.clone()
    };
    let made = self_sign(&hosts, args.days, SystemClock.now())?;
    fs::create_dir_all(&args.out).map_err(|error| cannot("make", &args.out, &error))?;
    // What is printed is pasted into files that other programs read from elsewhere.
    let folder = args.out.canonicalize()?;
    let files = Files::in_folder(&folder);
    files.write(&made, args.force)?;
    let mut out = io::stdout().lock();
    if args.json {
        let (ca, ca_key) = (files.ca.display(), files.ca_key.display());
        let (certificate, key) = (files.certificate.display(), files.key.display());
        let facts = json!({
            "hosts": hosts,
            "ca": ca.to_string(),
            "ca_key": ca_key.to_string(),
            "certificate": certificate.to_string(),
            "key": key.to_string(),
        });
        writeln!(out, "{facts}")?;
    } else {
        out.write_all(instructions(&files, &hosts).as_bytes())?;
    }
    Ok(())
}

/// Where the four files are.
struct Files {
    ca: PathBuf,
    ca_key: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Self {
        Self {
            ca: folder.join("ca.pem"),
            ca_key: folder.join("ca.key"),
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
        }
    }

    /// Writes all of them, or none where one is there already and `force` is not set. With it,
    /// each is replaced as a whole: a running registry may be reading.
    fn write(&self, made: &SelfSigned, force: bool) -> Result<(), Error> {
        const PUBLIC: u32 = 0o644;
        const SECRET: u32 = 0o600;
        let files = [
            (&self.ca, &made.ca, PUBLIC),
            (&self.ca_key, &made.ca_key, SECRET),
            (&self.key, &made.key, SECRET),
            (&self.certificate, &made.certificate, PUBLIC),
        ];
        for (path, ..) in &files {
            if !force && fs::symlink_metadata(path).is_ok() {
                let why = "it is there already; --force replaces it";
                return Err(cannot("write", path, &io::Error::other(why)));
            }
        }
        for (path, text, mode) in files {
            write_file(path, text, mode, force).map_err(|error| cannot("write", path, &error))?;
        }
        Ok(())
    }
}

fn write_file(path: &Path, text: &str, mode: u32, force: bool) -> io::Result<()> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if force {
        return fs::rename(&part, path);
    }
    // A link, unlike a rename, replaces nothing that has come meanwhile.
    fs::hard_link(&part, path)?;
    fs::remove_file(&part)
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Error {
    let text = format!("cannot {what} {}: {error}", path.display());
    Error::Io(io::Error::new(error.kind(), text))
}

/// What the registry and its clients need to be told.
fn instructions(files: &Files, hosts: &[String]) -> String {
    let (ca, key_file) = (files.ca.display(), files.key.display());
    let (certificate, ca_key) = (files.certificate.display(), files.ca_key.display());
    // A wildcard is no host that anybody reaches.
    let host = hosts.iter().find(|host| !host.starts_with('*'));
    let host = match host.map_or("registry.example.org", String::as_str) {
        v6 if v6.contains(':') => format!("[{v6}]:{PORT}"),
        other => format!("{other}:{PORT}"),
    };
    format!(
        "Made {ca}, {ca_key}, {certificate} and {key_file}
for {}.

coracle.toml of the registry:
  [tls]
  certificate = [\"{certificate}\"]
  key = [\"{key_file}\"]

Clients have to trust {ca} (this file alone; {ca_key} is a secret):

docker, on each client:
  install -D -m 0644 {ca} /etc/docker/certs.d/{host}/ca.crt

podman, skopeo and buildah, on each client:
  install -D -m 0644 {ca} /etc/containers/certs.d/{host}/ca.crt

containerd, in /etc/containerd/certs.d/{host}/hosts.toml (and config_path set to
/etc/containerd/certs.d):
  server = \"https://{host}\"
  [host.\"https://{host}\"]
    ca = \"{ca}\"

k3s, in /etc/rancher/k3s/registries.yaml on each node:
  configs:
    \"{host}\":
      tls:
        ca_file: {ca}
",
        hosts.join(", ")
    )
}

/// Prints what the certificates in `files` say; [`Exit::Failed`] when one of them is not valid now.
///
/// # Errors
/// A file cannot be read or holds no certificate, or standard output cannot be written.
pub fn show(files: &[PathBuf], as_json: bool) -> Result<Exit, Error> {
    let now = SystemClock.now();
    let mut all = Vec::new();
    for file in files {
        for facts in read_certificates(file)? {
            all.push((file, facts));
        }
    }
    let mut out = io::stdout().lock();
    if as_json {
        let certificates: Vec<Value> = all
            .iter()
            .map(|(file, facts)| to_json(file, facts, now))
            .collect();
        writeln!(out, "{}", json!({ "certificates": certificates }))?;
    } else if all.is_empty() {
        writeln!(
            out,
            "no certificate is configured: tls.certificate is empty"
        )?;
    } else {
        for (index, (file, facts)) in all.iter().enumerate() {
            let gap = if index > 0 { "\n" } else { "" };
            write!(out, "{gap}{}", to_text(file, facts, now))?;
        }
    }
    let are_valid = all.iter().all(|(_, facts)| facts.is_valid_at(now));
    Ok(if are_valid { Exit::Ok } else { Exit::Failed })
}

fn to_text(file: &Path, facts: &CertificateFacts, now: SystemTime) -> String {
    let state = match validity(facts, now) {
        Validity::Valid { days_left: 1 } => "1 day left".to_owned(),
        Validity::Valid { days_left } => format!("{days_left} days left"),
        Validity::NotYet => "NOT VALID YET".to_owned(),
        Validity::Expired => "EXPIRED".to_owned(),
    };
    let names: Vec<String> = [facts.hosts(), facts.emails.clone(), facts.uris.clone()].concat();
    format!(
        "file         {}\nsubject      {}\nissuer       {}\nnames        {}\nvalid        {} to \
         {} ({state})\nfingerprint  sha256:{}\n",
        file.display(),
        facts.subject,
        facts.issuer,
        names.join(", "),
        date(facts.not_before),
        date(facts.not_after),
        facts.fingerprint
    )
}

fn to_json(file: &Path, facts: &CertificateFacts, now: SystemTime) -> Value {
    let (state, days_left) = match validity(facts, now) {
        Validity::Valid { days_left } => ("valid", days_left),
        Validity::NotYet => ("not valid yet", 0),
        Validity::Expired => ("expired", 0),
    };
    json!({
        "file": file.display().to_string(),
        "subject": facts.subject,
        "issuer": facts.issuer,
        "hosts": facts.hosts(),
        "emails": facts.emails,
        "uris": facts.uris,
        "not_before": date(facts.not_before),
        "not_after": date(facts.not_after),
        "state": state,
        "days_left": days_left,
        "sha256": facts.fingerprint,
    })
}

enum Validity {
    Valid { days_left: u64 },
    NotYet,
    Expired,
}

fn validity(facts: &CertificateFacts, now: SystemTime) -> Validity {
    const DAY: Duration = Duration::from_secs(86_400);
    match facts.not_after.duration_since(now) {
        Err(_) => Validity::Expired,
        Ok(_) if now < facts.not_before => Validity::NotYet,
        Ok(left) => Validity::Valid {
            days_left: left.as_secs() / DAY.as_secs(),
        },
    }
}

fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| time.to_string())
}
