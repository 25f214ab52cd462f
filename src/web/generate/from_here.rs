//! A run that begins with the x_t of Noise, and not with noise alone: one picture, with the controls' sampler, steps, class,
//! guidance and η, the steps spread evenly from t to 0. The fast student has no part in it: it knows its own timesteps only.

use super::state::State;
use super::update::launch;
use crate::diffusion::walk::Rule;
use crate::diffusion::{Convention, SamplerConfig, Spacing};
use crate::playground;
use crate::web::app::Common;
use crate::web::changes::{Noised, Request};
use crate::web::plural;
use crate::web::settings::{Class, Settings};

/// What the controls ask for, if they are asked to begin at the paper's t with this.
pub fn request(cx: &Common, t: usize, from: Noised) -> Option<Request> {
    let (model, how) = (cx.model.as_ref()?, &cx.settings.sampling);
    let eta = if Rule::of(how.sampler).allows.eta { how.eta } else { 0.0 };
    let sampler = SamplerConfig {
        from: Some(t),
        spacing: Spacing::Trailing,
        convention: Convention::Paper,
        ..playground::sampler_config(&model.scheduler, how.sampler, how.steps.min(t), eta)
    };
    let class = class(cx);
    let guidance = if class.is_some() { how.guidance } else { 1.0 };
    let settings = playground::Settings { classes: vec![class], guidance, sampler };
    Some(Request { settings, seed: cx.settings.seed, fast: false, from: Some(from) })
}

/// The class of the one picture: the one that is chosen, else none where the model allows that.
fn class(cx: &Common) -> Option<usize> {
    match cx.settings.class {
        Class::One(class) => Some(class),
        Class::None => None,
        Class::Each => (!cx.limits().none).then_some(0),
    }
}

/// Begins with this x.
pub fn take(state: &mut State, x: &[f32], t: usize, of: Noised, cx: &mut Common) {
    let Some(request) = request(cx, t, of).filter(|_| cx.can_generate()) else { return };
    let playground::Settings { classes, sampler, .. } = &request.settings;
    let class = classes.first().copied().flatten();
    let called = match class {
        Some(class) if cx.settings.class == Class::Each => {
            format!("as {}, since this model needs a class", cx.class_name(class))
        }
        Some(class) => format!("as {}", cx.class_name(class)),
        None => "without a class".to_owned(),
    };
    let (steps, title) = (plural(sampler.steps, "step"), Rule::of(sampler.kind).title);
    let student = match (&cx.model, cx.wanted_student()) {
        (Some(model), Some(_)) => {
            format!(" {} itself does it: its student knows no such beginning.", model.entry.title)
        }
        _ => String::new(),
    };
    cx.say(format!("Taking the noise away from x_t at t = {t} in {steps} with {title}, {called}.{student}"));
    // What makes the same again: so it stands in its link and its file.
    let made = Settings {
        picture: of.picture,
        t,
        noise: of.noise,
        class: class.map_or(Class::None, Class::One),
        count: 1,
        sampling: crate::web::settings::Sampling {
            steps: sampler.steps,
            spacing: sampler.spacing,
            convention: sampler.convention,
            ..cx.settings.sampling
        },
        ..cx.settings.clone()
    };
    launch(state, request, made, x.to_vec(), true, None, cx);
    let asked = class.map_or("without a class".to_owned(), |class| format!("asked for {}", cx.class_name(class)));
    state.caption = Some(format!("From x_t at t = {t} of Noise, {asked}."));
}
