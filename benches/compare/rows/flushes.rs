//! Flushes that a push costs the device: what wears a memory card, and what a push waits for.

use super::{Context, Figures};
use crate::content::Image;
use crate::load::{push_image, share};
use crate::loopfs::LoopMount;
use crate::measure::{Goal, real, real_len};
use crate::peers::{Door, Kind, Server};
use crate::report::RowReport;
use crate::system::DeviceCounts;
use crate::{Outcome, Skipped};

const LAYERS: usize = 3;
const MANY_CLIENTS: usize = 8;

/// Counts on a loop-mounted ext4, which only the server under measurement uses.
pub fn flushes(context: &Context<'_>, report: &mut RowReport) -> Outcome<()> {
    let folder = context.folder.fresh()?;
    let mount = LoopMount::ext4(folder.path())
        .map_err(|error| Skipped(format!("no file system could be mounted: {error}")))?;
    let mut figures = [(); 4].map(|()| Figures::default());
    for kind in [Kind::Coracle, Kind::DockerRegistry] {
        match count(context, &mount, kind) {
            Ok(counted) => {
                for (figures, value) in figures.iter_mut().zip(counted) {
                    figures.push(kind, value);
                }
            }
            Err(error) => report.fail(kind.name(), &error),
        }
    }
    let units = [ONE_FLUSHES, ONE_KILOBYTES, MANY_FLUSHES, MANY_KILOBYTES];
    for (figures, unit) in figures.into_iter().zip(units) {
        figures.report(report, unit);
    }
    let one = report.median("coracle", ONE_FLUSHES);
    report.judge(
        "flushes per push, one client",
        one,
        "flushes",
        Goal::AtMost(10.0),
    );
    let many = report.median("coracle", MANY_FLUSHES);
    report.judge(
        "flushes per push, 8 clients",
        many,
        "flushes",
        Goal::AtMost(4.0),
    );
    report.notes.push(
        "each push is a config, 3 layers of 64 KiB and a manifest (about 198 kB); the journal's \
         own flushes during the count are included"
            .into(),
    );
    Ok(())
}

const ONE_FLUSHES: &str = "flushes/push with 1 client";
const ONE_KILOBYTES: &str = "kB written/push with 1 client";
const MANY_FLUSHES: &str = "flushes/push with 8 clients";
const MANY_KILOBYTES: &str = "kB written/push with 8 clients";

/// Flushes and kB per push with one client, then with several.
fn count(context: &Context<'_>, mount: &LoopMount, kind: Kind) -> Outcome<[f64; 4]> {
    let pushes = context.scale.flush_pushes;
    let server = Server::start(kind, &context.options.coracle, mount.path(), Door::Open)?;
    let images = |seed, count| Image::many(seed, count, LAYERS, context.scale.layer_small_bytes);
    // Folders and files that every server makes once are not part of a push.
    share(server.address, 1, &images(7_000, 4), push_image)?;
    let mut counted = [0.0; 4];
    for (step, clients) in [1, MANY_CLIENTS].into_iter().enumerate() {
        let images = images(7_001 + step as u64, pushes * (1 + step));
        rustix::fs::sync();
        let before = DeviceCounts::read(mount.device())?;
        share(server.address, clients, &images, push_image)?;
        let after = DeviceCounts::read(mount.device())?;
        let each = real_len(images.len());
        let written = real(after.written_bytes - before.written_bytes);
        counted[2 * step] = real(after.flushes - before.flushes) / each;
        counted[2 * step + 1] = written / 1000.0 / each;
    }
    Ok(counted)
}
