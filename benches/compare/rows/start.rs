//! Starting: on an empty store, and on one whose catalog is full.

use super::Context;
use crate::Outcome;
use crate::content::Blob;
use crate::fill::blob_rows;
use crate::load::push_blob;
use crate::measure::Goal;
use crate::peers::Kind;
use crate::report::RowReport;

const EMPTY: &str = "empty store";

/// From making the process to its first answer, in turns.
pub fn start(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let scale = &context.scale;
    let (empty, full) = (context.folder.fresh()?, context.folder.fresh()?);
    let other = context.folder.fresh()?;
    // The first start makes the catalog; what is measured are the starts of a store that is there.
    context.start_on(Kind::Coracle, empty.path())?.stop();
    let first = context.start_on(Kind::Coracle, full.path())?;
    let data = first.data().to_owned();
    let blob = Blob::new(b"the row that all others are copies of".to_vec());
    push_blob(&mut first.connect()?, "bench/start", &blob)?;
    first.stop();
    blob_rows(&data, scale.blob_rows)?;
    rustix::fs::sync();
    let subject = format!("{} blobs", scale.blob_rows);
    let (mut of_empty, mut of_full, mut of_other) = (Vec::new(), Vec::new(), Vec::new());
    let mut peer_runs = true;
    for _ in 0..scale.starts {
        of_empty.push(started_in_ms(context, Kind::Coracle, empty.path())?);
        of_full.push(started_in_ms(context, Kind::Coracle, full.path())?);
        if peer_runs {
            match started_in_ms(context, Kind::DockerRegistry, other.path()) {
                Ok(took) => of_other.push(took),
                Err(error) => {
                    report.fail(Kind::DockerRegistry.name(), &error);
                    peer_runs = false;
                }
            }
        }
    }
    report.add(&subject, "ms", of_full);
    report.add(EMPTY, "ms", of_empty);
    report.add("docker-registry, empty store", "ms", of_other);
    report.judge_ratio(&subject, EMPTY, "ms", Goal::AtMost(1.5));
    let took = report.median(&subject, "ms");
    report.judge("start to first answer", took, "ms", Goal::AtMost(50.0));
    Ok(())
}

fn started_in_ms(context: &Context<'_>, kind: Kind, folder: &std::path::Path) -> Outcome<f64> {
    let server = context.start_on(kind, folder)?;
    let took = server.started_in.as_secs_f64() * 1000.0;
    server.stop();
    Ok(took)
}
