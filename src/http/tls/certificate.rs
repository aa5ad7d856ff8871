//! What a certificate says: its subject, its names, its dates. Read from its DER; nothing is
//! verified here.

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};

use super::load::TlsError;
use crate::der::{BOOLEAN, Der, INTEGER, NotDer, OCTET_STRING, OID, SEQUENCE, SET, dotted};

/// The largest file of certificates that is read; one of all public authorities has a quarter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The object identifier of the alternative names.
const SUBJECT_ALT_NAME: [u8; 3] = [0x55, 0x1d, 0x11];

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// The subject, the most specific part first (RFC 4514).
    pub subject: String,
    /// The most specific common name of the subject.
    pub common_name: Option<String>,
    /// Who issued it (RFC 4514).
    pub issuer: String,
    /// DNS names, in lower case.
    pub dns_names: Vec<String>,
    /// IP addresses.
    pub addresses: Vec<IpAddr>,
    /// Mail addresses.
    pub emails: Vec<String>,
    /// URIs.
    pub uris: Vec<String>,
    /// From when it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// SHA-256 of its DER, in lower-case hexadecimal.
    pub fingerprint: String,
}

impl CertificateFacts {
    /// Reads a certificate.
    ///
    /// # Errors
    /// None when the bytes are no X.509 certificate.
    pub fn of_der(der: &[u8]) -> Option<Self> {
        parse(der).ok()
    }

    /// DNS names and addresses, as people write them.
    pub fn hosts(&self) -> Vec<String> {
        let addresses = self.addresses.iter().map(ToString::to_string);
        self.dns_names.iter().cloned().chain(addresses).collect()
    }

    /// Whether it is valid at `now`: not before its first and not after its last moment.
    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }
}

/// Reads all certificates of a PEM file.
///
/// # Errors
/// The file cannot be read, or holds no certificate, or something that is none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateFacts>, TlsError> {
    read_chain(path)?
        .iter()
        .map(|der| {
            CertificateFacts::of_der(der)
                .ok_or_else(|| TlsError::new(format!("{} is damaged", path.display())))
        })
        .collect()
}

/// The certificates of a PEM file as they stand there; at least one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read_file(path)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::new(format!("{} is no PEM: {error}", path.display())))?;
    if chain.is_empty() {
        let path = path.display();
        return Err(TlsError::new(format!("{path} holds no certificate in PEM")));
    }
    Ok(chain)
}

/// A file of certificates or keys, within the bound.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, TlsError> {
    let cannot = |error| TlsError::of_io(&format!("cannot read {}", path.display()), &error);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(TlsError::new(format!(
            "{} is larger than {FILE_BYTES_MAX} bytes, which no file of certificates is",
            path.display()
        )));
    }
    Ok(bytes)
}

fn parse(der: &[u8]) -> Result<CertificateFacts, NotDer> {
    let mut outer = Der::new(der);
    let mut certificate = Der::new(outer.expect(SEQUENCE)?);
    if !outer.is_empty() {
        return Err(NotDer);
    }
    let mut fields = Der::new(certificate.expect(SEQUENCE)?);
    let version = 0xa0;
    fields.optional(version)?;
    fields.expect(INTEGER)?;
    fields.expect(SEQUENCE)?;
    let issuer = name(fields.expect(SEQUENCE)?)?;
    let mut validity = Der::new(fields.expect(SEQUENCE)?);
    let (not_before, not_after) = (validity.time()?, validity.time()?);
    let subject = name(fields.expect(SEQUENCE)?)?;
    fields.expect(SEQUENCE)?;
    let mut facts = CertificateFacts {
        subject: subject.text,
        common_name: subject.common_name,
        issuer: issuer.text,
        dns_names: Vec::new(),
        addresses: Vec::new(),
        emails: Vec::new(),
        uris: Vec::new(),
        not_before: at(not_before),
        not_after: at(not_after),
        fingerprint: hex(&Sha256::digest(der)),
    };
    let extensions = 0xa3;
    while !fields.is_empty() {
        let field = fields.next()?;
        if field.tag == extensions {
            read_extensions(field.content, &mut facts)?;
        }
    }
    Ok(facts)
}

fn read_extensions(bytes: &[u8], facts: &mut CertificateFacts) -> Result<(), NotDer> {
    let mut list = Der::new(Der::new(bytes).expect(SEQUENCE)?);
    while !list.is_empty() {
        let mut extension = Der::new(list.expect(SEQUENCE)?);
        let kind = extension.expect(OID)?;
        extension.optional(BOOLEAN)?;
        let value = extension.expect(OCTET_STRING)?;
        if kind == SUBJECT_ALT_NAME {
            read_alternative_names(value, facts)?;
        }
    }
    Ok(())
}

fn read_alternative_names(value: &[u8], facts: &mut CertificateFacts) -> Result<(), NotDer> {
    const EMAIL: u8 = 0x81;
    const DNS: u8 = 0x82;
    const URI: u8 = 0x86;
    const ADDRESS: u8 = 0x87;
    let mut names = Der::new(Der::new(value).expect(SEQUENCE)?);
    while !names.is_empty() {
        let name = names.next()?;
        let text = || {
            let is_text = name.content.iter().all(u8::is_ascii_graphic);
            let text = std::str::from_utf8(name.content).map_err(|_| NotDer)?;
            if is_text { Ok(text) } else { Err(NotDer) }
        };
        match name.tag {
            EMAIL => facts.emails.push(text()?.to_owned()),
            DNS => facts.dns_names.push(text()?.to_ascii_lowercase()),
            URI => facts.uris.push(text()?.to_owned()),
            ADDRESS => {
                let v4 = <[u8; 4]>::try_from(name.content).map(IpAddr::from);
                let v6 = || <[u8; 16]>::try_from(name.content).map(IpAddr::from);
                facts
                    .addresses
                    .push(v4.or_else(|_| v6()).map_err(|_| NotDer)?);
            }
            // Other kinds name no host and no person.
            _ => {}
        }
    }
    Ok(())
}

/// A distinguished name as text.
struct Name {
    text: String,
    common_name: Option<String>,
}

/// Attribute types that have a short name: those of RFC 4514, and two that people expect.
const SHORT_NAMES: [(&[u8], &str); 11] = [
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 9], "STREET"),
    (&[0x55, 4, 5], "serialNumber"),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
        "DC",
    ),
    (
        &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
        "UID",
    ),
    (
        &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
        "emailAddress",
    ),
];

fn name(bytes: &[u8]) -> Result<Name, NotDer> {
    let mut parts: Vec<String> = Vec::new();
    let mut common_name = None;
    let mut sequence = Der::new(bytes);
    while !sequence.is_empty() {
        let mut set = Der::new(sequence.expect(SET)?);
        let mut attributes = Vec::new();
        while !set.is_empty() {
            let mut attribute = Der::new(set.expect(SEQUENCE)?);
            let kind = attribute.expect(OID)?;
            let value = attribute.next()?;
            let short = SHORT_NAMES.iter().find(|(oid, _)| *oid == kind);
            let text = string(value.tag, value.content);
            attributes.push(match (short, &text) {
                (Some((_, short)), Some(text)) => format!("{short}={}", escape(text)),
                (Some((_, short)), None) => format!("{short}=#{}", hex(value.whole)),
                (None, _) => format!("{}=#{}", dotted(kind), hex(value.whole)),
            });
            if short.is_some_and(|(_, short)| *short == "CN") {
                // With control characters in it, it is nobody's name.
                common_name = text.filter(|text| !text.contains(char::is_control));
            }
        }
        parts.push(attributes.join("+"));
    }
    parts.reverse();
    Ok(Name {
        text: parts.join(","),
        common_name,
    })
}

/// The text of a string type; none when its bytes do not fit it.
fn string(tag: u8, bytes: &[u8]) -> Option<String> {
    const UTF8: u8 = 0x0c;
    const NUMERIC: u8 = 0x12;
    const PRINTABLE: u8 = 0x13;
    const TELETEX: u8 = 0x14;
    const IA5: u8 = 0x16;
    const VISIBLE: u8 = 0x1a;
    const BMP: u8 = 0x1e;
    match tag {
        UTF8 => String::from_utf8(bytes.to_vec()).ok(),
        NUMERIC | PRINTABLE | IA5 | VISIBLE if bytes.is_ascii() => {
            String::from_utf8(bytes.to_vec()).ok()
        }
        // Whoever still writes it means ISO 8859-1.
        TELETEX => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        BMP if bytes.len().is_multiple_of(2) => {
            let units = bytes
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).collect::<Result<_, _>>().ok()
        }
        _ => None,
    }
}

/// A value within a distinguished name (RFC 4514 section 2.4).
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            '#' if index == 0 => escaped.push_str("\\#"),
            ' ' if index == 0 || index == last => escaped.push_str("\\ "),
            _ if character.is_control() => {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    escaped.push('\\');
                    escaped.push_str(&hex(&[byte]));
                }
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|nibble| char::from(DIGITS[usize::from(nibble)]))
        .collect()
}

fn at(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let moved = if seconds < 0 {
        epoch.checked_sub(distance)
    } else {
        epoch.checked_add(distance)
    };
    moved.unwrap_or(epoch)
}
