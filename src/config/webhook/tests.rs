//! What is read, what is said about mistakes, and what is never shown.

use super::*;
use crate::config::parse_toml;

const PLAIN: &str =
    "[[webhook]]\nname = \"ci\"\nurl = \"https://ada:s3cret@ci.example/x?k=s3cret\"\n";

#[test]
fn a_webhook_is_a_name_and_an_address() {
    let settings = parse_toml(PLAIN).unwrap();
    let [own] = settings.endpoints.as_slice() else {
        panic!("{:?}", settings.endpoints);
    };
    assert_eq!(own.name, "ci");
    assert_eq!((own.timeout, own.batch_max), (TIMEOUT, 1));
    assert_eq!(own.backoff.threshold, 10);
    assert_eq!(own.media_type, EventsMediaType::V2);
    assert!(!own.disabled && !own.pull && own.secret.is_none());
    assert_eq!(own.origin, "coracle.toml:1");
    nowhere();
}

#[test]
fn everything_can_be_said_and_no_secret_is_shown() {
    let text = format!(
        "{PLAIN}headers = {{ Authorization = \"Bearer s3cret\", X-Kind = [\"s3cret\", \"b\"] }}\n\
         secret = \"s3cret s3cret\"\nactions = [\"push\", \"delete\"]\nrepositories = [\"team/**\"]\n\
         ignore_actions = \"mount\"\nignore_media_types = [\"application/octet-stream\"]\n\
         include_references = true\npull = true\npull_head = false\n\
         media_type = \"application/vnd.docker.distribution.events.v1+json\"\nbatch_max = 50\n\
         batch_wait = \"250ms\"\ntimeout = \"30s\"\nthreshold = 3\nbackoff = \"2s\"\n\
         backoff_max = \"1h\"\nage_max = \"30d\"\npending_max = 1000\n\
         authorities = \"/etc/own.pem\"\nproxy = \"http://u:s3cret@proxy:3128\"\ndisabled = true\n"
    );
    let settings = parse_toml(&text).unwrap();
    let own = &settings.endpoints[0];
    assert_eq!(own.headers.len(), 3);
    assert_eq!(own.batch_wait, Duration::from_millis(250));
    assert_eq!(own.backoff.longest, Duration::from_secs(3600));
    assert!(own.disabled && own.pull && !own.pull_head && own.include_references);
    let shown = show(own);
    let lines = shown.entries.iter();
    let lines: Vec<String> = lines
        .map(|(name, entry)| format!("{name} = {}", entry.to_toml()))
        .collect();
    let shown = lines.join("\n");
    for text in [shown.clone(), format!("{settings:?}")] {
        assert!(!text.contains("s3cret"), "{text}");
    }
    assert!(
        shown.contains("url = \"https://ci.example/x?…\""),
        "{shown}"
    );
    assert!(shown.contains("secret = \"(hidden)\""), "{shown}");
    assert!(
        shown.contains(
            "headers = { Authorization = \"(hidden)\", X-Kind = \"(hidden)\", X-Kind = \"(hidden)\" }"
        ),
        "{shown}"
    );
    assert!(shown.contains("age_max = \"30d\"") && shown.contains("batch_wait = \"250ms\""));
}

#[test]
fn mistakes_are_named_with_their_line_and_without_secrets() {
    for (text, expected) in [
        (
            "[[webhook]]\nurl = \"http://a\"\n".to_owned(),
            "webhook.name in coracle.toml:1: is missing",
        ),
        (
            "[[webhook]]\nname = \"a\"\n".to_owned(),
            "webhook.url in coracle.toml:1: is missing",
        ),
        (
            "[[webhook]]\nname = \"a b\"\nurl = \"http://a\"\n".to_owned(),
            "webhook.name in coracle.toml:2: must be 1 to 64 letters, digits, '.', '_' or '-'",
        ),
        (
            "[[webhook]]\nname = \"a\"\nurl = \"unix:/run/s3cret\"\n".to_owned(),
            "webhook.url in coracle.toml:3: must be an address such as \
             https://hooks.example/registry",
        ),
        (
            format!("{PLAIN}{PLAIN}"),
            "webhook.name in coracle.toml:4: \"ci\" is the name of another one",
        ),
        (
            format!("{PLAIN}ignored_media_types = \"a/b\"\n"),
            "webhook.ignored_media_types in coracle.toml:4: no such key; did you mean \
             ignore_media_types?",
        ),
        (
            format!("{PLAIN}actions = [\"pushes\"]\n"),
            "webhook.actions in coracle.toml:4: \"pushes\" is none: an action is push, mount, \
             delete or pull",
        ),
        (
            format!("{PLAIN}timeout = 5\n"),
            "webhook.timeout in coracle.toml:4: must be a text",
        ),
        (
            format!("{PLAIN}timeout = \"5\"\n"),
            "webhook.timeout in coracle.toml:4: must be a number and a unit: ms, s, m, h or d, as \
             in 30s",
        ),
        (
            format!("{PLAIN}timeout = \"10m\"\n"),
            "webhook.timeout in coracle.toml:4: must be between 100ms and 5m",
        ),
        (
            format!("{PLAIN}backoff = \"1m\"\nbackoff_max = \"30s\"\n"),
            "webhook.backoff_max in coracle.toml:1: must not be shorter than backoff",
        ),
        (
            format!("{PLAIN}headers = [\"Authorization: s3cret\"]\n"),
            "webhook.headers in coracle.toml:4: must be a table of texts, such as { X-Kind = \
             \"registry\" }",
        ),
        (
            format!("{PLAIN}headers = {{ Content-Type = \"s3cret\" }}\n"),
            "webhook.headers in coracle.toml:4: Content-Type is not to be chosen",
        ),
        (
            format!("{PLAIN}headers = {{ X-Kind = \"s3cret\\n\" }}\n"),
            "webhook.headers in coracle.toml:4: the value of X-Kind must be at most 4096 visible \
             ASCII characters",
        ),
        (
            format!("{PLAIN}secret = \"s3cret\"\n"),
            "webhook.secret in coracle.toml:4: must have 8 to 4096 characters",
        ),
        (
            format!("{PLAIN}secret = \"s3cret s3cret\"\nsecret_file = \"/x\"\n"),
            "webhook.secret_file in coracle.toml:1: and secret exclude each other",
        ),
        (
            format!("{PLAIN}media_type = \"application/json\"\n"),
            "webhook.media_type in coracle.toml:4: must be \
             application/vnd.docker.distribution.events.v1+json or \
             application/vnd.docker.distribution.events.v2+json",
        ),
        (
            format!("{PLAIN}proxy = \"socks5://s3cret@p\"\n"),
            "webhook.proxy in coracle.toml:4: must be an address such as \
             http://proxy.example:3128",
        ),
        (
            "[[webhok]]\nname = \"a\"\n".to_owned(),
            "[webhok] in coracle.toml:1: no such section; did you mean [[webhook]]?",
        ),
    ] {
        let found = parse_toml(&text).unwrap_err().to_string();
        assert!(!found.contains("s3cret"), "{found}");
        assert_eq!(found, expected);
    }
}

#[test]
fn there_are_not_more_webhooks_than_threads() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for number in 0..=ENDPOINTS_MAX {
        let _ = write!(
            text,
            "[[webhook]]\nname = \"n{number}\"\nurl = \"http://a\"\n"
        );
    }
    let error = parse_toml(&text).unwrap_err().to_string();
    assert_eq!(
        error,
        "webhook.name in coracle.toml:97: there are more than 32, which is the most"
    );
}
