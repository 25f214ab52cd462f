//! The page: one program for the page itself and for its workers, which looks where it is running.
//!
//! | file | what |
//! |---|---|
//! | [`settings`], [`controls`], [`link`] | what can be set; its table; the link that holds it |
//! | [`history`] | which changes Back takes back |
//! | [`models`], [`model`] | which models there are; one of them |
//! | [`app`] | every message, every effect, and the one place that hands messages round |
//! | [`machine`] | the bar on top: the model and the engine |
//! | [`noise`], [`generate`], [`check`] | the sections: `state` is plain data, `update` makes new state of a message, `view` shows it |
//! | [`draw`] | drawing by hand: strokes, what they look like, the pad |
//! | [`changes`], [`sheet`] | in what two runs differ, in words; numbers as pixels |
//! | [`save`] | PNGs and GIFs to keep |
//! | [`job`], [`messages`] | what is asked of a worker; how it travels |
//! | [`measure`] | the questions of a measurement of one picture, and what their answers come to |
//! | [`pool`] | the workers: who computes what, and what happens when one is lost |
//! | `worker` | the engine's side: a queue, a session |
//! | `page` | the browser's side: elements, canvases, files, the address, workers |
//!
//! All but `worker`, `page` and the views know no browser and are tested natively. A message goes one way round: the browser's
//! event, [`app::App::update`], the views, and the effects.

pub mod app;
pub mod changes;
pub mod check;
pub mod controls;
pub mod draw;
pub mod generate;
pub mod history;
pub mod job;
pub mod link;
pub mod machine;
pub mod measure;
pub mod messages;
pub mod model;
pub mod models;
pub mod noise;
pub mod pool;
pub mod save;
pub mod settings;
pub mod sheet;

#[cfg(target_arch = "wasm32")]
mod page;
#[cfg(target_arch = "wasm32")]
mod worker;

/// Starts the page or a worker, whichever this is.
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

/// A time for people: two digits are enough.
fn milliseconds(ms: f64) -> String {
    if ms < 10.0 { format!("{ms:.1}") } else { format!("{ms:.0}") }
}

/// About how long something will take, in words: nobody counts on the last second.
fn time_left(ms: f64) -> String {
    match ms / 1000.0 {
        s if s < 1.0 => "less than 1 s left".to_owned(),
        s if s < 90.0 => format!("about {s:.0} s left"),
        s if s < 5400.0 => format!("about {:.0} min left", s / 60.0),
        s => format!("about {:.0} h left", s / 3600.0),
    }
}

fn plural(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}
