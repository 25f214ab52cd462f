//! A run's film: it begins with the noise, grows with every step, and can be looked at while the run goes on and when it is over.
//! A step that is looked at stays until somebody comes back to the newest one.

use super::state::{Film, Recorded, Run, State};
use crate::web::app::Common;

/// Begins the film of a run that begins.
pub fn begin(state: &mut State, cx: &Common) {
    let Some(run) = &state.run else { return };
    let classes = run.request.settings.classes.iter().enumerate();
    let name = |(i, class): (usize, &Option<usize>)| {
        let name = class.map_or(String::new(), |class| format!(": {}", cx.class_name(class)));
        format!("picture {}{name}", i + 1)
    };
    let (images, end) = (classes.map(name).collect(), run.moments());
    // Who looks into one of the pictures goes on looking into it.
    let of = state.film.as_ref().map_or(0, |film| film.of).min(run.count().saturating_sub(1));
    let tiles = run.tiles(of, cx.shape, end, cx.tiles);
    state.film = Some(Film { images, of, tiles, at: 0, last: 0, end, caption: String::new() });
    scrub(state, 0);
}

/// Takes in what the run has recorded since. Who looks at an earlier step goes on looking at it.
pub fn grow(state: &mut State, cx: &Common) {
    let (Some(film), Some(run)) = (&mut state.film, &state.run) else { return };
    let follows = film.at == film.last;
    let last = run.record.len() - 1;
    if last > film.last {
        (film.last, film.tiles) = (last, run.tiles(film.of, cx.shape, film.end, cx.tiles));
    }
    if follows {
        scrub(state, last);
    }
}

/// Ends the film with its run: it ends where the run has, and there is none of a run that came nowhere.
pub fn close(state: &mut State, cx: &Common) {
    grow(state, cx);
    let (Some(film), Some(run)) = (&mut state.film, &state.run) else { return };
    if film.last == 0 {
        return state.film = None;
    }
    let at = film.at;
    (film.end, film.tiles) = (film.last, run.tiles(film.of, cx.shape, film.last, cx.tiles));
    scrub(state, at);
}

/// Shows the newest step again, and those that follow.
pub fn to_newest(state: &mut State) {
    scrub(state, usize::MAX);
}

/// Shows the run as it was at a moment of its film.
pub fn scrub(state: &mut State, at: usize) {
    let (Some(film), Some(run)) = (&mut state.film, &state.run) else { return };
    film.at = at.min(film.last);
    let Recorded { step, timestep, pixels, .. } = shown(run, Some(film));
    state.grid = Some(pixels.clone());
    film.caption = match timestep {
        None => match run.request.settings.sampler.from {
            None => "the noise at the start".to_owned(),
            Some(t) => format!("x_t at t = {t}"),
        },
        Some(timestep) => format!("step {step} of {} · timestep {timestep}", run.steps()),
    };
}

/// What is shown of a run: without a film its noise.
pub fn shown<'a>(run: &'a Run, film: Option<&Film>) -> &'a Recorded {
    let (at, last) = film.map_or((0, 0), |film| (film.at, film.last));
    // Not every step of a long run is recorded; the newest one is there all the same.
    let newest = run.newest.as_ref().filter(|_| at == last && run.active());
    newest.unwrap_or(&run.record[at])
}

/// Shows the film of another of its images.
pub fn of(state: &mut State, of: usize, cx: &Common) {
    if let Some(film) = &mut state.film {
        film.of = of.min(film.images.len().saturating_sub(1));
        redraw(state, cx);
    }
}

/// Draws the film anew, with as many tiles as there is room for.
pub fn redraw(state: &mut State, cx: &Common) {
    if let (Some(film), Some(run)) = (&mut state.film, &state.run) {
        film.tiles = run.tiles(film.of, cx.shape, film.end, cx.tiles);
    }
}
