//! Query parameters: decoded on demand, unknown ones ignored.

use crate::http::percent;

/// The query of one request.
#[derive(Clone, Copy, Debug)]
pub struct Query<'r>(Option<&'r str>);

impl<'r> Query<'r> {
    /// The query as it was sent, without the `?`.
    pub const fn new(query: Option<&'r str>) -> Self {
        Self(query)
    }

    /// All values of a parameter, decoded. A `+` stays a plus: no value that a registry takes can
    /// hold a space, while media types do hold pluses. A value that does not decode is taken as it
    /// stands, and fails wherever it is parsed.
    pub fn all(self, name: &'r str) -> impl Iterator<Item = String> + 'r {
        self.0
            .into_iter()
            .flat_map(percent::pairs)
            .filter(move |(key, _)| *key == name)
            .map(|(_, value)| percent::decode(value).unwrap_or_else(|| value.to_owned()))
    }

    /// The first value of a parameter.
    pub fn get(self, name: &'r str) -> Option<String> {
        self.all(name).next()
    }
}
