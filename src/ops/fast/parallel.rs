//! Splitting an output among threads: rayon natively, one thread on wasm.

use std::cell::RefCell;

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f(index, chunk)` for every chunk of `out`, in any order.
pub fn for_each_chunk(out: &mut [f32], chunk: usize, f: impl Fn(usize, &mut [f32]) + Send + Sync) {
    #[cfg(not(target_arch = "wasm32"))]
    if out.len() > chunk {
        use rayon::prelude::*;
        return out.par_chunks_mut(chunk).enumerate().for_each(|(i, chunk)| f(i, chunk));
    }
    out.chunks_mut(chunk).enumerate().for_each(|(i, chunk)| f(i, chunk));
}

/// Lends `f` a buffer of this thread with `len` values of no meaning; it grows to the greatest length asked for and stays.
pub fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    // A task may steal another one while it holds the buffer only if `f` itself goes parallel, which none here does.
    SCRATCH.with_borrow_mut(|buffer| {
        if buffer.len() < len {
            buffer.resize(len, 0.0);
        }
        f(&mut buffer[..len])
    })
}
