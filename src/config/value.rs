//! Values of settings: read from TOML or text by their kind, and written again.

use std::ffi::OsStr;
use std::path::PathBuf;

use toml::de::DeValue;

use super::key::{AUTO, Bounds, Kind, OFF};
use super::number::{format_bytes, format_seconds, parse_bytes, parse_seconds};
use crate::http::{Listen, ListenAddress};

/// The most addresses to listen on.
const ADDRESSES_MAX: usize = 64;
/// Bytes of a UNIX socket's path: what `sockaddr_un` holds on Linux, less its ending.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// A value that its kind allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// On or off.
    Switch(bool),
    /// A count, a number of bytes or a number of seconds.
    Number(u64),
    /// One name of a choice, or `auto` in place of a number.
    Name(&'static str),
    /// A path, or none.
    Path(Option<PathBuf>),
    /// Paths.
    Paths(Vec<PathBuf>),
    /// A text, or none.
    Text(Option<String>),
    /// Texts.
    Texts(Vec<String>),
    /// Addresses to listen on.
    Addresses(Vec<Listen>),
}

impl Kind {
    /// The value that an environment variable or a flag holds.
    /// The error is the sentence for people, without key and value.
    pub(super) fn read_text(&self, text: &OsStr) -> Result<Value, String> {
        if let Self::Path | Self::OptionalPath = self {
            return self.path(PathBuf::from(text));
        }
        let text = text.to_str().ok_or("must be text in UTF-8")?;
        match self {
            Self::Switch => match text.trim() {
                "true" => Ok(Value::Switch(true)),
                "false" => Ok(Value::Switch(false)),
                _ => Err("must be true or false".to_owned()),
            },
            Self::Count(bounds) => match text.trim().parse() {
                Ok(number) => self.number(bounds, number),
                Err(_) => Err(bounds.refuse(|n| n.to_string())),
            },
            Self::Addresses => addresses(text.split(',').map(str::trim)),
            Self::Texts => texts(text.split(',').map(str::trim)),
            Self::Paths => paths(text.split(',').map(str::trim)),
            _ => self.read_quoted(text),
        }
    }

    /// The value that a TOML value holds.
    pub(super) fn read_toml(&self, value: &DeValue<'_>) -> Result<Value, String> {
        match (self, value) {
            (Self::Switch, DeValue::Boolean(on)) => Ok(Value::Switch(*on)),
            (
                Self::Count(bounds)
                | Self::Bytes(bounds)
                | Self::AutoBytes(bounds)
                | Self::Seconds(bounds),
                DeValue::Integer(integer),
            ) => match u64::from_str_radix(integer.as_str(), integer.radix()) {
                Ok(number) => self.number(bounds, number),
                Err(_) => Err(bounds.refuse(self.unit())),
            },
            (Self::Addresses | Self::Texts | Self::Paths, DeValue::Array(items)) => {
                let all: Option<Vec<&str>> =
                    items.iter().map(|item| item.get_ref().as_str()).collect();
                let all = all.ok_or("must be a list of texts")?;
                match self {
                    Self::Addresses => addresses(all),
                    Self::Paths => paths(all),
                    _ => texts(all),
                }
            }
            (Self::Addresses, DeValue::String(text)) => addresses([&**text]),
            (Self::Texts, DeValue::String(text)) => texts([&**text]),
            (Self::Paths, DeValue::String(text)) => paths([&**text]),
            (Self::Switch | Self::Count(_), _) => Err(self.wrong_type(value)),
            (_, DeValue::String(text)) => self.read_quoted(text),
            _ => Err(self.wrong_type(value)),
        }
    }

    /// The value of a text that stands in quotes in TOML.
    fn read_quoted(&self, text: &str) -> Result<Value, String> {
        match self {
            Self::Bytes(bounds) => self.number(bounds, parse_bytes(text)?),
            Self::AutoBytes(_) if text.trim() == AUTO => Ok(Value::Name(AUTO)),
            Self::AutoBytes(bounds) => match parse_bytes(text) {
                Ok(number) => self.number(bounds, number),
                Err(why) => Err(format!("{why}, or {AUTO}")),
            },
            Self::Seconds(bounds) => self.number(bounds, parse_seconds(text)?),
            Self::Choice(names) => names
                .iter()
                .find(|name| **name == text.trim())
                .map(|name| Value::Name(name))
                .ok_or_else(|| format!("must be one of {}", names.join(", "))),
            Self::Path | Self::OptionalPath => self.path(PathBuf::from(text)),
            Self::Text | Self::OptionalText => self.text(text),
            Self::OwnAddress => match text.trim() {
                AUTO => Ok(Value::Name(AUTO)),
                OFF => Ok(Value::Name(OFF)),
                address => {
                    addresses([address]).map_err(|why| format!("{why}; or {AUTO}, or {OFF}"))
                }
            },
            Self::Switch | Self::Count(_) | Self::Addresses | Self::Texts | Self::Paths => {
                Err(format!("must be {}", self.allowed()))
            }
        }
    }

    fn number(&self, bounds: &Bounds, number: u64) -> Result<Value, String> {
        if bounds.contains(number) {
            Ok(Value::Number(number))
        } else {
            Err(bounds.refuse(self.unit()))
        }
    }

    fn unit(&self) -> fn(u64) -> String {
        match self {
            Self::Bytes(_) | Self::AutoBytes(_) => format_bytes,
            Self::Seconds(_) => format_seconds,
            _ => |number| number.to_string(),
        }
    }

    fn path(&self, path: PathBuf) -> Result<Value, String> {
        if path.as_os_str().as_encoded_bytes().contains(&0) {
            return Err("must not contain a NUL character".to_owned());
        }
        match (self, path.as_os_str().is_empty()) {
            (_, false) => Ok(Value::Path(Some(path))),
            (Self::OptionalPath, true) => Ok(Value::Path(None)),
            (_, true) => Err("must not be empty".to_owned()),
        }
    }

    fn text(&self, text: &str) -> Result<Value, String> {
        match (self, text.is_empty()) {
            (_, false) => plain(text).map(|text| Value::Text(Some(text))),
            (Self::OptionalText, true) => Ok(Value::Text(None)),
            (_, true) => Err("must not be empty".to_owned()),
        }
    }

    fn wrong_type(&self, value: &DeValue<'_>) -> String {
        let wanted = match self {
            Self::Switch => "true or false, without quotes",
            Self::Count(_) => "a whole number",
            Self::Bytes(_) => "a number of bytes, or a text such as \"4MiB\"",
            Self::AutoBytes(_) => "a number of bytes, or a text such as \"4MiB\" or \"auto\"",
            Self::Seconds(_) => "a number of seconds, or a text such as \"24h\"",
            Self::Choice(_)
            | Self::Path
            | Self::OptionalPath
            | Self::Text
            | Self::OptionalText
            | Self::OwnAddress => "a text in quotes",
            Self::Texts => "a list of texts",
            Self::Paths => "a list of paths, such as [\"/etc/coracle/cert.pem\"]",
            Self::Addresses => "a list of texts, such as [\"127.0.0.1:5000\"]",
        };
        format!("must be {wanted}, and not of type {}", value.type_str())
    }
}

/// The longest text, in bytes.
const TEXT_BYTES_MAX: usize = 1024;
/// The most texts of a list.
const TEXTS_MAX: usize = 64;

fn plain(text: &str) -> Result<String, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("must not be longer than {TEXT_BYTES_MAX} bytes"));
    }
    if text.contains(char::is_control) {
        return Err("must not contain control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let all = texts.into_iter().filter(|text| !text.is_empty()).map(plain);
    let all: Vec<String> = all.collect::<Result<_, _>>()?;
    if all.len() > TEXTS_MAX {
        return Err(format!("must not hold more than {TEXTS_MAX} texts"));
    }
    Ok(Value::Texts(all))
}

fn paths<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let all = texts.into_iter().filter(|text| !text.is_empty()).map(plain);
    let all: Vec<PathBuf> = all
        .map(|path| path.map(Into::into))
        .collect::<Result<_, _>>()?;
    if all.len() > TEXTS_MAX {
        return Err(format!("must not hold more than {TEXTS_MAX} paths"));
    }
    Ok(Value::Paths(all))
}

fn addresses<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Value, String> {
    let mut addresses: Vec<Listen> = Vec::new();
    for text in texts {
        if addresses.len() == ADDRESSES_MAX {
            return Err(format!("must not hold more than {ADDRESSES_MAX} addresses"));
        }
        let address: Listen = text.parse().map_err(|_| {
            let text = super::error::shorten(text);
            format!(
                "'{text}' is not an address; write 127.0.0.1:5000, [::1]:5000, :5000 (all \
                 addresses) or unix:/path/to/socket, the first three perhaps with http:// or \
                 https:// before them"
            )
        })?;
        check_address(&address.address, &addresses)?;
        addresses.push(address);
    }
    if addresses.is_empty() {
        return Err("must hold at least one address".to_owned());
    }
    Ok(Value::Addresses(addresses))
}

fn check_address(address: &ListenAddress, others: &[Listen]) -> Result<(), String> {
    match address {
        // The system gives each of them a port of its own.
        ListenAddress::Tcp(tcp) if tcp.port() == 0 => return Ok(()),
        ListenAddress::Tcp(_) => {}
        ListenAddress::Unix(path) => {
            let bytes = path.as_os_str().as_encoded_bytes();
            if bytes.len() > SOCKET_PATH_BYTES_MAX || bytes.contains(&0) {
                return Err(format!(
                    "the path of a UNIX socket must be at most {SOCKET_PATH_BYTES_MAX} bytes \
                     without NUL"
                ));
            }
        }
    }
    if others.iter().any(|other| other.address == *address) {
        return Err(format!("'{address}' is listed twice"));
    }
    Ok(())
}

impl Value {
    /// The value in TOML's notation; sizes as `"4MiB"` where that is exact. `None` for no value.
    pub(super) fn to_toml(&self, kind: &Kind) -> Option<String> {
        Some(match self {
            Self::Switch(on) => on.to_string(),
            Self::Number(number) => match kind {
                Kind::Bytes(_) | Kind::AutoBytes(_)
                    if *number >= 1024 && number.is_multiple_of(1024) =>
                {
                    quote(&format_bytes(*number))
                }
                _ => number.to_string(),
            },
            Self::Name(name) => quote(name),
            Self::Path(path) => quote(&path.as_ref()?.to_string_lossy()),
            Self::Paths(paths) => list(paths.iter().map(|path| quote(&path.to_string_lossy()))),
            Self::Text(text) => quote(text.as_ref()?),
            Self::Texts(texts) => list(texts.iter().map(|text| quote(text))),
            Self::Addresses(addresses) if matches!(kind, Kind::OwnAddress) => {
                quote(&addresses.first()?.to_string())
            }
            Self::Addresses(addresses) => list(addresses.iter().map(|a| quote(&a.to_string()))),
        })
    }

    /// The value as JSON: numbers in the key's unit, `null` for no value.
    pub(super) fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Switch(on) => (*on).into(),
            Self::Number(number) => (*number).into(),
            Self::Name(name) => (*name).into(),
            Self::Path(None) => serde_json::Value::Null,
            Self::Path(Some(path)) => path.to_string_lossy().into(),
            Self::Paths(paths) => paths.iter().map(|path| path.to_string_lossy()).collect(),
            Self::Text(text) => text.clone().into(),
            Self::Texts(texts) => texts.clone().into(),
            Self::Addresses(addresses) => addresses.iter().map(ToString::to_string).collect(),
        }
    }
}

pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(", "))
}

/// A basic string of TOML, always on one line.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            // All control characters have at most four digits.
            _ if character.is_control() => {
                let code = format!("\\u{:04x}", u32::from(character));
                quoted.push_str(&code);
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
