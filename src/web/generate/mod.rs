//! Section 2: a run, its pictures as they form, and its film.

mod clock;
pub mod facts;
mod film;
mod from_here;
mod link;
mod numbers;
mod pace;
mod save;
mod state;
mod update;
#[cfg(target_arch = "wasm32")]
pub mod view;

pub use state::{Film, Line, State};
pub use update::update;
