//! From sources to settings: each source becomes a layer, later layers win.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::credentials::Credentials;
use super::error::{ConfigError, Origin, Problem};
use super::settings::KEYS;
use super::suggest::nearest;
use super::value::Value;
use super::{Key, Settings, credentials, file, rules};
use crate::auth::Rule;
use crate::notify::Endpoint;
use crate::registry::policy;

/// The variable that names the configuration file, where `--config` does not.
pub const CONFIG_VARIABLE: &str = "CORACLE_CONFIG";

/// Variables that begin so are ours and must be known.
const PREFIX: &str = "CORACLE_";

/// Variables that begin so belong to tests and are left alone.
const TEST_PREFIX: &str = "CORACLE_TEST_";

/// A setting as it was typed on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagValue {
    /// The flag with its dashes, one of those in [`KEYS`].
    pub flag: &'static str,
    /// What followed it; several times where it was given several times.
    pub values: Vec<OsString>,
}

/// Where settings come from. Reading them touches nothing but the named file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file that `--config` names.
    pub file: Option<PathBuf>,
    /// The environment; variables that do not begin with `CORACLE_` are ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// The flags that were typed.
    pub flags: Vec<FlagValue>,
    /// Whether paths may name credentials that were not handed over: by commands that a person
    /// types, which read none of these files.
    pub credentials_may_miss: bool,
}

impl Sources {
    /// The environment of this process, with what was typed.
    pub fn of_process(file: Option<PathBuf>, flags: Vec<FlagValue>) -> Self {
        Self {
            file,
            environment: std::env::vars_os().collect(),
            flags,
            credentials_may_miss: false,
        }
    }

    fn layers(&self) -> Result<(Vec<Layer>, Option<PathBuf>), ConfigError> {
        let file = self.file.clone().or_else(|| {
            let named = self
                .environment
                .iter()
                .find(|(variable, value)| variable == CONFIG_VARIABLE && !value.is_empty());
            named.map(|(_, value)| PathBuf::from(value))
        });
        let mut layers = Vec::new();
        if let Some(path) = &file {
            layers.push(file::parse(&file::read(path)?, &path.display().to_string()));
        }
        layers.push(environment(&self.environment));
        layers.push(flags(&self.flags));
        Ok((layers, file))
    }

    /// Where the data is, whatever else is wrong with the settings: for commands that only talk to
    /// the server that was started with them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn data_folder(&self) -> Result<PathBuf, ConfigError> {
        let (layers, _) = self.layers()?;
        let values = layers.into_iter().flat_map(|layer| layer.values);
        let mut said = values.filter(|(index, ..)| KEYS[*index].path() == "storage.data");
        Ok(match said.next_back() {
            Some((_, Value::Path(Some(path)), _)) => path,
            _ => Settings::default().storage.data,
        })
    }
}

/// Settings and where each of them comes from.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The settings.
    pub settings: Settings,
    /// The file that was read, if one was named.
    pub file: Option<PathBuf>,
    /// One for each of [`KEYS`], in their order.
    pub(super) values: Vec<(Value, Origin)>,
}

impl Effective {
    /// Reads all sources and checks everything in them.
    ///
    /// # Errors
    /// Everything that is wrong in any source, also what a later one overrides.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let (layers, file) = sources.layers()?;
        let credentials = match credentials::folder(&sources.environment) {
            Some(folder) => Credentials::In(folder),
            None if sources.credentials_may_miss => Credentials::NotRead,
            None => Credentials::Missing,
        };
        Self::of_layers(layers, file, &credentials)
    }

    /// Every key with its effective value and where that comes from.
    pub fn entries(&self) -> impl Iterator<Item = (&'static Key, &Value, &Origin)> {
        let values = self.values.iter();
        KEYS.iter()
            .zip(values)
            .map(|(key, (value, origin))| (key, value, origin))
    }

    /// What holds when no source says anything.
    #[expect(
        clippy::expect_used,
        reason = "the defaults are constants, and a test loads them"
    )]
    pub(super) fn defaults() -> Self {
        Self::of_layers(Vec::new(), None, &Credentials::Missing)
            .expect("the defaults are within their own bounds")
    }

    fn of_layers(
        layers: Vec<Layer>,
        file: Option<PathBuf>,
        credentials: &Credentials,
    ) -> Result<Self, ConfigError> {
        let Layer {
            values, problems, ..
        } = defaults();
        let mut effective: Vec<(Value, Origin)> = values
            .into_iter()
            .map(|(_, value, origin)| (value, origin))
            .collect();
        let mut all_problems = problems;
        let mut all_rules = Vec::new();
        let mut policy = policy::Rules::default();
        let mut endpoints = Vec::new();
        for layer in layers {
            let Layer {
                values,
                access,
                endpoints: told,
                policy: own,
                problems,
            } = layer;
            all_problems.extend(problems);
            all_rules.extend(access);
            policy.extend(own);
            endpoints.extend(told);
            for (index, value, origin) in values {
                effective[index] = (value, origin);
            }
        }
        ConfigError::unless_empty(all_problems)?;
        ConfigError::unless_empty(rules::problems(&effective))?;
        ConfigError::unless_empty(rules::of_token_server(&effective, &all_rules))?;
        let plain = credentials::resolve(&effective, credentials)?;
        credentials::resolve_of_webhooks(&mut endpoints, credentials)?;
        let mut settings = Settings::assemble(&plain).ok_or_else(|| {
            let why = "a number does not fit this machine";
            Problem::of_source(Origin::Default, why)
        })?;
        settings.access = all_rules;
        settings.policy = policy;
        settings.endpoints = endpoints;
        Ok(Self {
            settings,
            file,
            values: effective,
        })
    }
}

impl Settings {
    /// [`Effective::load`] for those who need no origins.
    ///
    /// # Errors
    /// Everything that is wrong in any source.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        Effective::load(sources).map(|effective| effective.settings)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Effective::defaults().settings
    }
}

/// The settings that a TOML text declares, over the defaults. Never panics, whatever the text.
///
/// # Errors
/// Everything that is wrong in the text, with its lines.
pub fn parse_toml(text: &str) -> Result<Settings, ConfigError> {
    let layer = file::parse(text, "coracle.toml");
    Effective::of_layers(vec![layer], None, &Credentials::Missing)
        .map(|effective| effective.settings)
}

/// What one source says.
#[derive(Debug, Default)]
pub(super) struct Layer {
    /// Index in [`KEYS`], value, and where it stands.
    pub(super) values: Vec<(usize, Value, Origin)>,
    /// The `[[access]]` tables; only a file has them.
    pub(super) access: Vec<Rule>,
    /// The `[[webhook]]` tables.
    pub(super) endpoints: Vec<Endpoint>,
    /// The other tables.
    pub(super) policy: policy::Rules,
    /// What is wrong in the source.
    pub(super) problems: Vec<Problem>,
}

impl Layer {
    fn read(&mut self, index: usize, text: &OsStr, origin: Origin) {
        let key = &KEYS[index];
        match key.kind.read_text(text) {
            Ok(value) => self.values.push((index, value, origin)),
            Err(why) => {
                let problem = Problem::of_value(key.path(), &text.to_string_lossy(), origin, why);
                self.problems.push(problem);
            }
        }
    }
}

fn defaults() -> Layer {
    let mut layer = Layer::default();
    for (index, key) in KEYS.iter().enumerate() {
        layer.read(index, OsStr::new(key.default), Origin::Default);
    }
    layer
}

fn environment(variables: &[(OsString, OsString)]) -> Layer {
    let mut layer = Layer::default();
    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
    let mut ours: Vec<(String, &OsString)> = variables
        .iter()
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value))
        .filter(|(name, _)| name.starts_with(PREFIX) && !name.starts_with(TEST_PREFIX))
        .filter(|(name, _)| name != CONFIG_VARIABLE)
        .collect();
    ours.sort();
    for (variable, value) in ours {
        match known.iter().position(|name| *name == variable) {
            // Compose files write `NAME=` for what is not set.
            Some(_) if value.is_empty() => {}
            Some(index) => layer.read(index, value, Origin::Environment { variable }),
            None if is_service_link(&variable, value) => {}
            None => layer.problems.push(unknown_variable(&variable, &known)),
        }
    }
    layer
}

fn unknown_variable(variable: &str, known: &[String]) -> Problem {
    let candidates = known.iter().cloned().chain([CONFIG_VARIABLE.to_owned()]);
    let why = match nearest(variable, candidates) {
        Some(near) => format!("no such setting; did you mean {near}?"),
        None => "no such setting; `coracle config default` lists the variable of each".to_owned(),
    };
    let variable = super::error::shorten(variable);
    Problem::of_source(Origin::Environment { variable }, why)
}

/// Whether a variable is one that Kubernetes sets in every pod for a service whose name begins
/// with `coracle` (`CORACLE_SERVICE_HOST`, `CORACLE_PORT=tcp://10.0.0.1:5000`,
/// `CORACLE_PORT_5000_TCP_ADDR`, …). Nobody typed them, so they are no mistakes.
fn is_service_link(variable: &str, value: &OsStr) -> bool {
    let Some(value) = value.to_str() else {
        return false;
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if variable.ends_with("_SERVICE_HOST") {
        return value.parse::<std::net::IpAddr>().is_ok();
    }
    if variable.contains("_SERVICE_PORT") {
        return is_number(value);
    }
    if variable.ends_with("_PORT") && value.contains("://") {
        return true;
    }
    // NAME_PORT_<number>_<protocol>[_PROTO|_PORT|_ADDR]
    let Some((_, link)) = variable.split_once("_PORT_") else {
        return false;
    };
    let mut parts = link.split('_');
    parts.next().is_some_and(is_number)
        && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        && matches!(parts.next(), None | Some("PROTO" | "PORT" | "ADDR"))
        && parts.next().is_none()
}

fn flags(flags: &[FlagValue]) -> Layer {
    let mut layer = Layer::default();
    for FlagValue { flag, values } in flags {
        let origin = Origin::Flag {
            flag: (*flag).to_owned(),
        };
        let Some(index) = KEYS.iter().position(|key| key.flag == Some(flag)) else {
            let why = "no setting has this flag";
            layer.problems.push(Problem::of_source(origin, why));
            continue;
        };
        layer.read(index, &values.join(OsStr::new(",")), origin);
    }
    layer
}
