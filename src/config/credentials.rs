//! Paths that name a credential: systemd puts those into a folder that only the service can read,
//! and names that folder in the environment (`LoadCredential=`, `ImportCredential=`).

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::error::{ConfigError, Origin, Problem};
use super::settings::KEYS;
use super::value::Value;
use crate::notify::{Endpoint, Secret};

/// What such a path begins with.
const PREFIX: &str = "credential:";
/// The variable that names the folder.
const VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Where credentials are.
#[derive(Debug)]
pub(super) enum Credentials {
    /// In this folder.
    In(PathBuf),
    /// Nowhere, and nobody reads them: paths stay as they were written.
    NotRead,
    /// Nowhere.
    Missing,
}

/// The folder of credentials, from the environment.
pub(super) fn folder(environment: &[(OsString, OsString)]) -> Option<PathBuf> {
    environment
        .iter()
        .find(|(name, value)| name == VARIABLE && !value.is_empty())
        .map(|(_, value)| PathBuf::from(value))
}

/// The values, in the order of [`KEYS`], with credentials replaced by their paths.
///
/// # Errors
/// A credential cannot be there.
pub(super) fn resolve(
    values: &[(Value, Origin)],
    credentials: &Credentials,
) -> Result<Vec<Value>, ConfigError> {
    let mut problems = Vec::new();
    let mut resolved = Vec::with_capacity(values.len());
    for ((value, origin), key) in values.iter().zip(KEYS) {
        let mut path_of = |path: &PathBuf| {
            find(path, credentials).unwrap_or_else(|why| {
                let written = path.to_string_lossy();
                let problem = Problem::of_value(key.path(), &written, origin.clone(), why);
                problems.push(problem);
                path.clone()
            })
        };
        resolved.push(match value {
            Value::Path(Some(path)) => Value::Path(Some(path_of(path))),
            Value::Paths(paths) => Value::Paths(paths.iter().map(path_of).collect()),
            other => other.clone(),
        });
    }
    ConfigError::unless_empty(problems)?;
    Ok(resolved)
}

/// Replaces credentials that webhooks name by their paths.
///
/// # Errors
/// A credential cannot be there.
pub(super) fn resolve_of_webhooks(
    endpoints: &mut [Endpoint],
    credentials: &Credentials,
) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    for endpoint in endpoints {
        let name = &endpoint.name;
        let file = match &mut endpoint.secret {
            Some(Secret::File(file)) => Some(file),
            _ => None,
        };
        for (key, path) in [
            ("secret_file", file),
            ("authorities", endpoint.authorities.as_mut()),
        ] {
            let Some(path) = path else { continue };
            match find(path, credentials) {
                Ok(found) => *path = found,
                Err(why) => {
                    let key = format!("webhook.{key} of {name} ({})", endpoint.origin);
                    problems.push(Problem::of_key(key, Origin::Default, why));
                }
            }
        }
    }
    ConfigError::unless_empty(problems)
}

fn find(path: &Path, credentials: &Credentials) -> Result<PathBuf, String> {
    let Some(name) = path.to_str().and_then(|path| path.strip_prefix(PREFIX)) else {
        return Ok(path.to_owned());
    };
    if Path::new(name).file_name() != Some(OsStr::new(name)) {
        return Err(format!("must be {PREFIX}NAME with a name and no path"));
    }
    match credentials {
        Credentials::In(folder) => Ok(folder.join(name)),
        Credentials::NotRead => Ok(path.to_owned()),
        Credentials::Missing => Err(format!(
            "names a credential, but {VARIABLE} is not set: hand it over with \
             LoadCredential={name}:/path/to/it in the service's unit, or write a path"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(path: &str, folder: Option<&str>) -> Result<PathBuf, String> {
        let folder = folder.map(PathBuf::from);
        find(
            Path::new(path),
            &folder.map_or(Credentials::Missing, Credentials::In),
        )
    }

    #[test]
    fn a_credential_is_a_file_in_its_folder() {
        let there = Some("/run/credentials/coracle.service");
        let path = path_of("credential:key.pem", there).unwrap();
        assert_eq!(path, Path::new("/run/credentials/coracle.service/key.pem"));
        assert_eq!(
            path_of("/etc/key.pem", None).unwrap(),
            Path::new("/etc/key.pem")
        );
        for wrong in [
            "credential:",
            "credential:a/b",
            "credential:..",
            "credential:/etc/key",
        ] {
            let why = path_of(wrong, there).unwrap_err();
            assert!(why.contains("credential:NAME"), "{wrong}: {why}");
        }
        let why = path_of("credential:key.pem", None).unwrap_err();
        assert!(why.contains("CREDENTIALS_DIRECTORY is not set"), "{why}");
        assert!(why.contains("LoadCredential=key.pem:/"), "{why}");
        let path = Path::new("credential:key.pem");
        assert_eq!(find(path, &Credentials::NotRead).unwrap(), path);
        let wrong = Path::new("credential:a/b");
        assert!(find(wrong, &Credentials::NotRead).is_err());
    }

    #[test]
    fn the_folder_comes_from_the_environment() {
        let variable = |value: &str| [(OsString::from(VARIABLE), OsString::from(value))];
        assert_eq!(folder(&variable("/run/c")), Some("/run/c".into()));
        assert_eq!(folder(&variable("")), None);
        assert_eq!(folder(&[]), None);
    }
}
