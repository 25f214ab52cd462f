//! What is to be known of the model at hand, and of its fast student: a word and a sentence each.

use crate::diffusion::walk::Rule;
use crate::web::app::Common;
use crate::web::model::Model;
use crate::web::plural;

/// The facts; none before the model is known.
pub fn facts(cx: &Common) -> Vec<(&'static str, String)> {
    let Some(model) = &cx.model else { return Vec::new() };
    let [_, height, width, channels] = model.shape().0;
    let of = if channels == 3 { "in colour" } else { "grey" };
    let classes = match model.config.classes() {
        0 => "no classes".to_owned(),
        1 => "one class".to_owned(),
        n => format!("{n} classes"),
    };
    let none = if cx.limits().none { "with a class or without" } else { "with a class only" };
    let mut facts = vec![
        ("Pictures", format!("{height}×{width}, {of}; {classes}, {none}")),
        ("Trained with", model.scheduler.describe()),
        ("Suggests", suggests(model)),
    ];
    if let Some(student) = &cx.student {
        facts.push((
            "Fast student",
            format!("{}; it was made for {} steps and nothing else", suggests(student), student.valid_steps()),
        ));
    }
    facts
}

/// How its folder suggests to sample it.
fn suggests(model: &Model) -> String {
    let how = model.sampling();
    format!(
        "{} with {} of {} spacing, guidance {}",
        Rule::of(how.sampler).title,
        plural(how.steps, "step"),
        how.spacing.name(),
        how.guidance
    )
}
