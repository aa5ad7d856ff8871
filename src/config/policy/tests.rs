//! Tables about content: what is read, and what is said about mistakes.

use crate::config::parse_toml;

#[test]
fn rules_are_read_in_their_order() {
    let text = "[[retention]]\nrepositories = \"ci/**\"\nkeep_last = 10\nkeep_semver = 5\n\
                keep_tags = [\"latest\", \"v?\"]\nkeep_pulled = \"30d\"\nexpire = \"2w\"\n\
                untagged = \"12h\"\n\n[[retention]]\nrepositories = [\"keep\", \"a/*\"]\n\n\
                [[quota]]\nrepositories = \"**\"\nbytes = \"10GiB\"\neach = false\n\n\
                [[quota]]\nrepositories = \"**\"\ntags = 3\nbytes = 100\n\n\
                [[immutable]]\nrepositories = \"release/**\"\n\n\
                [[immutable]]\nrepositories = \"**\"\ntags = \"v*\"\n";
    let policy = parse_toml(text).unwrap().policy;
    let [first, second] = policy.retention.as_slice() else {
        panic!("{policy:?}");
    };
    assert_eq!((first.keep_last, first.keep_semver), (Some(10), Some(5)));
    assert_eq!(first.keep_tags.len(), 2);
    assert_eq!(first.expire.unwrap().to_string(), "14d");
    assert_eq!(first.untagged.unwrap().to_string(), "12h");
    assert_eq!(first.origin, "coracle.toml:1");
    assert!(!second.is_about_tags() && second.untagged.is_none());
    assert_eq!(second.origin, "coracle.toml:10");
    let [together, each] = policy.quotas.as_slice() else {
        panic!("{policy:?}");
    };
    assert_eq!((together.bytes, together.tags), (Some(10 << 30), None));
    assert!(!together.each && each.each);
    assert_eq!((each.bytes, each.tags), (Some(100), Some(3)));
    let [all, some] = policy.immutable.as_slice() else {
        panic!("{policy:?}");
    };
    assert_eq!(all.tags[0].as_str(), "*");
    assert_eq!(some.tags[0].as_str(), "v*");
    assert_eq!(some.origin, "coracle.toml:26");
}

#[test]
fn mistakes_are_named_with_their_line() {
    let retention = "[[retention]]\nrepositories = \"**\"\n";
    let quota = "[[quota]]\nrepositories = \"**\"\n";
    for (text, expected) in [
        (
            "[retention]\nkeep_last = 1\n".to_owned(),
            "retention in coracle.toml:1: is a list of tables; write [[retention]] and the \
             rule's keys below",
        ),
        (
            "[[retention]]\nkeep_last = 1\n".to_owned(),
            "retention.repositories in coracle.toml:1: is missing",
        ),
        (
            format!("{retention}keep_lsat = 1\n"),
            "retention.keep_lsat in coracle.toml:3: no such key; did you mean keep_last?",
        ),
        (
            format!("{retention}keep_last = 0\n"),
            "retention.keep_last in coracle.toml:3: must be a whole number from 1 to \
             1000000000",
        ),
        (
            format!("{retention}expire = \"14\"\n"),
            "retention.expire in coracle.toml:3: \"14\" must be a number and a unit: s, m, h, \
             d or w, as in 90d",
        ),
        (
            format!("{retention}expire = 14\n"),
            "retention.expire in coracle.toml:3: must be a text",
        ),
        (
            format!("{retention}keep_tags = [\"a/b\"]\n"),
            "retention.keep_tags in coracle.toml:3: \"a/b\" has '/', which no tag has; tags are \
             of letters, digits, '_', '.' and '-', and in a pattern * is any run of them and \
             ? one",
        ),
        (
            "[[retention]]\nrepositories = \"home/{user}\"\n".to_owned(),
            "retention.repositories in coracle.toml:2: \"home/{user}\" has {user}, which means \
             something in access rules only",
        ),
        (
            quota.to_owned(),
            "quota.bytes in coracle.toml:1: is missing, and so is tags; a quota bounds at \
             least one of them",
        ),
        (
            format!("{quota}bytes = \"ten\"\n"),
            "quota.bytes in coracle.toml:3: must be a number of bytes, such as 1048576, \
             512KiB, 4MiB or 10GB",
        ),
        (
            format!("{quota}bytes = -1\n"),
            "quota.bytes in coracle.toml:3: must be a number of bytes from 1 to \
             9007199254740992, such as 512MiB",
        ),
        (
            format!("{quota}tags = 1\neach = \"no\"\n"),
            "quota.each in coracle.toml:4: must be true or false",
        ),
        (
            "[[immutable]]\nrepositories = []\n".to_owned(),
            "immutable.repositories in coracle.toml:2: must hold at least one entry",
        ),
        (
            "[[quotas]]\nrepositories = \"**\"\n".to_owned(),
            "[quotas] in coracle.toml:1: no such section; did you mean [[quota]]?",
        ),
    ] {
        let found = parse_toml(&text).unwrap_err().to_string();
        assert_eq!(found, expected);
    }
}

#[test]
fn there_are_not_more_rules_than_are_looked_at_in_no_time() {
    let text = "[[immutable]]\nrepositories = \"**\"\n".repeat(1001);
    let error = parse_toml(&text).unwrap_err().to_string();
    let expected = "immutable in coracle.toml:1: has 1001 rules, the most is 1000";
    assert_eq!(error, expected);
    let text = "[[immutable]]\nrepository = 1\n".repeat(1000);
    assert!(parse_toml(&text).unwrap_err().problems().len() < 30);
}
