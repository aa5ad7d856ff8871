//! Servers with a configuration file.

use super::{Server, server::quick_folder};
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use tempfile::TempDir;

/// A server and the folder of its configuration file, which must be there at each start.
pub struct Configured {
    server: Server,
    file: ConfigFile,
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
        fs::write(&self.file.path, toml).expect("write the configuration file");
    }

    /// The folder of the configuration file, for files that it names.
    pub fn folder(&self) -> &Path {
        self.file.folder.path()
    }
}

/// A configuration file in a folder of its own.
pub struct ConfigFile {
    path: String,
    folder: TempDir,
}

impl ConfigFile {
    /// A file with this text.
    #[track_caller]
    pub fn new(toml: &str) -> ConfigFile {
        let folder = tempfile::Builder::new()
            .prefix("coracle-it-config-")
            .tempdir()
            .expect("temp folder");
        let path = folder.path().join("coracle.toml");
        fs::write(&path, toml).expect("write the configuration file");
        ConfigFile {
            path: path.to_str().expect("a path of UTF-8").to_owned(),
            folder,
        }
    }

    /// The flags that name it.
    pub fn flags(&self) -> [&str; 2] {
        ["--config", &self.path]
    }
}

/// Starts the program with this configuration file and these flags.
#[track_caller]
pub fn start_configured(toml: &str, flags: &[&str]) -> Configured {
    let file = ConfigFile::new(toml);
    let flags = [&file.flags()[..], flags].concat();
    Configured {
        server: Server::start_below(&quick_folder(), &flags),
        file,
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

/// What makes a file of every blob, however short.
pub const ONLY_FILES: &str = "[storage]\ninline_bytes_max = 0\n";

/// What makes files of some of the blobs that [`Pushers`](super::Pushers) push.
pub const SOME_FILES: &str = "[storage]\ninline_bytes_max = \"16KiB\"\n";

/// The shapes of a server: its name, what it has in its configuration file, its flags.
const SHAPES: [(&str, &str, &[&str]); 3] = [
    ("file store", "", &[]),
    ("file store, every blob a file", ONLY_FILES, &[]),
    ("memory store", "", &["--memory"]),
];

/// Runs a test against every shape of server: the file store (with a deep check of its folder at
/// the end), the same without inline blobs, the memory store, and a store for which its clients
/// need a password.
pub fn for_each_shape(test: impl Fn(&mut Server)) {
    for_each_open_shape(&test);
    eprintln!("--- shape: with accounts");
    test(&mut Server::with_accounts());
}

/// The same for tests that write their requests themselves, without a password.
pub fn for_each_open_shape(test: impl Fn(&mut Server)) {
    for_each_shape_configured("", test);
}

/// As [`for_each_open_shape`], with this in the configuration file as well.
pub fn for_each_shape_configured(toml: &str, test: impl Fn(&mut Server)) {
    for (shape, own, flags) in SHAPES {
        eprintln!("--- shape: {shape}");
        let mut server = start_configured(&format!("{own}{toml}"), flags);
        test(&mut server);
        server.stop_and_check();
    }
}
