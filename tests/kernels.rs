//! Every kernel against its f64 reference, on whatever adapter there is.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::engine::gpu::Options;
use support::{cases, gpu};

fn compare_all(options: Options) {
    let gpu = gpu::open(options);
    let cases = cases::all();
    let failures: Vec<String> =
        cases.iter().filter_map(|case| gpu::check(&gpu, case, &gpu::oracle(case)).err()).collect();
    assert!(!cases.is_empty(), "there is nothing to compare");
    assert!(failures.is_empty(), "{} of {} cases differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn kernels_agree_with_the_oracle() {
    compare_all(Options::default());
}

#[test]
fn checked_kernels_agree_with_the_oracle() {
    compare_all(Options { checked: true, ..Options::default() });
}
