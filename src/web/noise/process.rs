//! The forward process: from x_0 and a seed to x_t, by the schedule and the road that are chosen, and t moving by itself.

use super::chain::Chain;
use super::play::Play;
use super::plot::Histogram;
use super::schedule::{Plan, Road, nearest};
use super::state::State;
use super::update::ask;
use super::{bits, curve};
use crate::diffusion::Schedule;
use crate::diffusion::forward::closed_form_paper;
use crate::rng::Rng;
use crate::web::app::{Common, Effect, Message};
use crate::web::sheet::Sheet;

/// Numbers that the chain draws before it lets the browser draw: some milliseconds.
const NUMBERS: usize = 400_000;

/// Makes the schedule that is chosen. One that cannot be for a model's T is the model's own.
pub(super) fn renew_schedule(state: &mut State, cx: &mut Common) {
    let Some(own) = cx.model.as_ref().map(|model| &model.schedule) else { return };
    state.schedule = Some(match cx.settings.forward.schedule(own) {
        Ok(schedule) => schedule,
        Err(error) => {
            let own = own.clone();
            cx.settings.forward.plan = Plan::Own;
            cx.fail(&error.to_string());
            own
        }
    });
}

/// Moves a handle of the curve.
pub(super) fn draw(state: &mut State, handle: usize, hundredths: usize, cx: &mut Common) {
    let forward = &cx.settings.forward;
    let hand = forward.hand.moved(handle, hundredths);
    if hand != forward.hand {
        let before = cx.settings.clone();
        cx.settings.forward.hand = hand;
        renew_schedule(state, cx);
        renew_noise(state, cx);
        cx.changed_by("hand", before, false);
    }
}

/// Draws ε from its seed, and everything that depends on it.
pub(super) fn renew_noise(state: &mut State, cx: &mut Common) {
    let (Some(shown), Some(schedule)) = (&mut state.shown, &state.schedule) else { return };
    let (seed, len) = (cx.settings.noise, cx.shape.len());
    state.at_once = Rng::new(seed).normals(len);
    state.chain = match cx.settings.forward.road {
        Road::Once => None,
        Road::Steps => Some(match state.chain.take().filter(|chain| chain.is_of(seed, len, schedule)) {
            Some(chain) => chain,
            None => Chain::new(seed, len, schedule),
        }),
    };
    shown.roads = None;
    (state.waiting, state.film_waits) = (true, true);
    curve::renew(state, cx);
    bits::renew(state, cx);
    go_on(state, cx);
}

/// x_t and its numbers; asks for ε̂.
pub(super) fn renew_x_t(state: &mut State, cx: &mut Common) {
    let (Some(shown), Some(schedule), Some(model)) = (&mut state.shown, &state.schedule, &cx.model) else { return };
    let t = cx.settings.t.min(schedule.timesteps());
    let epsilon = match &state.chain {
        None => Some(state.at_once.clone()),
        Some(chain) => chain.epsilon(t),
    };
    state.timestep = t.checked_sub(1).map(|timestep| nearest(&model.schedule, schedule.alpha_bar(timestep)));
    state.waiting = epsilon.is_none();
    let Some(epsilon) = epsilon else {
        if state.x_t.len() != state.x_0.len() {
            // Of another model's size. There is no noise yet.
            state.x_t.clone_from(&state.x_0);
            state.epsilon = vec![0.0; state.x_0.len()];
        }
        return ask(state, cx);
    };
    shown.weights = closed_form_paper(schedule, t);
    state.x_t = x_at(&state.x_0, &epsilon, shown.weights);
    shown.x_t = Sheet::of(&state.x_t, cx.shape, 1);
    let (signal, sigma) = shown.weights;
    shown.weighted = [(&state.x_0, signal), (&epsilon, sigma)].map(|(values, weight)| {
        let weighted: Vec<f32> = values.iter().map(|value| value * weight as f32).collect();
        Sheet::of(&weighted, cx.shape, 1)
    });
    shown.epsilon = Sheet::of_noise(&epsilon, cx.shape);
    shown.histogram = Histogram::of(&state.x_t);
    shown.roads = (state.chain.is_some() && t > 0).then(|| {
        let once = x_at(&state.x_0, &state.at_once, shown.weights);
        [&state.x_t, &once].map(|x_t| Histogram::of(&standard(x_t, &state.x_0, shown.weights)))
    });
    state.epsilon = epsilon;
    ask(state, cx);
}

/// The noise in x_t, in units of its standard deviation.
fn standard(x_t: &[f32], x_0: &[f32], (signal, sigma): (f64, f64)) -> Vec<f32> {
    let (signal, scale) = (signal as f32, (1.0 / sigma) as f32);
    x_t.iter().zip(x_0).map(|(&x, &x_0)| (x - signal * x_0) * scale).collect()
}

/// √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε.
fn x_at(x_0: &[f32], epsilon: &[f32], (signal, sigma): (f64, f64)) -> Vec<f32> {
    let (signal, sigma) = (signal as f32, sigma as f32);
    x_0.iter().zip(epsilon).map(|(&x, &e)| signal * x + sigma * e).collect()
}

/// The chain goes on, and what has waited for it is shown.
fn go_on(state: &mut State, cx: &mut Common) {
    let Some(last) = state.schedule.as_ref().map(Schedule::timesteps) else { return };
    if let Some(chain) = &mut state.chain {
        chain.walk(NUMBERS);
        if chain.t() < last {
            want_frame(state, cx);
        }
    }
    if state.film_waits && state.chain.as_ref().is_none_or(|chain| chain.t() == last) {
        renew_film(state, cx);
    }
    if state.waiting {
        renew_x_t(state, cx);
    }
}

/// x_t at times from 0 to T, as many as the screen is wide enough for.
pub(super) fn renew_film(state: &mut State, cx: &Common) {
    let (Some(shown), Some(schedule)) = (&mut state.shown, &state.schedule) else { return };
    let (last, count) = (schedule.timesteps(), cx.tiles);
    let tile = |i: usize| {
        let t = (i * last + (count - 1) / 2) / (count - 1);
        let of_chain = state.chain.as_ref().and_then(|chain| chain.epsilon(t));
        x_at(&state.x_0, of_chain.as_ref().unwrap_or(&state.at_once), closed_form_paper(schedule, t))
    };
    let tiles: Vec<f32> = (0..count).flat_map(tile).collect();
    shown.film = Sheet::of(&tiles, cx.shape.with_n(count), count);
    state.film_waits = false;
}

/// Starts the movement of t, or stops it.
pub(super) fn play(state: &mut State, calm: bool, cx: &mut Common) {
    let Some(last) = state.schedule.as_ref().map(Schedule::timesteps) else { return };
    state.playing = match state.playing {
        Some(_) => None,
        None => Some(Play::begin(cx.settings.t, last, cx.now, calm)),
    };
    move_t(state, cx);
}

/// Before the browser draws, t moves on and the chain does.
pub(super) fn frame(state: &mut State, cx: &mut Common) {
    state.frame_wanted = false;
    move_t(state, cx);
    if state.waiting || state.film_waits {
        go_on(state, cx);
    }
}

fn move_t(state: &mut State, cx: &mut Common) {
    let (Some(play), Some(schedule)) = (state.playing, &state.schedule) else { return };
    let last = schedule.timesteps();
    let t = play.at(cx.now, last);
    if t != cx.settings.t {
        cx.settings.t = t;
        cx.raise(Message::Changed("t"));
        cx.changed();
    }
    if t == last {
        state.playing = None;
    } else {
        want_frame(state, cx);
    }
}

/// Has the browser say when it draws, once.
fn want_frame(state: &mut State, cx: &mut Common) {
    if !std::mem::replace(&mut state.frame_wanted, true) {
        cx.want(Effect::Frame);
    }
}
