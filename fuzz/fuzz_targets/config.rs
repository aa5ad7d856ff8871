//! Any text as a configuration file: settings or a sentence, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = coracle::config::parse_toml(text) {
        assert!(!error.to_string().is_empty());
    }
});
