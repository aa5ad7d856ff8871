//! Compares two folder trees: names, kinds, modes, owners, links, devices and every byte.
//!
//! Times are left out: clients differ in what they keep of them.

use crate::support::image::digest;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// Fails, with the first entries that differ, unless both trees hold the same.
#[track_caller]
pub fn expect_same(left: &Path, right: &Path) {
    let (left, right) = (list(left), list(right));
    assert!(!left.is_empty(), "an empty tree proves nothing");
    let paths: std::collections::BTreeSet<_> = left.keys().chain(right.keys()).collect();
    let differs = |path: &&PathBuf| left.get(*path) != right.get(*path);
    let show = |path: &PathBuf| {
        format!(
            "{}\n  {:?}\n  {:?}",
            path.display(),
            left.get(path),
            right.get(path)
        )
    };
    let different: Vec<_> = paths.into_iter().filter(differs).collect();
    let shown: Vec<_> = different.iter().take(10).map(|path| show(path)).collect();
    assert!(
        different.is_empty(),
        "{} entries differ:\n{}",
        different.len(),
        shown.join("\n")
    );
}

/// Every entry below a folder with a line about it.
fn list(root: &Path) -> BTreeMap<PathBuf, String> {
    let mut entries = BTreeMap::new();
    let mut names_of_inode = BTreeMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let mut names: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|e| panic!("read {}: {e}", folder.display()))
            .map(|entry| entry.expect("read an entry").path())
            .collect();
        names.sort();
        for path in names {
            let meta = fs::symlink_metadata(&path).expect("look at an entry");
            if meta.is_dir() {
                folders.push(path.clone());
            } else if meta.nlink() > 1 {
                let names: &mut Vec<PathBuf> = names_of_inode.entry(meta.ino()).or_default();
                names.push(
                    path.strip_prefix(root)
                        .expect("below the root")
                        .to_path_buf(),
                );
            }
            let short = path
                .strip_prefix(root)
                .expect("below the root")
                .to_path_buf();
            entries.insert(short, describe(&path, &meta));
        }
    }
    for mut names in names_of_inode.into_values() {
        names.sort();
        let all_names = format!(" = {names:?}");
        for name in names {
            entries
                .entry(name)
                .and_modify(|line: &mut String| line.push_str(&all_names));
        }
    }
    entries
}

fn describe(path: &Path, meta: &fs::Metadata) -> String {
    let kind = meta.file_type();
    let content = if kind.is_file() {
        digest(fs::read(path).expect("read a file"))
    } else if kind.is_symlink() {
        format!("-> {}", fs::read_link(path).expect("read a link").display())
    } else if kind.is_block_device() || kind.is_char_device() {
        format!("device {:x}", meta.rdev())
    } else {
        String::new()
    };
    let mode = if kind.is_symlink() { 0 } else { meta.mode() };
    format!("{kind:?} {mode:o} {}:{} {content}", meta.uid(), meta.gid())
}
