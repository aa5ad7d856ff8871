//! Housekeeping beside a running server: how much room things take, what retention would remove,
//! deleting what has many tags, backups.

use std::fs;
use std::process::Command;
use std::time::Instant;

use super::{Context, Figures};
use crate::Outcome;
use crate::client::expect;
use crate::content::{Blob, INDEX, INDEX_EMPTY, LargeBlobs};
use crate::fill::{TAGGED, tagged_manifests, tags};
use crate::load::{push_blob, share};
use crate::measure::{Goal, real, real_len};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;

/// Bytes of a blob of the store that is backed up.
const BLOB_BYTES: usize = 1_000_000;
const CLIENTS: usize = 8;

/// Runs a command of ours on the data of a server, as JSON, and tells how long it took, in
/// milliseconds.
pub fn command(
    context: &Context<'_>,
    server: &Server,
    words: &[&str],
) -> Outcome<(serde_json::Value, f64)> {
    let started = Instant::now();
    let output = Command::new(&context.options.coracle)
        .args(words)
        .arg("--json")
        .arg("--data")
        .arg(server.data())
        .output()?;
    let took = started.elapsed().as_secs_f64() * 1000.0;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("coracle {} failed: {said}", words.join(" ")).into());
    }
    Ok((serde_json::from_slice(&output.stdout)?, took))
}

/// `coracle du` and `coracle retention plan` on a store with many tags.
pub fn lists(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let folder = context.folder.fresh()?;
    let rules = folder.path().join("rules.toml");
    fs::write(
        &rules,
        "[[retention]]\nrepositories = \"**\"\nkeep_last = 10\n",
    )?;
    let server = context.start_behind(Door::Settings(&rules), Kind::Coracle, folder.path())?;
    let count = context.scale.tags_kept;
    tagged_manifests(&server, count)?;
    let (mut du, mut plan) = (Vec::new(), Vec::new());
    for _ in 0..context.scale.rounds {
        du.push(command(context, &server, &["du"])?.1);
        let (planned, took) = command(context, &server, &["retention", "plan"])?;
        let tags = planned["tags"].as_u64().unwrap_or(0);
        if tags == 0 || tags >= count as u64 {
            return Err(format!("the plan has {tags} of {count} tags").into());
        }
        plan.push(took);
    }
    for (subject, times) in [("coracle du", du), ("coracle retention plan", plan)] {
        report.add(subject, "ms", times);
        let took = report.median(subject, "ms");
        report.judge(
            format!("{subject}, {count} tags"),
            took,
            "ms",
            Goal::AtMost(1000.0),
        );
    }
    Ok(())
}

/// Deleting a manifest by digest, with all its tags.
pub fn delete_tagged(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let count = context.scale.tags_deleted;
    let mut figures = Figures::default();
    for round in 0..context.scale.rounds.min(3) {
        for kind in [Kind::Coracle, Kind::DockerRegistry] {
            // The peer has no way to set many tags at once, and needs as long again to delete.
            if kind == Kind::DockerRegistry && round > 0 {
                continue;
            }
            let measured = context
                .start(kind)
                .and_then(|server| delete_time(&server, count));
            match measured {
                Ok(took) => figures.push(kind, took),
                Err(error) if kind == Kind::Coracle => return Err(error),
                Err(error) => report.fail(kind.name(), &error),
            }
        }
    }
    figures.report(report, "ms");
    let took = report.median("coracle", "ms");
    report.judge("DELETE by digest", took, "ms", Goal::AtMost(10.0));
    Ok(())
}

fn delete_time(server: &Server, count: usize) -> Outcome<f64> {
    if server.kind == Kind::Coracle {
        tags(server, count)?;
    } else {
        let numbers: Vec<usize> = (0..count).collect();
        share(server.address, CLIENTS, &numbers, |connection, number| {
            let target = format!("/v2/{TAGGED}/manifests/t{number:07}");
            let head = connection.send("PUT", &target, INDEX, &[INDEX_EMPTY.as_bytes()])?;
            expect(head, 201, "PUT", &target)?;
            Ok(())
        })?;
    }
    let digest = Blob::new(INDEX_EMPTY.into()).digest;
    let target = format!("/v2/{TAGGED}/manifests/{digest}");
    let mut connection = server.connect()?;
    let started = Instant::now();
    let head = connection.ask("DELETE", &target, &mut |_| {})?;
    let took = started.elapsed().as_secs_f64() * 1000.0;
    expect(head, 202, "DELETE", &target)?;
    Ok(took)
}

/// A backup by hard link beside the running server, and a second one into the same folder.
pub fn backup(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let server = context.start(Kind::Coracle)?;
    let count = context.scale.backup_blobs;
    let numbers: Vec<usize> = (0..count).collect();
    share(server.address, CLIENTS, &numbers, |connection, number| {
        let blob = LargeBlobs::new(70_000 + *number as u64, BLOB_BYTES).next();
        push_blob(connection, "bench/backup", &blob)
    })?;
    let gigabytes = real_len(count) * real(BLOB_BYTES as u64) / 1e9;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..context.scale.rounds.min(3) {
        let target = context.folder.fresh()?;
        let place = target.path().join("backup");
        let place = place.to_str().ok_or("the folder's name is not UTF-8")?;
        rustix::fs::sync();
        first.push(command(context, &server, &["backup", place])?.1);
        second.push(command(context, &server, &["backup", place])?.1);
    }
    report
        .notes
        .push(format!("the store has {gigabytes:.2} GB"));
    report.add("first run", "ms", first);
    report.add("second run", "ms", second);
    for (subject, goal) in [("first run", 5000.0), ("second run", 1000.0)] {
        let took = report.median(subject, "ms");
        report.judge(subject, took, "ms", Goal::AtMost(goal));
    }
    Ok(())
}
