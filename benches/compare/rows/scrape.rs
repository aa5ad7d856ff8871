//! Metrics of a store with many repositories, against those of one with few.

use std::time::Instant;

use super::Context;
use crate::Outcome;
use crate::client::{Connection, expect};
use crate::fill::repositories;
use crate::measure::{Goal, median};
use crate::peers::Kind;
use crate::report::RowReport;

/// The longest that a scrape should take, in milliseconds.
const GOAL_MS: f64 = 5.0;

/// Two stores, asked in turns.
pub fn scrape(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let (many, few) = (context.start(Kind::Coracle)?, context.start(Kind::Coracle)?);
    repositories(&many, scale.repositories_many)?;
    repositories(&few, scale.few)?;
    let (mut of_many, mut of_few) = (Vec::new(), Vec::new());
    let (mut many, mut few) = (many.connect()?, few.connect()?);
    for _ in 0..scale.rounds {
        of_many.extend(times(&mut many, scale.repositories_many, scale.pages)?);
        of_few.extend(times(&mut few, scale.few, scale.pages)?);
    }
    let subject = format!("{} repositories", scale.repositories_many);
    report.add(&subject, "ms", of_many);
    report.add(format!("{} repositories", scale.few), "ms", of_few);
    let took = report.median(&subject, "ms");
    report.judge("a scrape", took, "ms", Goal::AtMost(GOAL_MS));
    Ok(())
}

/// The median time of `count` scrapes, in milliseconds, after making sure of what is in one.
fn times(connection: &mut Connection, stored: usize, count: usize) -> Outcome<Option<f64>> {
    let mut body = Vec::new();
    let head = connection.ask("GET", "/metrics", &mut |bytes| {
        body.extend_from_slice(bytes);
    })?;
    expect(head, 200, "GET", "/metrics")?;
    let line = format!("coracle_repositories {stored}");
    let text = String::from_utf8(body)?;
    if !text.lines().any(|own| own == line) {
        return Err(format!("the metrics do not say {line}").into());
    }
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let asked = Instant::now();
        let head = connection.ask("GET", "/metrics", &mut |_| {})?;
        times.push(asked.elapsed().as_secs_f64() * 1e3);
        expect(head, 200, "GET", "/metrics")?;
    }
    Ok(median(&times))
}
