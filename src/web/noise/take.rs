//! From here on the noise is taken away: the run that begins with x_t is Generate's.

use super::State;
use super::schedule::Road;
use crate::web::app::{Common, Effect, Message};
use crate::web::changes::Noised;

/// Hands x_t over, as it is at the slider, if a run can begin.
pub fn take(state: &State, go: bool, cx: &mut Common) {
    if !cx.can_generate() {
        return;
    }
    if let Some(&(id, _)) = cx.invalid.first() {
        cx.want(Effect::Focus(id));
        return cx.name_invalid();
    }
    let Some(timestep) = state.timestep else {
        return cx.say("At t = 0 there is no noise to take away: move t first.");
    };
    // The network's own t, which is the slider's where the schedule is the network's. Of another one, or of a chain, no link holds it.
    let (t, forward) = (timestep + 1, &cx.settings.forward);
    let plain = forward.as_trained() && forward.road == Road::Once;
    let of = Noised { picture: cx.settings.picture.filter(|_| plain), noise: cx.settings.noise };
    cx.raise(Message::TakeFrom { x: state.x_t.clone(), t, of });
    if go {
        cx.want(Effect::GoTo("generate"));
    }
}
