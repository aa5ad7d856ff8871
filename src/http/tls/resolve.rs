//! Which certificate a client is shown: the one that has the name it asks for.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// The certificates by their names. The first one is for everybody else.
pub(super) struct ByName {
    pairs: Vec<Arc<CertifiedKey>>,
    /// Name to indices into `pairs`, in their order; wildcards as `*.example.org`.
    names: HashMap<String, Vec<usize>>,
}

impl ByName {
    /// From certificates and the DNS names in each.
    pub(super) fn new(pairs: Vec<(Arc<CertifiedKey>, Vec<String>)>) -> Self {
        let mut names: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, (_, of_pair)) in pairs.iter().enumerate() {
            for name in of_pair {
                names
                    .entry(name.to_ascii_lowercase())
                    .or_default()
                    .push(index);
            }
        }
        let pairs = pairs.into_iter().map(|(pair, _)| pair).collect();
        Self { pairs, names }
    }

    /// Indices of the certificates for `name`: by the whole name, else by the wildcard that
    /// stands for its first label (RFC 6125 section 6.4.3), else the first of all.
    fn candidates(&self, name: Option<&str>) -> &[usize] {
        const FIRST: &[usize] = &[0];
        let Some(name) = name else { return FIRST };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = || {
            let (_, parent) = name.split_once('.')?;
            self.names.get(&format!("*.{parent}"))
        };
        self.names
            .get(&name)
            .or_else(wildcard)
            .map_or(FIRST, Vec::as_slice)
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(client_hello.server_name());
        let pairs = || candidates.iter().filter_map(|index| self.pairs.get(*index));
        // Of an RSA and an ECDSA certificate with the same name, the one that the client can use.
        let schemes = client_hello.signature_schemes();
        pairs()
            .find(|pair| pair.key.choose_scheme(schemes).is_some())
            .or_else(|| pairs().next())
            .cloned()
    }
}

impl fmt::Debug for ByName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByName")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}
