//! Servers with a configuration file.

use super::{Server, server::quick_folder};
use std::fs;
use std::ops::{Deref, DerefMut};
use tempfile::TempDir;

/// A server and the folder of its configuration file, which must be there at each start.
pub struct Configured {
    server: Server,
    folder: TempDir,
}

impl Configured {
    /// Stops the program and starts it on the same data with another configuration file.
    #[track_caller]
    pub fn restart_with(&mut self, toml: &str) {
        self.server.stop();
        self.rewrite(toml);
        self.server.launch();
    }

    /// Writes another configuration file and tells nobody.
    pub fn rewrite(&self, toml: &str) {
        let path = self.folder.path().join(FILE);
        fs::write(path, toml).expect("write the configuration file");
    }

    /// The folder of the configuration file, for files that it names.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

const FILE: &str = "coracle.toml";

/// Starts the program with this configuration file and these flags.
#[track_caller]
pub fn start_configured(toml: &str, flags: &[&str]) -> Configured {
    let folder = tempfile::Builder::new()
        .prefix("coracle-it-config-")
        .tempdir()
        .expect("temp folder");
    let path = folder.path().join(FILE);
    fs::write(&path, toml).expect("write the configuration file");
    let path = path.to_str().expect("a path of UTF-8");
    let flags = [&["--config", path][..], flags].concat();
    Configured {
        server: Server::start_below(&quick_folder(), &flags),
        folder,
    }
}

impl Deref for Configured {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl DerefMut for Configured {
    fn deref_mut(&mut self) -> &mut Server {
        &mut self.server
    }
}

/// Runs a test against both stores with this configuration file.
pub fn for_each_shape_configured(toml: &str, test: impl Fn(&mut Server)) {
    for (shape, flags) in [("file store", &[][..]), ("memory store", &["--memory"][..])] {
        eprintln!("--- shape: {shape}, configured");
        let mut server = start_configured(toml, flags);
        test(&mut server);
        server.stop_and_check();
    }
}
