//! The check of a machine covers every kernel and passes on both engines.
#![cfg(not(target_arch = "wasm32"))]

use noisette::engine::gpu::KERNELS;
use noisette::engine::{Choice, Engine};
use noisette::model::config::UnetConfig;
use noisette::selftest::{check_ops, time_prediction};
use pollster::block_on;
use std::collections::BTreeSet;

#[test]
fn every_kernel_passes_on_both_engines() {
    for choice in [Choice::Cpu, Choice::Gpu] {
        let engine = block_on(Engine::open(choice)).expect("the tests need an adapter, such as lavapipe");
        let reports = block_on(check_ops(&engine)).expect("the check runs");
        for report in &reports {
            assert!(report.pass && report.results > 0, "{choice:?}: {report:?}");
        }
        let checked: BTreeSet<&str> = reports.iter().map(|report| report.op.as_str()).collect();
        let missing: Vec<_> = KERNELS.iter().map(|(name, _)| *name).filter(|name| !checked.contains(name)).collect();
        assert!(missing.is_empty(), "{missing:?} are not checked");
    }
}

#[test]
fn predictions_are_timed() {
    let engine = block_on(Engine::open(Choice::Cpu)).expect("there is always a CPU");
    let config = UnetConfig { block_out_channels: vec![8, 8, 8], ..UnetConfig::digits() };
    let clock = std::time::Instant::now();
    let timing = block_on(time_prediction(&engine, &config, 2, 3, || clock.elapsed().as_secs_f64() * 1e3));
    let timing = timing.expect("it runs");
    assert!(timing.batch == 2 && timing.ms > 0.0, "{timing:?}");
}
