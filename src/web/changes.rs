//! In which settings two runs differ, in words.

use super::protocol::Request;
use crate::diffusion::SamplerKind;
use crate::diffusion::walk::Rule;

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

/// Every setting in words: those of two runs differ in the words if they differ in the setting. One that there is no word for is
/// none to a run: there is nothing to guide towards without a class.
fn words(of: &Request, class_name: &impl Fn(usize) -> String) -> [String; 8] {
    let count = of.classes.len();
    let sampler = SamplerKind::from_name(&of.sampler).map(|kind| Rule::of(kind).title);
    [
        classes(of, class_name),
        sampler.unwrap_or_default().to_owned(),
        format!("{} step{}", of.steps, if of.steps == 1 { "" } else { "s" }),
        format!("{} spacing as {}", of.spacing, if of.convention == "paper" { "the paper" } else { &of.convention }),
        if of.classes.iter().any(Option::is_some) { format!("guidance {}", of.guidance) } else { String::new() },
        format!("η = {}", of.eta),
        format!("seed {}", of.seed),
        format!("{count} picture{}", if count == 1 { "" } else { "s" }),
    ]
}

/// The classes asked for.
fn classes(of: &Request, class_name: &impl Fn(usize) -> String) -> String {
    let first = of.classes.first().copied().flatten();
    match first {
        None => "no class".to_owned(),
        Some(class) if of.classes.iter().all(|other| *other == first) => format!("class {}", class_name(class)),
        Some(_) => "each class in turn".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Request {
        let text = |text: &str| text.to_owned();
        Request {
            classes: (0..10).map(Some).collect(),
            guidance: 1.5,
            sampler: text("ddim"),
            steps: 15,
            spacing: text("leading"),
            convention: text("diffusers"),
            eta: 0.0,
            seed: 6,
        }
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let made = run();
        let name = |class: usize| ["T-shirt", "Trouser", "Pullover"][class].to_owned();
        assert_eq!(changes(&made, &made, name), None);
        let differ = |now: Request| changes(&made, &now, name).expect("a difference");
        for (now, expected) in [
            (Request { guidance: 3.0, ..run() }, ["guidance 1.5", "guidance 3"]),
            (Request { seed: 7, steps: 1, ..run() }, ["15 steps, seed 6", "1 step, seed 7"]),
            (Request { sampler: "dpmsolver++".to_owned(), ..run() }, ["DDIM", "DPM-Solver++"]),
            (Request { eta: 0.5, ..run() }, ["η = 0", "η = 0.5"]),
            // Whatever the slider says, a run without a class is not guided.
            (
                Request { classes: vec![None; 10], guidance: 1.0, ..run() },
                ["each class in turn, guidance 1.5", "no class"],
            ),
            (Request { classes: vec![Some(2); 10], ..run() }, ["each class in turn", "class Pullover"]),
            (Request { classes: (0..3).map(Some).collect(), ..run() }, ["10 pictures", "3 pictures"]),
            (
                Request { spacing: "trailing".to_owned(), convention: "paper".to_owned(), ..run() },
                ["leading spacing as diffusers", "trailing spacing as the paper"],
            ),
        ] {
            assert_eq!(differ(now), expected.map(str::to_owned));
        }
    }
}
