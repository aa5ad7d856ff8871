//! The dashboard and the alerts that are packaged: they name metrics that there are, with the
//! labels that these have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use coracle::metrics::list::{ALL, Family, Kind};
use serde_json::Value;

fn packaged(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/grafana");
    fs::read_to_string(folder.join(name)).unwrap()
}

fn families() -> BTreeMap<&'static str, &'static Family> {
    ALL.iter().map(|family| (family.name, *family)).collect()
}

/// The metric that a name in an expression means: itself, or a part of a histogram.
fn family(name: &str) -> Option<&'static Family> {
    let known = families();
    if let Some(family) = known.get(name) {
        let is_whole = family.kind != Kind::Histogram;
        return is_whole.then_some(*family);
    }
    let parts = ["_bucket", "_sum", "_count"];
    let whole = parts.iter().find_map(|part| name.strip_suffix(part))?;
    let family = known.get(whole)?;
    (family.kind == Kind::Histogram).then_some(*family)
}

/// The words of an expression, and what stands between braces behind each.
fn words(expression: &str) -> Vec<(String, Option<String>)> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|own: char| own.is_ascii_alphabetic() || own == '"') {
        rest = &rest[start..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.split_once('"').expect("the end of a text").1;
            continue;
        }
        let is_in = |own: char| own.is_ascii_alphanumeric() || own == '_';
        let end = rest.find(|own| !is_in(own)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        let braces = behind.strip_prefix('{').map(|inner| {
            let end = inner.find('}').expect("the end of the labels");
            inner[..end].to_owned()
        });
        rest = &behind[braces.as_ref().map_or(0, |own| own.len() + 2)..];
        found.push((word.to_owned(), braces));
    }
    found
}

/// Fails unless the expression is about metrics of ours, by labels that these have.
#[track_caller]
fn check(expression: &str, named: &mut BTreeSet<&'static str>) {
    let ours = ["coracle_", "registry_", "process_"];
    let mut count = 0;
    for (word, braces) in words(expression) {
        if !ours.iter().any(|own| word.starts_with(own)) {
            continue;
        }
        let family = family(&word).unwrap_or_else(|| panic!("no metric {word}: {expression}"));
        named.insert(family.name);
        count += 1;
        for condition in braces.unwrap_or_default().split(", ") {
            let label = condition.split(['=', '!']).next().unwrap_or_default();
            let of_prometheus = ["", "instance", "job"].contains(&label);
            let is_there = family.labels.contains(&label);
            assert!(of_prometheus || is_there, "{label} in {expression}");
        }
    }
    assert!(count > 0 || expression.starts_with("up{"), "{expression}");
    for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
        let number = |own| expression.chars().filter(|it| *it == own).count();
        assert_eq!(number(open), number(close), "{expression}");
    }
}

#[test]
fn the_dashboard_is_one_and_names_what_there_is() {
    let board: Value = serde_json::from_str(&packaged("coracle.json")).expect("JSON");
    assert_eq!(board["title"], "Coracle");
    assert!(board["schemaVersion"].as_u64() >= Some(36));
    assert_eq!(board["uid"], "coracle");
    assert!(board["time"]["from"].is_string() && board["id"].is_null());
    let variables = board["templating"]["list"].as_array().unwrap();
    let listed: Vec<&str> = variables
        .iter()
        .map(|own| own["name"].as_str().unwrap())
        .collect();
    assert_eq!(listed, ["datasource", "instance"]);
    let panels = board["panels"].as_array().expect("panels");
    let (mut ids, mut named, mut taken) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        assert!(
            panel["title"]
                .as_str()
                .is_some_and(|title| !title.is_empty())
        );
        let place = |name: &str| panel["gridPos"][name].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24 && place("h") > 0);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "two panels at {x}, {y}: {panel}");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(["stat", "timeseries"].contains(&panel["type"].as_str().unwrap()));
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string());
        let targets = panel["targets"].as_array().expect("targets");
        let mut references = BTreeSet::new();
        for target in targets {
            assert!(references.insert(target["refId"].as_str().unwrap()));
            assert_eq!(target["datasource"]["uid"], "${datasource}");
            let expression = target["expr"].as_str().unwrap();
            check(expression, &mut named);
            assert!(expression.contains("$instance"), "{expression}");
        }
        assert!(!targets.is_empty(), "{panel}");
    }
    // It shows most of what there is of ours.
    let ours = ALL.iter().filter(|own| own.name.starts_with("coracle_"));
    assert!(named.len() * 3 > ours.count() * 2, "{named:?}");
}

#[test]
fn the_alerts_name_what_there_is() {
    let text = packaged("alerts.yml");
    let mut named = BTreeSet::new();
    let mut alerts = BTreeSet::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            assert!(alerts.insert(name), "{name} is there twice");
        } else if let Some(expression) = line.strip_prefix("expr: ") {
            check(expression, &mut named);
        }
    }
    let count = |what: &str| text.matches(what).count();
    assert_eq!(count("expr: "), alerts.len());
    assert_eq!(count("severity: "), alerts.len());
    assert_eq!(count("summary: "), alerts.len());
}
