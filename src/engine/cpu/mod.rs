//! The CPU engine: fast f32 programs, and the interpreter that runs every op by its reference.

mod interpret;
mod program;
mod tensor;

pub use interpret::{Number, evaluate, interpret, interpret_all};
pub use program::Program;
pub(super) use tensor::Tensor;

/// The vector unit and the threads, for people.
pub fn describe() -> String {
    #[cfg(target_arch = "x86_64")]
    let unit = if is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "SSE2"
    };
    #[cfg(target_arch = "wasm32")]
    let unit = "WebAssembly SIMD";
    #[cfg(not(any(target_arch = "x86_64", target_arch = "wasm32")))]
    let unit = std::env::consts::ARCH;
    #[cfg(not(target_arch = "wasm32"))]
    let threads = rayon::current_num_threads();
    #[cfg(target_arch = "wasm32")]
    let threads = 1;
    format!("{unit}, {threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A program that does not fit into memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is not enough memory: {} MB are needed", needed.div_ceil(1_000_000))]
pub struct OutOfMemory {
    /// Bytes of all values and packed weights, and of scratch.
    pub needed: usize,
}

/// So many zeros, or nothing where there is no memory for them.
fn zeros(len: usize) -> Option<Vec<f32>> {
    let mut values = Vec::new();
    values.try_reserve_exact(len).ok()?;
    values.resize(len, 0.0);
    Some(values)
}
