//! Any method and any path: no panic, and what parses names a repository that is one.
#![no_main]

use coracle::api::route::Route;
use coracle::http::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, &str)| {
    let (method, path) = input;
    let methods = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Other,
    ];
    let method = methods[usize::from(method) % methods.len()];
    if let Ok(Route::Tags(name)) = Route::parse(method, path) {
        assert!(name.as_str().parse::<coracle::oci::RepositoryName>().is_ok());
    }
});
