//! Every sampler's whole run from fixed noise is what it was, by every route.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use support::routes::{self, Route};

#[test]
fn runs_are_what_they_were() {
    [Route::Cpu, Route::Gpu, Route::CommandLine("cpu"), Route::CommandLine("gpu")].into_iter().for_each(routes::traces);
}
