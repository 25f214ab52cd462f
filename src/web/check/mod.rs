//! Section 3: is what this machine computes right, and how fast? One engine after the other.

mod state;
mod update;
#[cfg(target_arch = "wasm32")]
pub mod view;

pub use state::State;
pub use update::update;
