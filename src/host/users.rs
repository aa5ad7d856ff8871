//! Names of users: what `/etc/passwd` says.

/// The user that this process acts as.
pub fn own_id() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The name of a user, or its number where none is known: `root`, `user 4711`.
pub fn name(id: u32) -> String {
    let table = super::read("/etc/passwd").unwrap_or_default();
    find(&table, id).unwrap_or_else(|| format!("user {id}"))
}

fn find(passwd: &str, id: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_number() {
        let table = "root:x:0:0:root:/root:/bin/sh\n:x:5:5\ncoracle:x:990:990::/nonexistent:\n";
        assert_eq!(find(table, 990).as_deref(), Some("coracle"));
        assert_eq!(find(table, 0).as_deref(), Some("root"));
        assert_eq!(find(table, 5), None);
        assert_eq!(name(u32::MAX - 7), "user 4294967288");
    }
}
