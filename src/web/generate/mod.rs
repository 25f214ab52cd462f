//! Section 2: a run, its pictures as they form, and its film when it is over.

mod state;
mod update;
#[cfg(target_arch = "wasm32")]
pub mod view;

pub use state::{Line, State};
pub use update::update;
