//! Running cases on the GPU engine.

use super::cases::Case;
use super::compare;
use noisette::engine::cpu::interpret;
use noisette::engine::gpu::{Gpu, GpuError, Options};
use std::collections::HashMap;

/// Largest error of a kernel's f32 result, relative to the result's largest value.
pub const TOLERANCE: f64 = 2e-5;

/// Opens any adapter; having none is a failure, since a test that skips itself proves nothing.
pub fn open(options: Options) -> Gpu {
    let gpu = pollster::block_on(Gpu::open_with(Options { allow_software: true, ..options }));
    gpu.unwrap_or_else(|error| {
        panic!("{error}: these tests need an adapter, such as lavapipe from Debian's mesa-vulkan-drivers")
    })
}

/// What the oracle says about a case.
pub fn oracle(case: &Case) -> HashMap<String, Vec<f64>> {
    interpret::<f64>(&case.graph, &case.leaves_f64())
}

/// All outputs of a case, in the graph's order.
pub fn run(gpu: &Gpu, case: &Case) -> Result<Vec<(String, Vec<f32>)>, GpuError> {
    let mut program = gpu.compile(&case.graph)?;
    for (name, values) in &case.leaves {
        program.write(case.graph.leaf(name).expect("a leaf of the case"), values)?;
    }
    program.run()?;
    let read = |(name, id): &(String, _)| Ok((name.clone(), pollster::block_on(program.read(*id))?));
    case.graph.outputs().iter().map(read).collect()
}

/// Whether the GPU's outputs are the oracle's; else what is wrong.
pub fn check(gpu: &Gpu, case: &Case, expected: &HashMap<String, Vec<f64>>) -> Result<(), String> {
    let found = run(gpu, case).map_err(|error| error.to_string())?;
    for (name, values) in found {
        compare::close(&values, &expected[&name], TOLERANCE).map_err(|why| format!("{}: {name}: {why}", case.name))?;
    }
    Ok(())
}
