//! The engine's side of "Check this machine": the ops against their references, then ε of one image and of sixteen, then a
//! training step of sixteen.

use crate::engine::{Engine, Kind};
use crate::model::config::UnetConfig;
use crate::selftest::{Benchmark, Work, check_ops, least_step};
use crate::web::job::CheckNews;
use wasm_bindgen::{JsCast, JsValue};

/// Images at once, of the predictions that are timed; ascending.
const BATCHES: [usize; 2] = [1, 16];
/// Images of the training step that is timed.
const STEP: usize = 16;
/// Milliseconds for the repetitions of one of them.
const BUDGET: f64 = 3000.0;
/// What would take longer than this is left out.
const PATIENCE: f64 = 60_000.0;
/// A training step that needs more bytes for the parameters alone is left out: its activations come on top, and a tab has 4 GB
/// at most.
const MEMORY: f64 = 500e6;

/// Checks an engine and tells how it goes; `now` is a clock in milliseconds.
///
/// # Errors
/// One sentence, where the engine does not open, or fails.
pub async fn check(
    engine: Kind,
    config: Option<&str>,
    tell: impl Fn(CheckNews),
    now: impl Fn() -> f64,
) -> Result<(), String> {
    let config = match config {
        Some(text) => UnetConfig::from_json(text.as_bytes()).map_err(|error| error.to_string())?,
        None => UnetConfig::ddpm_cifar10(),
    };
    let begins = |what: &str| tell(CheckNews::Begins { what: what.to_owned() });
    begins("opening the engine");
    let engine = Engine::open(engine.into()).await.map_err(|error| error.to_string())?;
    let about = engine.describe();
    tell(CheckNews::Opened { adapter: about.adapter, software: about.software });
    begins("comparing every kernel with its reference");
    let begin = now();
    let ops = check_ops(&engine).await.map_err(|error| error.to_string())?;
    tell(CheckNews::Ops { ops, milliseconds: now() - begin });
    begins("computing what ε should be");
    let benchmark = Benchmark::new(config.clone(), Work::Predict);
    let mut per_image = 0.0;
    for batch in BATCHES {
        let estimate = per_image * batch as f64;
        if estimate > PATIENCE {
            tell(CheckNews::Skipped { work: Work::Predict, batch, estimate, least_bytes: None });
            continue;
        }
        begins(&format!("timing ε of {batch} image{}", if batch == 1 { "" } else { "s" }));
        let timing = benchmark.time(&engine, batch, BUDGET, &now).await.map_err(|error| error.to_string())?;
        per_image = timing.ms / batch as f64;
        tell(CheckNews::Timed(timing));
    }
    // Its memory is for the step.
    drop(benchmark);
    let (estimate, bytes) = least_step(&config, STEP, per_image);
    if estimate > PATIENCE || bytes > MEMORY {
        tell(CheckNews::Skipped { work: Work::Train, batch: STEP, estimate, least_bytes: Some(bytes) });
    } else {
        begins("computing what a training step should come to");
        let benchmark = Benchmark::new(config, Work::Train);
        begins(&format!("timing a training step of {STEP} images"));
        let timing = benchmark.time(&engine, STEP, BUDGET, &now).await.map_err(|error| error.to_string())?;
        tell(CheckNews::Timed(timing));
    }
    tell(CheckNews::Memory(memory()));
    Ok(())
}

/// Bytes of this program's memory.
fn memory() -> f64 {
    let buffer = js_sys::Reflect::get(&wasm_bindgen::memory(), &JsValue::from("buffer"));
    buffer
        .ok()
        .and_then(|buffer| buffer.dyn_into::<js_sys::ArrayBuffer>().ok())
        .map_or(0.0, |b| f64::from(b.byte_length()))
}
