//! Writes manual pages and completions for packages: `cargo run --example pages -- FOLDER` makes
//! `FOLDER/man` and `FOLDER/completions`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod render;

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("name the folder to write to: cargo run --example pages -- target/pages");
        return ExitCode::from(2);
    };
    match write(&folder) {
        Ok(written) => {
            println!("{written} files in {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write to {}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// Makes the folder anew, so that no page of a command that is gone stays in it.
fn write(folder: &Path) -> std::io::Result<usize> {
    let pages = render::all()?;
    for part in ["man", "completions"] {
        let part = folder.join(part);
        if part.exists() {
            fs::remove_dir_all(&part)?;
        }
        fs::create_dir_all(&part)?;
    }
    for page in &pages {
        fs::write(folder.join(&page.path), &page.bytes)?;
    }
    Ok(pages.len())
}
