//! What PyTorch and diffusers computed (`tests/golden/README.md`), and the engines that have to compute the same.

use noisette::checkpoint::{self, Checkpoint, TensorFile};
use noisette::engine::{Choice, Engine};
use noisette::tensor::{Shape, nchw_to_nhwc};
use std::path::{Path, PathBuf};

/// The golden networks.
pub const NETS: [&str; 2] = ["rgb", "grey"];

/// Where the golden files are.
pub fn dir(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

/// A golden network.
pub fn checkpoint(net: &str) -> Checkpoint {
    checkpoint::read_dir(dir(net)).expect("the golden folder is sound")
}

/// A golden file of a network.
pub fn tensors(net: &str, file: &str) -> TensorFile {
    checkpoint::read_tensors(dir(net).join(file)).expect("the golden file is sound")
}

/// The engines by their names on the command line.
pub const ENGINES: [&str; 2] = ["cpu", "gpu"];

/// An engine, on a software adapter if need be. Having no adapter is a failure: a test that skips itself proves nothing.
pub fn engine(name: &str) -> Engine {
    let choice: Choice = name.parse().expect("an engine's name");
    pollster::block_on(Engine::open(choice)).unwrap_or_else(|error| {
        panic!("{error}: these tests need an adapter, such as lavapipe from Debian's mesa-vulkan-drivers")
    })
}

/// Fractions `[N, C, H, W]`: their NHWC shape and values.
pub fn images(file: &TensorFile, name: &str) -> (Shape, Vec<f32>) {
    let (extents, values) = file.f32(name, 4).expect("the golden file has it");
    let shape = Shape::new(extents[0], extents[2], extents[3], extents[1]);
    (shape, nchw_to_nhwc(values, shape))
}

/// Fractions `[K, N, C, H, W]`: the NHWC shape of each of the K, and their values.
pub fn series(file: &TensorFile, name: &str) -> (Shape, Vec<Vec<f32>>) {
    let (extents, values) = file.f32(name, 5).expect("the golden file has it");
    let shape = Shape::new(extents[1], extents[3], extents[4], extents[2]);
    (shape, values.chunks_exact(shape.len()).map(|values| nchw_to_nhwc(values, shape)).collect())
}

/// Whole numbers of any shape; none if the file has no such tensor.
pub fn integers(file: &TensorFile, name: &str) -> Vec<usize> {
    let Some(tensor) = file.tensors.get(name) else { return Vec::new() };
    let checkpoint::Values::I64(values) = &tensor.values else { panic!("{name} holds whole numbers") };
    values.iter().map(|&value| usize::try_from(value).expect("not negative")).collect()
}

/// ‖found − expected‖/‖expected‖ in f64; infinite where anything is not finite, or where there is nothing to compare.
pub fn relative(found: &[f32], expected: &[f32]) -> f64 {
    let sound = found.len() == expected.len() && !expected.is_empty();
    if !sound || found.iter().chain(expected).any(|value| !value.is_finite()) {
        return f64::INFINITY;
    }
    let square = |value: f64| value * value;
    let error: f64 = found.iter().zip(expected).map(|(&f, &e)| square(f64::from(f) - f64::from(e))).sum();
    let norm: f64 = expected.iter().map(|&e| square(f64::from(e))).sum();
    (error / norm.max(1e-30)).sqrt()
}

/// The largest |found − expected|; infinite as in [`relative`].
pub fn largest(found: &[f32], expected: &[f32]) -> f64 {
    if !relative(found, expected).is_finite() {
        return f64::INFINITY;
    }
    found.iter().zip(expected).fold(0.0, |max, (&f, &e)| f64::max(max, (f64::from(f) - f64::from(e)).abs()))
}
