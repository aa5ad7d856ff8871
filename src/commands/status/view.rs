//! The status of a server as lines for a person.

use crate::api::status::{Content, Requests, Room, Status};
use crate::api::transfers::UploadState;
use crate::commands::table::count;
use crate::metrics::webhooks::EndpointFigures;
use crate::progress::{duration, human_bytes};
use crate::registry::activities::{Activity, Ended, Running, Work};
use crate::registry::{Counted, Progress};

/// The width of what stands before each line.
const TITLE_WIDTH: usize = 12;

/// All of it, in lines.
pub(super) fn lines(status: &Status) -> Vec<String> {
    let mut lines = vec![head(status)];
    let mut add = |title: &str, text: String| {
        lines.push(format!("{title:<TITLE_WIDTH$} {text}"));
    };
    let urls = status.listeners.iter();
    let urls: Vec<String> = urls
        .map(|own| format!("{} ({})", own.url, own.name))
        .collect();
    add("serving", urls.join(", "));
    let is_ready = status.health.is_ready;
    add("ready", if is_ready { "yes" } else { "no" }.to_owned());
    for (part, why) in &status.health.notes {
        add("", format!("{part}: {why}"));
    }
    add("requests", requests(&status.requests));
    add("connections", connections(&status.requests));
    add("transfers", transfers(status));
    add(
        "stored",
        status.content.as_ref().map_or_else(unknown, stored),
    );
    if let Some(room) = &status.room {
        add("disk", disk(room));
    }
    for activity in &status.activities {
        add(activity.work.as_str(), activity_line(status, activity));
    }
    for webhook in &status.webhooks {
        add("webhook", webhook_line(webhook));
    }
    if !status.uploads.is_empty() {
        lines.push(String::new());
        lines.extend(uploads(&status.uploads));
        let more = status
            .uploads_running
            .saturating_sub(status.uploads.len() as u64);
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
    }
    lines.iter().map(|line| plain(line)).collect()
}

/// Without what could steer a terminal, and without blanks at the end.
fn plain(line: &str) -> String {
    let plain = line.trim_end().chars();
    plain
        .map(|own| if own.is_control() { '?' } else { own })
        .collect()
}

fn unknown() -> String {
    "the catalog cannot be read".to_owned()
}

fn head(status: &Status) -> String {
    let memory = status.resident_bytes.map(human_bytes);
    let memory = memory.map_or_else(String::new, |memory| format!(", {memory} of memory"));
    format!(
        "coracle {}, up {} since {} (process {}{memory})",
        status.version,
        duration(status.uptime_seconds),
        status.started_at,
        status.pid,
    )
}

fn requests(own: &Requests) -> String {
    format!(
        "{:.1}/s, {} running, {} waiting; {} since the start, with {} and {}",
        own.per_second,
        own.active,
        own.waiting,
        own.total,
        counted(own.pushes, "push", "pushes"),
        count(own.pulls, "pull"),
    )
}

fn counted(number: u64, one: &str, several: &str) -> String {
    let name = if number == 1 { one } else { several };
    format!("{number} {name}")
}

fn connections(own: &Requests) -> String {
    let Requests {
        connections,
        connections_max,
        connections_refused,
        ..
    } = own;
    format!(
        "{connections} of {connections_max} open, {connections_refused} refused since the start"
    )
}

fn transfers(status: &Status) -> String {
    format!(
        "{} and {} running, {} not finished",
        count(status.uploads_running, "upload"),
        count(status.downloads_running, "download"),
        count(status.upload_sessions, "upload session"),
    )
}

fn stored(own: &Content) -> String {
    format!(
        "{}, {}, {}, {} with {}",
        counted(own.repositories, "repository", "repositories"),
        count(own.tags, "tag"),
        count(own.manifests, "manifest"),
        count(own.blobs, "blob"),
        human_bytes(own.blob_bytes)
    )
}

fn disk(own: &Room) -> String {
    let state = match (own.is_full, own.is_low) {
        (true, _) => "; pushes are refused",
        (false, true) => "; there is little room",
        (false, false) => "",
    };
    format!(
        "{} of {} free, {} reserved{state}",
        human_bytes(own.free_bytes),
        human_bytes(own.total_bytes),
        human_bytes(own.reserve_bytes)
    )
}

fn activity_line(status: &Status, activity: &Activity) -> String {
    let mut parts = Vec::new();
    if let Some(own) = &activity.running {
        parts.push(running(own));
    }
    match (&activity.last, activity.work, &status.scrub) {
        (Some(last), ..) => parts.push(ended(last)),
        // It knows more than this process has seen.
        (None, Work::Scrub, Some(scrub)) => {
            let last = scrub.last.as_ref();
            parts.extend(last.map(|last| {
                let (blobs, found) = (count(last.counts.blobs, "blob"), last.counts.found);
                format!("last ended {} ({blobs}, {found} damaged)", last.at)
            }));
        }
        _ => {}
    }
    if parts.is_empty() {
        parts.push("not since the start".to_owned());
    }
    if let (Work::Collection, Some(due)) = (activity.work, status.collection_due) {
        parts.push(format!("{due} due"));
    }
    if let (Work::Scrub, Some(true)) = (
        activity.work,
        status.scrub.as_ref().map(|scrub| scrub.is_damaged),
    ) {
        parts.push("damage was found".to_owned());
    }
    parts.join("; ")
}

fn running(own: &Running) -> String {
    let since = duration(own.for_ms / 1000);
    let Progress {
        label,
        counted,
        done,
        total,
    } = &own.progress;
    if label.is_empty() {
        return format!("running for {since}");
    }
    let amount = |number: u64| match counted {
        Counted::Bytes => human_bytes(number),
        Counted::Blobs | Counted::Objects => number.to_string(),
    };
    let percent = u128::from(*done) * 100 / u128::from(*total).max(1);
    let of = match total {
        0 => String::new(),
        total => format!(" of {}, {} %", amount(*total), percent.min(100)),
    };
    format!("{label} {}{of}, for {since}", amount(*done))
}

fn ended(own: &Ended) -> String {
    let took = match own.took_ms {
        ms @ 0..1000 => format!("{ms} ms"),
        ms => duration(ms / 1000),
    };
    let Ended {
        at, figures, error, ..
    } = own;
    if let Some(error) = error {
        return format!("failed {at} after {took}: {error}");
    }
    let told = figures.iter().map(|(name, number)| match name.as_str() {
        "bytes" => human_bytes(*number),
        name => format!("{number} {name}"),
    });
    let told: Vec<String> = told.collect();
    let told = if told.is_empty() {
        String::new()
    } else {
        format!(" ({})", told.join(", "))
    };
    format!("last ended {at} after {took}{told}")
}

fn webhook_line(own: &EndpointFigures) -> String {
    let oldest = own.oldest.map(|age| duration(age.as_secs()));
    let oldest = oldest.map_or_else(String::new, |age| format!(" (the oldest for {age})"));
    let dropped = own.dropped + own.pulls_dropped;
    let mut line = format!(
        "{}: {} waiting{oldest}, {} delivered, {} failed, {dropped} given up",
        own.name, own.pending, own.delivered, own.failed
    );
    if own.is_backing_off {
        line.push_str("; it does not answer");
    }
    if let Some(error) = &own.last_error {
        line.push_str("; ");
        line.push_str(error);
    }
    line
}

fn uploads(uploads: &[UploadState]) -> Vec<String> {
    let mut rows = vec![["UPLOAD TO", "RECEIVED", "RATE", "FOR", "CLIENT"].map(str::to_owned)];
    rows.extend(uploads.iter().map(|own| {
        let bytes = human_bytes(own.bytes);
        let received = match own.bytes_total {
            Some(total) => {
                let percent = u128::from(own.bytes) * 100 / u128::from(total).max(1);
                format!("{bytes} of {} ({} %)", human_bytes(total), percent.min(100))
            }
            None => bytes,
        };
        [
            own.repository.clone(),
            received,
            format!("{}/s", human_bytes(own.bytes_per_second)),
            duration(own.for_ms / 1000),
            own.client.clone().unwrap_or_else(|| "unix".to_owned()),
        ]
    }));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let widths: Vec<usize> = (0..5).map(|at| width(at).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths);
            let cells: Vec<String> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            cells.join("  ")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_told_with_what_is_known_of_it() {
        let mut own = Running {
            since: String::new(),
            for_ms: 65_000,
            progress: Progress::default(),
        };
        assert_eq!(running(&own), "running for 1 min 5 s");
        own.progress = Progress::start("saving blobs", Counted::Bytes, 4 << 20);
        own.progress.done = 1 << 20;
        assert_eq!(
            running(&own),
            "saving blobs 1.0 MiB of 4.0 MiB, 25 %, for 1 min 5 s"
        );
        own.progress = Progress::start("collecting", Counted::Objects, 0);
        assert_eq!(running(&own), "collecting 0, for 1 min 5 s");
    }

    #[test]
    fn an_end_is_told_with_its_figures_or_its_error() {
        let mut own = Ended {
            at: "2026-01-02T03:04:05Z".to_owned(),
            took_ms: 1500,
            figures: vec![("blobs".to_owned(), 3), ("bytes".to_owned(), 2048)],
            error: None,
        };
        assert_eq!(
            ended(&own),
            "last ended 2026-01-02T03:04:05Z after 1 s (3 blobs, 2.0 KiB)"
        );
        own.error = Some("no room".to_owned());
        assert_eq!(
            ended(&own),
            "failed 2026-01-02T03:04:05Z after 1 s: no room"
        );
    }

    #[test]
    fn nothing_in_a_line_steers_the_terminal() {
        assert_eq!(plain("a\x1b[2Jb\r\n"), "a?[2Jb");
    }

    #[test]
    fn uploads_stand_in_columns() {
        let upload = UploadState {
            repository: "team/app".to_owned(),
            client: None,
            bytes: 1 << 20,
            bytes_total: Some(2 << 20),
            bytes_per_second: 1024,
            for_ms: 3000,
        };
        assert_eq!(
            uploads(&[upload]),
            [
                "UPLOAD TO  RECEIVED                  RATE       FOR  CLIENT",
                "team/app   1.0 MiB of 2.0 MiB (50 %)  1.0 KiB/s  3 s  unix  ",
            ]
            .map(|line| line.replace("RECEIVED                  ", "RECEIVED                   "))
        );
    }
}
