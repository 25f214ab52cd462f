//! The page: one program for the page itself and for its worker, which looks where it is running.
//!
//! | file | what |
//! |---|---|
//! | [`algorithm`] | what a run does, in six lines |
//! | [`changes`] | in what two runs differ, in words |
//! | [`state`] | every control, and the link that holds them |
//! | [`models`] | which models there are |
//! | [`protocol`] | what page and worker say to each other |
//! | [`shares`] | a run shared out among several workers |
//! | `wire` | how a message travels |
//! | `worker` | the engine's side: a queue, a session |
//! | `check` | the engine's side of "Check this machine" |
//! | `page` | the visitor's side: the only place that knows the DOM |
//!
//! The first six know no browser and are tested natively.

pub mod algorithm;
pub mod changes;
pub mod models;
pub mod protocol;
pub mod shares;
pub mod state;

#[cfg(target_arch = "wasm32")]
mod check;
#[cfg(target_arch = "wasm32")]
mod page;
#[cfg(target_arch = "wasm32")]
mod wire;
#[cfg(target_arch = "wasm32")]
mod worker;

/// Starts the page or the worker, whichever this is.
#[cfg(target_arch = "wasm32")]
pub fn main() {
    use wasm_bindgen::JsCast;
    let global = js_sys::global();
    if global.is_instance_of::<web_sys::Window>() {
        page::start();
    } else if let Ok(scope) = global.dyn_into::<web_sys::DedicatedWorkerGlobalScope>() {
        worker::start(scope);
    }
}
