//! Links to pictures: the one that is copied, and the one that was followed.

use super::state::{Run, State};
use super::update::{begin, stop};
use crate::web::app::{Common, Effect, Message};
use crate::web::link;

/// The part from `#` on of the link that shows what is shown: of a run what it was made with, whatever the controls say by now, and
/// that it be run; the rest as it is now.
pub fn of_shown(state: &State, cx: &Common) -> String {
    let now = &cx.settings;
    let Some(run) = &state.run else { return link::write(now) };
    let mut made = run.made.clone();
    if run.request.from.is_some() {
        made.engine = now.engine;
        // One that begins with the visitor's own picture is in no link.
        return if made.picture.is_some() { link::write_take(&made) } else { link::write(now) };
    }
    (made.room, made.picture, made.t, made.noise, made.engine) = (now.room, now.picture, now.t, now.noise, now.engine);
    (made.draw, made.invert) = (now.draw.clone(), now.invert);
    link::write_run(&made)
}

/// Copies it; the page is at this address.
pub fn copy(state: &State, address: &str, cx: &mut Common) {
    cx.want(Effect::Copy(format!("{address}{}", of_shown(state, cx))));
}

/// What a link that was copied, or only stands in the address bar, does not hold.
pub fn copied(state: &State, copied: bool, cx: &mut Common) {
    let own = |run: &Run| run.request.from.is_some_and(|from| from.picture.is_none());
    let held = match (copied, state.changes.is_some()) {
        (true, _) if state.run.as_ref().is_some_and(own) => " The run from your own picture is not in it.",
        (true, true) => " It holds the settings of the pictures shown, not those set since.",
        (false, true) => " It holds the settings as they are now, not those of the pictures shown.",
        _ if !cx.invalid.is_empty() => " What is marked red is not in it.",
        _ => "",
    };
    cx.status.text += held;
}

/// Follows a link: the run that it asks for takes the place of one in progress.
pub fn follow(state: &mut State, hash: &str, cx: &mut Common) {
    if link::room_alone(hash).is_some() {
        return;
    }
    if link::runs(hash) {
        stop(state, cx);
    }
    // A later link that asks for none takes back what an earlier one asked for.
    state.wanted = link::runs(hash).then(|| hash.to_owned());
}

/// Begins the run that a link asks for, once its model is there: the link's own, and no other. What is wrong with it has been said.
pub fn run(state: &mut State, cx: &mut Common) {
    let Some(hash) = state.wanted.take_if(|_| cx.model.is_some() && cx.can_generate()) else { return };
    let (mut settings, problems) = link::parse(&hash);
    let other = hash.contains("model=") && settings.model != cx.settings.model;
    if problems.is_empty() && !other && settings.fit(cx.limits()).is_empty() {
        if link::takes(&hash) {
            return cx.raise(Message::Take { go: false });
        }
        begin(state, None, cx);
    }
}
