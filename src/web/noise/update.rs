use super::own;
use super::state::{Loss, Shown, State};
use super::{bits, curve, take};
use crate::diffusion::forward::closed_form_paper;
use crate::diffusion::{Schedule, objective};
use crate::rng::Rng;
use crate::web::app::{Common, Message};
use crate::web::job::{Job, News, Tensor};
use crate::web::pool::Told;
use crate::web::sheet::Sheet;

/// Seeds that chance brings: short enough to be read aloud.
const CHANCE: u32 = 1_000_000;

/// Takes in what has happened.
pub fn update(state: &mut State, message: &Message, cx: &mut Common) {
    curve::update(state, message, cx);
    bits::update(state, message, cx);
    match message {
        Message::Take { go } => take::take(state, *go, cx),
        Message::Adopted { other_shape, .. } => {
            (state.shown, state.loss) = (Some(Shown::blank(cx.shape)), None);
            if *other_shape {
                state.x_0 = cx.samples.x_0(0, cx.shape);
            }
        }
        Message::Changed("t") => renew_x_t(state, cx),
        Message::NewNoise(chance) => {
            match chance {
                Ok(drawn) => cx.settings.noise = u64::from(drawn % CHANCE),
                Err(why) => {
                    return cx.fail(&format!("the browser gives no random numbers ({why}), so the noise stays"));
                }
            }
            renew_noise(state, cx);
            cx.changed();
        }
        Message::TimeTile(tile) => {
            let last = cx.limits().timesteps;
            cx.settings.t = ((tile * last + (cx.tiles - 1) / 2) / (cx.tiles - 1)).min(last);
            renew_x_t(state, cx);
            cx.changed();
        }
        Message::Narrow(_) => renew_film(state, cx),
        Message::Changed("noise-seed") => renew_noise(state, cx),
        Message::Copied(_) => cx.status.text += own::left_out(&state.own, cx),
        Message::Told(Told::Opened(_) | Told::CameBack { .. }) => ask(state, cx),
        Message::Told(Told::News(ticket, News::Predicted { milliseconds }, tensors)) => {
            // What was asked last is still to come; until then an answer that is a moment late is nearer than none.
            let late = state.asked != Some(*ticket);
            if !(late && cx.settings.t == 0) {
                show_prediction(state, late, tensors.clone(), cx);
            }
            cx.raise(Message::PredictionTook(*milliseconds));
        }
        Message::Told(Told::News(ticket, News::Failed { message }, _)) if state.asked == Some(*ticket) => {
            state.asked = None;
            cx.fail(message);
        }
        _ => {}
    }
    if own::update(&mut state.own, &mut state.problem, message, cx) {
        renew_picture(state, cx);
        renew_noise(state, cx);
    }
}

/// Takes the chosen sample for x_0, or the visitor's own picture.
fn renew_picture(state: &mut State, cx: &Common) {
    let Some(shown) = &mut state.shown else { return };
    state.x_0 = own::x_0(&state.own, cx);
    shown.x_0 = Sheet::of(&state.x_0, cx.shape, 1);
}

/// Draws ε from its seed, and everything that depends on it.
fn renew_noise(state: &mut State, cx: &mut Common) {
    let Some(shown) = &mut state.shown else { return };
    state.epsilon = Rng::new(cx.settings.noise).normals(cx.shape.len());
    shown.epsilon = Sheet::of_noise(&state.epsilon, cx.shape);
    renew_film(state, cx);
    curve::renew(state, cx);
    bits::renew(state, cx);
    renew_x_t(state, cx);
}

/// Draws x_t at as many times as the screen is wide enough for.
fn renew_film(state: &mut State, cx: &Common) {
    let (Some(shown), Some(model)) = (&mut state.shown, &cx.model) else { return };
    let (last, count) = (model.schedule.timesteps(), cx.tiles);
    let tile = |i: usize| x_at(&state.x_0, &state.epsilon, &model.schedule, (i * last + (count - 1) / 2) / (count - 1));
    let tiles: Vec<f32> = (0..count).flat_map(tile).collect();
    shown.film = Sheet::of(&tiles, cx.shape.with_n(count), count);
}

/// x_t for the paper's t: √ᾱ_t·x_0 + √(1 − ᾱ_t)·ε.
fn x_at(x_0: &[f32], epsilon: &[f32], schedule: &Schedule, t: usize) -> Vec<f32> {
    let (signal, sigma) = closed_form_paper(schedule, t);
    let (signal, sigma) = (signal as f32, sigma as f32);
    x_0.iter().zip(epsilon).map(|(&x, &e)| signal * x + sigma * e).collect()
}

/// x_t and its numbers; asks for ε̂.
fn renew_x_t(state: &mut State, cx: &mut Common) {
    let (Some(shown), Some(model)) = (&mut state.shown, &cx.model) else { return };
    let t = cx.settings.t;
    shown.weights = closed_form_paper(&model.schedule, t);
    state.x_t = x_at(&state.x_0, &state.epsilon, &model.schedule, t);
    shown.x_t = Sheet::of(&state.x_t, cx.shape, 1);
    let (signal, sigma) = shown.weights;
    shown.weighted = [(&state.x_0, signal), (&state.epsilon, sigma)].map(|(values, weight)| {
        let weighted: Vec<f32> = values.iter().map(|value| value * weight as f32).collect();
        Sheet::of(&weighted, cx.shape, 1)
    });
    ask(state, cx);
}

/// Asks for ε̂ at the present t, if there is anybody to ask.
fn ask(state: &mut State, cx: &mut Common) {
    let Some(shown) = &mut state.shown else { return };
    state.asked.take().into_iter().for_each(|ticket| cx.pool.end(ticket));
    state.predicted = None;
    let Some(timestep) = cx.settings.t.checked_sub(1) else {
        // x_0 is x_0: no noise to find, and no timestep to ask at.
        shown.epsilon_hat = Sheet::blank(cx.shape);
        shown.x_0_hat = shown.x_0.clone();
        state.loss = Some(Loss::None);
        return;
    };
    if cx.pool.opened() {
        let x = Tensor::new("x", cx.shape, state.x_t.clone());
        state.asked = Some(cx.pool.begin(Job::Predict { timestep }, vec![x]));
    }
}

/// Shows ε̂ and x̂_0, and the loss if they answer the last question.
fn show_prediction(state: &mut State, late: bool, mut tensors: Vec<Tensor>, cx: &Common) {
    let [epsilon, x_0] = ["epsilon", "x0"].map(|name| Tensor::take(&mut tensors, name, cx.shape.len()));
    let (Some(epsilon), Some(x_0), Some(shown)) = (epsilon, x_0, &mut state.shown) else { return };
    shown.epsilon_hat = Sheet::of_noise(&epsilon, cx.shape);
    shown.x_0_hat = Sheet::of(&x_0, cx.shape, 1);
    if !late {
        state.loss = Some(Loss::Of(objective::simple_loss(&state.epsilon, &epsilon)));
        state.predicted = Some([epsilon, x_0]);
    }
}
