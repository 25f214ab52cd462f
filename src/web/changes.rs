//! In which settings two runs differ, in words.

use crate::diffusion::Convention;
use crate::diffusion::walk::Rule;
use crate::playground::Settings;
use crate::web::plural;

/// What a run is asked to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// What, and how.
    pub settings: Settings,
    /// From which noise.
    pub seed: u64,
    /// By the model's fast student, which has the guidance in its weights.
    pub fast: bool,
    /// What it begins with, if that is not noise alone.
    pub from: Option<Noised>,
}

/// A picture and its noise, which make x_t.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noised {
    /// A sample, or the visitor's own picture.
    pub picture: Option<usize>,
    /// Seed of ε.
    pub noise: u64,
}

/// The settings in which a run differs from what is now asked for, as lists of words: the run's, and those of now. `None` if both
/// make the same pictures.
pub fn changes(made: &Request, now: &Request, class_name: impl Fn(usize) -> String) -> Option<[String; 2]> {
    let pairs: Vec<[String; 2]> =
        words(made, &class_name).into_iter().zip(words(now, &class_name)).map(<[String; 2]>::from).collect();
    let differing = |side: usize| {
        let words = pairs.iter().filter(|[a, b]| a != b).map(|pair| pair[side].as_str());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    };
    (made != now).then(|| [differing(0), differing(1)])
}

/// What a run is made with, as a list of words.
pub fn in_words(of: &Request, class_name: impl Fn(usize) -> String) -> String {
    let words = words(of, &class_name).into_iter().filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(", ")
}

/// Every setting in words: those of two runs differ in the words if they differ in the setting. One that there is no word for is
/// none to a run: there is nothing to guide towards without a class.
fn words(of: &Request, class_name: &impl Fn(usize) -> String) -> [String; 10] {
    let Settings { classes, guidance, sampler } = &of.settings;
    let count = classes.len();
    let convention = match sampler.convention {
        Convention::Paper => "the paper",
        Convention::Diffusers => "diffusers",
    };
    let from = sampler.from.zip(of.from).map(|(t, Noised { picture, noise })| {
        let picture = picture.map_or("your own picture".to_owned(), |picture| format!("picture {picture}"));
        format!("from x_t at t = {t} of {picture} and noise {noise}")
    });
    [
        from.unwrap_or_default(),
        asked_for(classes, class_name),
        Rule::of(sampler.kind).title.to_owned(),
        plural(sampler.steps, "step"),
        format!("{} spacing as {convention}", sampler.spacing.name()),
        if classes.iter().any(Option::is_some) { format!("guidance {guidance}") } else { String::new() },
        format!("η = {}", sampler.eta),
        format!("seed {}", of.seed),
        plural(count, "picture"),
        if of.fast { "the fast student" } else { "the teacher" }.to_owned(),
    ]
}

/// The classes asked for.
fn asked_for(classes: &[Option<usize>], class_name: &impl Fn(usize) -> String) -> String {
    match classes.first().copied().flatten() {
        None => "no class".to_owned(),
        Some(class) if classes.iter().all(|other| *other == Some(class)) => format!("class {}", class_name(class)),
        Some(_) => "each class in turn".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{SamplerConfig, SamplerKind, Spacing};

    /// A run of ten classes, changed.
    fn run(change: impl Fn(&mut Request)) -> Request {
        let sampler = SamplerConfig { kind: SamplerKind::Ddim, steps: 15, ..SamplerConfig::default() };
        let settings = Settings { classes: (0..10).map(Some).collect(), guidance: 1.5, sampler };
        let mut run = Request { settings, seed: 6, fast: false, from: None };
        change(&mut run);
        run
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let made = run(|_| {});
        let name = |class: usize| ["T-shirt", "Trouser", "Pullover"][class].to_owned();
        assert_eq!(changes(&made, &made, name), None);
        let differ = |change: &dyn Fn(&mut Request), expected: [&str; 2]| {
            let found = changes(&made, &run(change), name).expect("a difference");
            assert_eq!(found, expected.map(str::to_owned));
        };
        differ(&|now| now.settings.guidance = 3.0, ["guidance 1.5", "guidance 3"]);
        differ(&|now| (now.seed, now.settings.sampler.steps) = (7, 1), ["15 steps, seed 6", "1 step, seed 7"]);
        differ(&|now| now.settings.sampler.kind = SamplerKind::DpmSolverPp2M, ["DDIM", "DPM-Solver++"]);
        differ(&|now| now.settings.sampler.eta = 0.5, ["η = 0", "η = 0.5"]);
        // Whatever the slider says, a run without a class is not guided.
        let none = |now: &mut Request| (now.settings.classes, now.settings.guidance) = (vec![None; 10], 1.0);
        differ(&none, ["each class in turn, guidance 1.5", "no class"]);
        differ(&|now| now.fast = true, ["the teacher", "the fast student"]);
        differ(&|now| now.settings.classes = vec![Some(2); 10], ["each class in turn", "class Pullover"]);
        differ(&|now| now.settings.classes.truncate(3), ["10 pictures", "3 pictures"]);
        let taken = |now: &mut Request| {
            (now.from, now.settings.sampler.from) = (Some(Noised { picture: Some(3), noise: 1 }), Some(400));
        };
        differ(&taken, ["", "from x_t at t = 400 of picture 3 and noise 1"]);
        let paper = |now: &mut Request| {
            (now.settings.sampler.spacing, now.settings.sampler.convention) = (Spacing::Trailing, Convention::Paper);
        };
        differ(&paper, ["leading spacing as diffusers", "trailing spacing as the paper"]);
    }
}
