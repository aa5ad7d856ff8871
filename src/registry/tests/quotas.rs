//! Quotas over a real catalog.

use super::{digest, in_memory, name};
use crate::oci::Glob;
use crate::registry::policy::{Quota, Rules};
use crate::registry::{Error, Options, Registry};

fn push(registry: &Registry, at: &str, content: &[u8]) -> Result<(), Error> {
    let length = Some(content.len() as u64);
    registry.push_blob(&name(at), length, &mut &content[..], &digest(content))
}

/// What a full disk keeps from being counted at the start is counted by the first push.
#[test]
fn a_shared_quota_that_is_not_counted_yet_holds_all_the_same() {
    let registry = in_memory(Options::default());
    push(&registry, "a", &[1; 60]).unwrap();
    let shared = Quota {
        repositories: vec![
            Glob::parse_plain("**/x").unwrap(),
            Glob::parse_plain("*").unwrap(),
        ],
        bytes: Some(100),
        tags: None,
        each: false,
        origin: "there".to_owned(),
    };
    registry
        .set_policy(Rules {
            quotas: vec![shared],
            ..Rules::default()
        })
        .unwrap();
    registry
        .catalog()
        .write(|tx| tx.keep_quota_groups(&[]))
        .unwrap();
    match push(&registry, "b", &[2; 41]) {
        Err(Error::QuotaExceeded(excess)) => {
            assert_eq!((excess.used, excess.asked), (60, 41));
        }
        other => panic!("{other:?}"),
    }
    push(&registry, "b", &[2; 40]).unwrap();
    assert!(matches!(
        push(&registry, "c/x", &[3; 1]),
        Err(Error::QuotaExceeded(_))
    ));
    push(&registry, "c/y", &[3; 1]).unwrap();
}
