//! The bar on top: the model, the engine, and what happens when either is not to be had.

mod state;
mod student;
mod update;
#[cfg(target_arch = "wasm32")]
pub mod view;

pub use state::{Badge, Download, Missing, State, Student};
pub use update::update;
