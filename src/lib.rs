//! Noisette: denoising diffusion, from the equations to the GPU, in one crate.
//!
//! Reading order, from the bottom up; a layer never imports a higher one (`tests/layers.rs` checks it):
//!
//! | layer | modules | what |
//! |---|---|---|
//! | 0 | [`tensor`], [`rng`], [`diffusion`] | shapes, seeded noise, the mathematics of Ho et al. 2020 |
//! | 1 | [`graph`] | a computation as plain data, and its gradient as a longer graph |
//! | 2 | [`ops`] | one operation a file: meaning, shape, gradient, GPU dispatch |
//! | 3 | [`model`], [`engine`], [`checkpoint`], [`data`] | the UNet, the two engines, diffusers folders, data sets |
//! | 4 | [`train`], [`playground`], [`selftest`] | the trainer, the state behind the page, the check of a machine |
//! | 5 | `cli` (native), `web` (wasm) | the command line, the page |

pub mod checkpoint;
#[cfg(not(target_arch = "wasm32"))]
pub mod cli;
pub mod data;
pub mod diffusion;
pub mod engine;
pub mod graph;
pub mod model;
pub mod ops;
pub mod playground;
pub mod rng;
pub mod selftest;
pub mod tensor;
pub mod train;
pub mod web;
