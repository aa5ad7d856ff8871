//! `cargo bench --bench compare`: Coracle, a registry that people use today and a static file
//! server, held to the same work on loopback in one run.
//!
//! Every row of the table starts its servers in fresh folders on the disk, gives each of them the
//! same bytes through the same client code, takes turns between them round by round, and reports
//! medians and ratios. It writes `compare.md` and `compare.json`, prints the table, and ends with
//! status 1 when a row could not be measured, never because a number is small: whether a goal is
//! met is a column to read, not a test. `--quick` shrinks everything and judges nothing.
//!
//! What it does not do: nothing leaves loopback, nothing is installed, and a peer whose program
//! is missing is named loudly instead of being replaced by a remembered figure.

mod client;
mod content;
mod fill;
mod flood;
mod load;
mod loopfs;
mod measure;
mod options;
mod peers;
mod report;
mod rows;
mod system;
mod tls;
mod work;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser as _;
use options::Options;
use report::{Report, RowReport};
use rows::{Context, Row};

/// Anything that keeps a row from being measured; the text is for the person who reads the report.
pub type Failure = Box<dyn Error + Send + Sync>;

/// What a step of a row gives.
pub type Outcome<T> = Result<T, Failure>;

fn main() -> ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error}");
            ExitCode::from(2)
        }
    }
}

/// Why something was left out that this host lacks or does not permit: reported loudly, but no
/// failure of the run.
#[derive(Debug)]
pub struct Skipped(pub String);

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "skipped: {}", self.0)
    }
}

impl Error for Skipped {}

/// Measures the chosen rows and writes the report. `false` when a row could not be measured.
fn run(options: &Options) -> Outcome<bool> {
    let chosen = rows::choose(&options.only)?;
    system::raise_open_files()?;
    let context = Context::new(options)?;
    let mut report = Report::new(system::Machine::look(context.folder.path()), options);
    println!("{}", report.head());
    for row in chosen {
        report.rows.push(measure_row(&context, row));
    }
    let (markdown, json) = report.write(&options.out)?;
    println!("\n{}", report.markdown_table());
    println!("written: {} and {}", markdown.display(), json.display());
    Ok(report.rows.iter().all(|row| row.trouble.is_empty()))
}

/// Measures one row, or says why not; progress goes to standard error.
fn measure_row(context: &Context<'_>, row: &Row) -> RowReport {
    let mut report = RowReport::new(row.id, row.work);
    if context.out_of_time() {
        let budget = context.options.budget_s;
        let why = format!(
            "the run has used its {budget} s; ask for it with --only {}",
            row.id
        );
        report.fail("row", &Skipped(why).into());
    } else {
        eprintln!("compare: {} ...", row.id);
        let started = Instant::now();
        if let Err(error) = (row.measure)(context, &mut report) {
            report.fail("row", &error);
        }
        report.seconds = started.elapsed().as_secs_f64();
    }
    if context.options.quick() {
        report.forget_goals();
    }
    for missing in report.missing() {
        eprintln!("compare: {}: NOT MEASURED: {missing}", row.id);
    }
    eprint!("{}", report.plain_lines());
    report
}
