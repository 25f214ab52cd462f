use super::process::{self, renew_film, renew_noise, renew_schedule, renew_x_t};
use super::state::{Loss, Shown, State};
use super::{bits, curve, own, take};
use crate::diffusion::{Schedule, objective};
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
        Message::Settled => {
            state.playing = None;
            renew_schedule(state, cx);
        }
        Message::Changed("t") => renew_x_t(state, cx),
        Message::Changed("noise-seed" | "road") => renew_noise(state, cx),
        Message::Changed("schedule" | "timesteps") => {
            renew_schedule(state, cx);
            renew_noise(state, cx);
        }
        Message::Handle(handle, hundredths) => process::draw(state, *handle, *hundredths, cx),
        Message::PlayNoise { calm } => process::play(state, *calm, cx),
        Message::Hold | Message::Control("t" | "timesteps", _) => state.playing = None,
        Message::Frame => process::frame(state, cx),
        Message::NewNoise(chance) => {
            let before = cx.settings.clone();
            match chance {
                Ok(drawn) => cx.settings.noise = u64::from(drawn % CHANCE),
                Err(why) => {
                    return cx.fail(&format!("the browser gives no random numbers ({why}), so the noise stays"));
                }
            }
            renew_noise(state, cx);
            cx.changed_by("noise-seed", before, false);
        }
        Message::TimeTile(tile) => {
            let (last, before) = (state.schedule.as_ref().map_or(1, Schedule::timesteps), cx.settings.clone());
            cx.settings.t = ((tile * last + (cx.tiles - 1) / 2) / (cx.tiles - 1)).min(last);
            state.playing = None;
            renew_x_t(state, cx);
            cx.changed_by("t", before, false);
        }
        Message::Narrow(_) => renew_film(state, cx),
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

/// Asks for ε̂ at the present t, if there is anybody to ask. The network knows no noise but its own: it is asked at the timestep
/// whose ᾱ is nearest.
pub(super) fn ask(state: &mut State, cx: &mut Common) {
    let Some(shown) = &mut state.shown else { return };
    state.asked.take().into_iter().for_each(|ticket| cx.pool.end(ticket));
    state.predicted = None;
    let Some(timestep) = state.timestep else {
        // x_0 is x_0: no noise to find, and no timestep to ask at.
        shown.epsilon_hat = Sheet::blank(cx.shape);
        shown.x_0_hat = shown.x_0.clone();
        state.loss = Some(Loss::None);
        return;
    };
    if cx.pool.opened() && !state.waiting {
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
