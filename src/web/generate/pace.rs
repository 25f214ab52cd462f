//! A run's pace: paused, step by step, and how long it will take.

use super::film;
use super::state::{Run, State};
use crate::web::app::Common;
use crate::web::{milliseconds, time_left};

/// Pauses the run, or lets a paused one go on, and shows its newest step again.
pub fn pause(state: &mut State, cx: &mut Common) {
    let Some(run) = state.run.as_mut() else { return };
    let Some(ticket) = run.ticket else { return };
    run.paused = !run.paused;
    if run.paused {
        cx.pool.pause(ticket);
        run.clock.pause(cx.now);
        cx.say(where_it_waits(run));
    } else {
        cx.pool.go_on(ticket);
        run.clock.go_on(cx.now);
        cx.say(format!("Going on after step {} of {}.", run.step, run.steps()));
        film::to_newest(state);
    }
    state.now = pace(state, cx);
}

/// One step of a paused run. Without a run it begins one, which waits after its first step; one that goes on waits after the step
/// that it is at. So whoever presses it sees one step more, and the run waits.
pub fn step(state: &mut State, chance: &Result<u32, String>, cx: &mut Common) {
    let Some((run, ticket)) = state.run.as_mut().and_then(|run| run.ticket.map(|ticket| (run, ticket))) else {
        return super::update::generate(state, chance, Some(1), cx);
    };
    run.paused = true;
    run.clock.go_on(cx.now);
    cx.pool.step(ticket);
    film::to_newest(state);
}

/// Where a paused run waits, in words.
pub fn where_it_waits(run: &Run) -> String {
    match run.step {
        0 => "Paused before the first step.".to_owned(),
        step => format!("Paused after step {step} of {}.", run.steps()),
    }
}

/// Where a run is and how fast it goes, in words.
pub fn pace(state: &State, cx: &Common) -> String {
    let Some(run) = state.run.as_ref().filter(|run| run.step > 0) else { return String::new() };
    let (step, steps) = (run.step, run.steps());
    let left = match run.clock.left(step, steps, cx.now) {
        _ if run.paused => " · paused".to_owned(),
        Some(ms) => format!(" · {}", time_left(ms)),
        None => String::new(),
    };
    format!("step {step} of {steps} · {} ms a step{left}", milliseconds(run.computed / step as f64))
}
