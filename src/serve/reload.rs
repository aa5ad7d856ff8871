//! Reading again what can change while the registry runs: SIGHUP and `coracle reload` come here.
//!
//! Each part is read on its own: what cannot be used leaves that part as it was, and is told. Keys
//! that hold only after a restart are named as long as they differ from what was read at the
//! start.

use std::sync::{Arc, Mutex, PoisonError};

use super::service::Service;
use crate::api::control_reload::{PartReport, ReloadReport};
use crate::auth::Authenticator;
use crate::config::{Effective, Settings, Sources};
use crate::http::tls::Tls;
use crate::logging;
use crate::registry::{Registry, policy};

/// The keys whose new values hold after a reload. Rules in tables do as well.
const RELOADED_KEYS: [&str; 3] = ["log.level", "log.access", "log.audit"];

/// What the settings are called among the parts.
pub const CONFIGURATION: &str = "configuration";

/// What a part does: what holds now, or why it stays as it was.
type Outcome = Result<String, String>;

/// Something that is read again. Whoever hosts the registry adds theirs (`Host::parts`).
pub struct Part {
    name: &'static str,
    read: Read,
}

/// What a part goes by.
enum Read {
    /// Settings, which were read without a mistake.
    Settings(Box<dyn Fn(&Settings) -> Outcome + Send + Sync>),
    /// Files that the settings of the start name.
    Files(Box<dyn Fn() -> Outcome + Send + Sync>),
}

impl Part {
    /// A part that new settings are handed to. With a mistake in them it is left alone.
    pub fn of_settings(
        name: &'static str,
        read: impl Fn(&Settings) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let read = Read::Settings(Box::new(read));
        Self { name, read }
    }

    /// A part that reads files of its own.
    pub fn of_files(
        name: &'static str,
        read: impl Fn() -> Outcome + Send + Sync + 'static,
    ) -> Self {
        let read = Read::Files(Box::new(read));
        Self { name, read }
    }

    fn run(&self, settings: Option<&Settings>) -> Option<PartReport> {
        let outcome = match (&self.read, settings) {
            (Read::Settings(read), Some(settings)) => read(settings),
            (Read::Settings(_), None) => return None,
            (Read::Files(read), _) => read(),
        };
        Some(report(self.name, outcome))
    }
}

/// Where settings come from, and what they were at the start.
pub struct Configured {
    /// Where they are read again.
    pub sources: Sources,
    /// What the registry was started with.
    pub running: Effective,
}

/// Makes a registry that serves read its files again, from any thread.
pub struct Reloader {
    /// Absent where whoever embeds the registry has made its settings.
    configured: Option<Configured>,
    parts: Vec<Part>,
    service: Option<Arc<Service>>,
    /// One reload at a time.
    turn: Mutex<()>,
}

impl Reloader {
    pub(super) fn new(
        configured: Option<Configured>,
        parts: Vec<Part>,
        service: Option<Arc<Service>>,
    ) -> Self {
        Self {
            configured,
            parts,
            service,
            turn: Mutex::default(),
        }
    }

    /// Reads everything, logs what came of it, and tells the service manager.
    pub fn reload(&self) -> ReloadReport {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        log::info!("reading the configuration and its files again");
        if let Some(service) = &self.service {
            service.reloading();
        }
        let report = self.read();
        if !report.restart.is_empty() {
            let keys = report.restart.join(", ");
            log::warn!("these keys have changed and hold only after a restart: {keys}");
        }
        if let Some(service) = &self.service {
            let refused: Vec<String> = report
                .refused()
                .map(|it| format!("{}: {}", it.part, it.detail))
                .collect();
            let refused = refused.join("; ");
            service.reloaded(Some(refused.as_str()).filter(|why| !why.is_empty()));
        }
        report
    }

    fn read(&self) -> ReloadReport {
        let mut all = ReloadReport::default();
        let mut settings = None;
        if let Some(configured) = &self.configured {
            match Effective::load(&configured.sources) {
                Ok(new) => {
                    all.restart = differing(&configured.running, &new);
                    let file = new.file.as_ref().map(|path| path.display().to_string());
                    let detail = file.unwrap_or_else(|| "without a file".to_owned());
                    all.parts.push(report(CONFIGURATION, Ok(detail)));
                    settings = Some(new.settings);
                }
                Err(error) => {
                    log::error!("the settings and rules stay as they were: {error}");
                    let outcome = Err(error.to_string());
                    all.parts.push(report(CONFIGURATION, outcome));
                }
            }
        }
        let parts = self.parts.iter();
        all.parts
            .extend(parts.filter_map(|part| part.run(settings.as_ref())));
        all
    }
}

fn report(part: &str, outcome: Outcome) -> PartReport {
    let taken = outcome.is_ok();
    let (Ok(detail) | Err(detail)) = outcome;
    PartReport {
        part: part.to_owned(),
        taken,
        detail,
    }
}

/// The keys that hold only after a restart and have other values now.
fn differing(running: &Effective, new: &Effective) -> Vec<String> {
    let pairs = running.entries().zip(new.entries());
    pairs
        .filter(|((_, own, _), (_, other, _))| own != other)
        .map(|((key, ..), _)| key.path())
        .filter(|path| !RELOADED_KEYS.contains(&path.as_str()))
        .collect()
}

/// What every registry reads again, in this order. `format` is how the log was begun.
pub(super) fn parts(
    registry: &Arc<Registry>,
    auth: &Arc<Authenticator>,
    tls: Option<Arc<Tls>>,
    format: logging::Format,
) -> Vec<Part> {
    let (registry, by_rules, by_files) = (Arc::clone(registry), Arc::clone(auth), Arc::clone(auth));
    let mut parts = vec![
        Part::of_settings("log", move |settings| {
            let log = &settings.log;
            logging::change(log.level, format, log.access, log.audit);
            Ok(format!("level {}", log.level.as_str().to_ascii_lowercase()))
        }),
        Part::of_settings("access rules", move |settings| {
            let count = settings.access.len();
            by_rules.set_rules(settings.access.clone());
            log::info!("{count} access rules are in force");
            Ok(format!("{count} in force"))
        }),
        Part::of_settings("rules about content", move |settings| {
            Ok(set_policy(&registry, settings.policy.clone()))
        }),
        Part::of_files("accounts", move || {
            by_files.reload();
            let notes = by_files.notes();
            if notes.is_empty() {
                Ok("read again".to_owned())
            } else {
                Err(notes.join("; "))
            }
        }),
    ];
    if let Some(tls) = tls {
        parts.push(Part::of_files("certificates", move || {
            tls.reload().map_err(|error| error.to_string())?;
            Ok(format!("{} loaded", tls.status().certificates.len()))
        }));
    }
    parts
}

fn set_policy(registry: &Registry, rules: policy::Rules) -> String {
    let [retention, quotas, immutable] = [
        rules.retention.len(),
        rules.quotas.len(),
        rules.immutable.len(),
    ];
    if let Err(error) = registry.set_policy(rules) {
        log::warn!("what shared quotas bound is counted later: {error}");
    }
    let counts = format!(
        "{retention} rules of retention, {quotas} quotas and {immutable} rules about immutable tags"
    );
    log::info!("{counts} are in force");
    if let Err(error) = registry.forget_quotas() {
        log::warn!("quotas that are in force no more are still counted for: {error}");
    }
    format!("{counts} in force")
}
