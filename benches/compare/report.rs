//! What comes out: the table for people, the same as JSON for programs.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::measure::{Goal, Series, show};
use crate::options::Options;
use crate::peers::Kind;
use crate::system::{Machine, version};
use crate::{Failure, Outcome, Skipped};

/// How the peers are run; part of every report, because a ratio means nothing without it.
const CONDITIONS: [&str; 8] = [
    "One machine, loopback, plain HTTP: the load generator shares the processors with the server \
     it measures. Servers take turns within each round; figures are medians of the rounds, with \
     the smallest and largest in brackets.",
    "coracle: release build, default configuration (full durability, access log on, to a file), \
     save that one address may take all connections and threads.",
    "docker-registry: file system storage, delete enabled, in-memory blob cache as Debian ships \
     it, no authentication, log at its default level with the access log on, to files.",
    "In the rows with a token or a password all servers hold the same images; those of Coracle \
     differ in their door alone. The hash of the password is bcrypt of cost 10, which \
     docker-registry verifies with each request.",
    "nginx: 2 workers, sendfile and tcp_nopush on, keep-alive, access log on, to a file.",
    "Pushing is HEAD, POST, one PUT per blob, then the manifest by tag; pulling is the manifest \
     by tag, then every blob. Each round pushes bytes of its own.",
    "In the push rows each server starts on a fresh folder every round, and folders are removed \
     between turns, so that all write to the same part of the disk; a first round is not counted.",
    "MB is 1,000,000 bytes; a 100 MB layer is 100,000,000.",
];

/// One run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where it was measured.
    pub machine: Machine,
    /// Versions of the programs measured.
    pub versions: Vec<(String, String)>,
    /// Whether the sizes were tiny and nothing may be concluded.
    pub quick: bool,
    /// What was measured.
    pub rows: Vec<RowReport>,
}

/// A figure and the goal it is held to.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// What the figure is.
    pub what: String,
    /// The figure; `None` when a part of it could not be measured.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: String,
    /// What it should be; `None` for a figure that is only reported.
    pub goal: Option<Goal>,
    /// Whether it is.
    pub met: Option<bool>,
}

/// What one row found.
#[derive(Debug, Serialize)]
pub struct RowReport {
    /// Name for `--only`.
    pub id: &'static str,
    /// The work, in words.
    pub work: &'static str,
    /// What each subject reached.
    pub series: Vec<Series>,
    /// What is concluded.
    pub judgements: Vec<Judgement>,
    /// Things to know when reading the figures.
    pub notes: Vec<String>,
    /// What this host lacks or does not permit, so that figures are missing.
    pub skipped: Vec<String>,
    /// What went wrong, so that figures are missing.
    pub trouble: Vec<String>,
    /// How long the row took.
    pub seconds: f64,
}

impl RowReport {
    /// A row without figures yet.
    pub fn new(id: &'static str, work: &'static str) -> Self {
        let (series, judgements) = (Vec::new(), Vec::new());
        Self {
            id,
            work,
            series,
            judgements,
            notes: Vec::new(),
            skipped: Vec::new(),
            trouble: Vec::new(),
            seconds: 0.0,
        }
    }

    /// Adds what a subject reached; nothing if it reached nothing.
    pub fn add(&mut self, subject: impl Into<String>, unit: &'static str, rounds: Vec<f64>) {
        self.series.extend(Series::new(subject, unit, rounds));
    }

    /// Notes why `subject` is missing from the row.
    pub fn fail(&mut self, subject: &str, error: &Failure) {
        let text = format!("{subject}: {error}");
        if error.is::<Skipped>() {
            self.skipped.push(text);
        } else {
            self.trouble.push(text);
        }
    }

    /// Everything that is missing from the row.
    pub fn missing(&self) -> impl Iterator<Item = &String> {
        self.trouble.iter().chain(&self.skipped)
    }

    /// The median of a subject in a unit.
    pub fn median(&self, subject: &str, unit: &str) -> Option<f64> {
        let mut found = self
            .series
            .iter()
            .filter(|it| it.subject == subject && it.unit == unit);
        Some(found.next()?.median)
    }

    /// Holds the ratio of two medians to a goal.
    pub fn judge_ratio(&mut self, subject: &str, against: &str, unit: &str, goal: Goal) {
        let ratio = self.ratio(subject, against, unit);
        self.judge(format!("{unit} against {against}"), ratio, "×", goal);
    }

    /// Tells a figure that is held to no goal.
    pub fn tell(&mut self, what: impl Into<String>, value: Option<f64>, unit: &str) {
        self.judgements.push(Judgement {
            what: what.into(),
            value,
            unit: unit.to_owned(),
            goal: None,
            met: None,
        });
    }

    /// The ratio of two medians.
    pub fn ratio(&self, subject: &str, against: &str, unit: &str) -> Option<f64> {
        match (self.median(subject, unit), self.median(against, unit)) {
            (Some(subject), Some(against)) if against > 0.0 => Some(subject / against),
            _ => None,
        }
    }

    /// Holds a figure to a goal.
    pub fn judge(&mut self, what: impl Into<String>, value: Option<f64>, unit: &str, goal: Goal) {
        self.judgements.push(Judgement {
            what: what.into(),
            value,
            unit: unit.to_owned(),
            goal: Some(goal),
            met: value.map(|value| goal.met(value)),
        });
    }

    /// Forgets whether goals are met: the sizes were too small to tell.
    pub fn forget_goals(&mut self) {
        for judgement in &mut self.judgements {
            judgement.met = None;
        }
    }

    /// The figures as lines, for progress.
    pub fn plain_lines(&self) -> String {
        let mut out = String::new();
        for series in &self.series {
            // Writing into a String has no way to fail, here and below.
            let _ = writeln!(out, "    {}", series_text(series));
        }
        for judgement in &self.judgements {
            let _ = writeln!(out, "    => {}: {}", judgement.what, value_text(judgement));
        }
        for note in &self.notes {
            let _ = writeln!(out, "    ({note})");
        }
        let _ = writeln!(out, "    took {:.1} s", self.seconds);
        out
    }

    /// The row's lines in the table: one a judgement.
    fn table_lines(&self, out: &mut String) {
        let measured: Vec<String> = self.series.iter().map(series_text).collect();
        let mut measured = measured.join("<br>");
        for missing in self.missing() {
            let _ = write!(measured, "<br>**NOT MEASURED:** {missing}");
        }
        let mut first = (
            self.work,
            measured.trim_start_matches("<br>").replace('|', "\\|"),
        );
        for judgement in &self.judgements {
            let (goal, met) = (goal_text(judgement), met_text(judgement.met));
            let (what, value) = (&judgement.what, value_text(judgement));
            let _ = writeln!(
                out,
                "| {} | {} | {what} | {value} | {goal} | {met} |",
                first.0, first.1
            );
            first = ("", String::new());
        }
        if self.judgements.is_empty() {
            let _ = writeln!(out, "| {} | {} |  |  |  |  |", first.0, first.1);
        }
    }
}

impl Report {
    /// A report without rows; asks every program for its version.
    pub fn new(machine: Machine, options: &Options) -> Self {
        let versions = [
            (Kind::Coracle, "--version"),
            (Kind::DockerRegistry, "--version"),
            (Kind::Nginx, "-v"),
        ]
        .map(|(kind, argument)| {
            (
                kind.name().to_owned(),
                version(&kind.program(&options.coracle), argument),
            )
        });
        Self {
            machine,
            versions: versions.into(),
            quick: options.quick(),
            rows: Vec::new(),
        }
    }

    /// Machine and versions.
    pub fn head(&self) -> String {
        let machine = &self.machine;
        let mut out = format!(
            "machine: {}, {} cores, {} MB of memory, Linux {}, {}\n",
            machine.cpu,
            machine.cores,
            show(machine.memory_mb),
            machine.kernel,
            machine.file_system
        );
        for (name, version) in &self.versions {
            let _ = writeln!(out, "{name}: {version}");
        }
        if machine.in_memory {
            out.push_str("WARNING: the folder measured on is in memory; use --dir on a disk\n");
        }
        if self.quick {
            out.push_str("WARNING: a quick run with tiny sizes; its figures mean nothing\n");
        }
        out
    }

    /// The table in Markdown.
    pub fn markdown_table(&self) -> String {
        let mut out = String::from(
            "| work | measured | figure | value | goal | met |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
        for row in &self.rows {
            row.table_lines(&mut out);
        }
        out
    }

    fn markdown(&self) -> String {
        let mut out = String::from("# Coracle against its peers\n\n");
        for line in self.head().lines() {
            let _ = writeln!(out, "- {line}");
        }
        out.push('\n');
        out.push_str(&self.markdown_table());
        out.push_str("\n## How it was measured\n\n");
        for condition in CONDITIONS {
            let _ = writeln!(out, "- {condition}");
        }
        for row in self.rows.iter().filter(|row| !row.notes.is_empty()) {
            let _ = writeln!(out, "- {}: {}", row.id, row.notes.join("; "));
        }
        out
    }

    /// Writes `compare.md` and `compare.json` into `folder` and gives their paths.
    pub fn write(&self, folder: &Path) -> Outcome<(PathBuf, PathBuf)> {
        fs::create_dir_all(folder)?;
        let (markdown, json) = (folder.join("compare.md"), folder.join("compare.json"));
        fs::write(&markdown, self.markdown())?;
        fs::write(&json, serde_json::to_string_pretty(self)?)?;
        Ok((markdown, json))
    }
}

fn series_text(series: &Series) -> String {
    let Series {
        subject,
        unit,
        median,
        min,
        max,
        ..
    } = series;
    let mut text = format!("{subject}: {} {unit}", show(*median));
    if series.rounds.len() > 1 {
        let _ = write!(text, " ({}-{})", show(*min), show(*max));
    }
    text
}

fn value_text(judgement: &Judgement) -> String {
    match judgement.value {
        Some(value) => format!("{} {}", show(value), judgement.unit),
        None => "not measured".into(),
    }
}

fn goal_text(judgement: &Judgement) -> String {
    match judgement.goal {
        Some(Goal::AtLeast(bound)) => format!("≥ {bound} {}", judgement.unit),
        Some(Goal::AtMost(bound)) => format!("≤ {bound} {}", judgement.unit),
        None => String::new(),
    }
}

fn met_text(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "yes",
        Some(false) => "**no**",
        None => "not judged",
    }
}
