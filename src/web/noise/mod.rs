//! Section 1: x_0 + ε = x_t, computed within the page; ε̂ and x̂_0 follow from a worker.

pub mod bits;
pub mod chain;
pub mod curve;
pub mod hand;
pub mod lens;
#[cfg(target_arch = "wasm32")]
mod measures;
pub mod own;
#[cfg(target_arch = "wasm32")]
mod own_view;
#[cfg(target_arch = "wasm32")]
mod panels;
pub mod play;
pub mod plot;
mod process;
pub mod schedule;
mod state;
mod take;
mod update;
#[cfg(target_arch = "wasm32")]
pub mod view;

pub use state::{Loss, State};
pub use update::update;
