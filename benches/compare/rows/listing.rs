//! The first page of long lists, against the first page of short ones.

use std::time::Instant;

use super::Context;
use crate::Outcome;
use crate::client::{Connection, expect};
use crate::fill::{repositories, tags};
use crate::measure::{Goal, median};
use crate::peers::Kind;
use crate::report::RowReport;

/// Entries of a page.
const PAGE: usize = 100;

/// Two stores, one with long lists and one with short ones, asked in turns.
pub fn first_page(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let (long, short) = (context.start(Kind::Coracle)?, context.start(Kind::Coracle)?);
    let filling = Instant::now();
    tags(&long, scale.tags_many)?;
    repositories(&long, scale.repositories_many)?;
    tags(&short, scale.few)?;
    repositories(&short, scale.few)?;
    report.notes.push(format!(
        "filling the lists took {:.0} s",
        filling.elapsed().as_secs_f64()
    ));
    for (name, target, bound) in [
        (
            "tags",
            format!("/v2/{}/tags/list?n={PAGE}", crate::fill::TAGGED),
            scale.tags_many,
        ),
        (
            "repositories",
            format!("/v2/_catalog?n={PAGE}"),
            scale.repositories_many,
        ),
    ] {
        let (mut slow, mut fast) = (Vec::new(), Vec::new());
        let (mut of_long, mut of_short) = (long.connect()?, short.connect()?);
        for _ in 0..scale.rounds {
            slow.extend(page_times(&mut of_long, &target, name, scale.pages)?);
            fast.extend(page_times(&mut of_short, &target, name, scale.pages)?);
        }
        let (subject, against) = (format!("{bound} {name}"), format!("{} {name}", scale.few));
        report.add(&subject, "µs", slow);
        report.add(&against, "µs", fast);
        report.judge_ratio(&subject, &against, "µs", Goal::AtMost(1.5));
    }
    Ok(())
}

/// The median time of `pages` requests, in microseconds, after making sure of what is in one.
fn page_times(
    connection: &mut Connection,
    target: &str,
    field: &str,
    pages: usize,
) -> Outcome<Option<f64>> {
    let mut body = Vec::new();
    let head = connection.ask("GET", target, &mut |bytes| body.extend_from_slice(bytes))?;
    expect(head, 200, "GET", target)?;
    let page: serde_json::Value = serde_json::from_slice(&body)?;
    let entries = page[field].as_array().map_or(0, Vec::len);
    if entries != PAGE {
        return Err(format!("GET {target} gave {entries} {field} instead of {PAGE}").into());
    }
    let mut times = Vec::with_capacity(pages);
    for _ in 0..pages {
        let asked = Instant::now();
        let head = connection.ask("GET", target, &mut |_| {})?;
        times.push(asked.elapsed().as_secs_f64() * 1e6);
        expect(head, 200, "GET", target)?;
    }
    Ok(median(&times))
}
