//! Noisette: denoising diffusion, from the equations to the GPU, in one crate.
//!
//! A [`Checkpoint`] is a model: diffusers' folder, read and written. An [`Engine`] computes: a GPU or the CPU. A [`Session`]
//! is a model on an engine, and makes pictures:
//!
//! ```
//! use noisette::checkpoint::read_dir;
//! use noisette::engine::Choice;
//! use noisette::playground::{Noise, Settings};
//! use noisette::{Engine, Session};
//!
//! let model = read_dir(folder)?;
//! let sampler = model.scheduler.suggested.over(model.scheduler.sampler(8));
//! let engine = Engine::open(Choice::Auto).await?;
//! let mut session = Session::new(engine, model)?;
//!
//! let settings = Settings { classes: vec![Some(3), Some(7)], guidance: 1.0, sampler };
//! session.start(&settings, Noise::Seed(1))?;
//! while let Some(frame) = session.step().await? {
//!     println!("step {} of {}, at timestep {}", frame.step, frame.steps, frame.timestep);
//! }
//! ```
//!
//! Calls that wait for a GPU are async and need no runtime: `pollster::block_on` will do. [`Dataset`], [`Recipe`] and
//! [`Trainer`] train a model, [`Schedule`] and [`diffusion`] are the mathematics, [`Graph`] is what engines compute. The
//! programs in `examples/` show each of them.
//!
//! # Features
//!
//! All are on by default. Without any the library predicts and samples on the CPU, natively and on wasm32.
//!
//! | feature | what |
//! |---|---|
//! | `gpu` | the GPU engine: WebGPU in a browser; Vulkan, Metal or DirectX 12 natively |
//! | `train` | [`train`], [`data`] and [`evaluate`] |
//! | `cli` | the program `noisette` |
//! | `web` | the program `page`, which runs in a browser |
//!
//! On wasm32 the target feature `simd128` is needed: `-C target-feature=+simd128`.
//!
//! # Layers
//!
//! Reading order, from the bottom up; a layer never imports a higher one (`tests/layers.rs` checks it):
//!
//! | layer | modules | what |
//! |---|---|---|
//! | 0 | [`tensor`], [`rng`], [`diffusion`] | shapes, seeded noise, the mathematics of Ho et al. 2020 |
//! | 1 | [`graph`] | a computation as plain data, and its gradient as a longer graph |
//! | 2 | `ops` | one operation a file: meaning, shape, gradient, GPU dispatch |
//! | 3 | [`model`], [`engine`], [`checkpoint`], [`data`] | the UNet, the two engines, diffusers folders, data sets |
//! | 4 | [`train`], [`playground`], [`evaluate`], `selftest` | the trainer, a sampling session, how good a model is, the check of a machine |
//! | 5 | `cli` (native), `web` (wasm) | the command line, the page |
//!
//! Modules without a link are for the programs and the tests, and may change at any time.

pub mod checkpoint;
#[cfg(all(feature = "cli", not(target_arch = "wasm32")))]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "train")]
pub mod data;
pub mod diffusion;
pub mod engine;
#[cfg(feature = "train")]
pub mod evaluate;
pub mod graph;
pub mod model;
#[doc(hidden)]
pub mod ops;
pub mod playground;
pub mod rng;
#[cfg(feature = "train")]
#[doc(hidden)]
pub mod selftest;
pub mod tensor;
#[cfg(feature = "train")]
pub mod train;
#[cfg(feature = "web")]
#[doc(hidden)]
pub mod web;

pub use checkpoint::Checkpoint;
#[cfg(feature = "train")]
pub use data::Dataset;
pub use diffusion::{Schedule, Walk};
pub use engine::{Engine, Weights};
pub use graph::Graph;
pub use playground::Session;
#[cfg(feature = "train")]
pub use train::{Recipe, Trainer};
