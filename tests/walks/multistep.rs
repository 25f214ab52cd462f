//! Solvers that remember: iPNDM and DPM-Solver++ against their recursions and each other.

use super::gaussian::{Data, close, exact_schedules, gains, read, schedules};
use noisette::diffusion::walk::{DDIM, DPM_SOLVER, IPNDM, Inputs, Rule, SLOTS};
use noisette::diffusion::{Convention, Prediction, SamplerConfig, Schedule, Spacing, Walk};

fn config(steps: usize, spacing: Spacing) -> SamplerConfig {
    SamplerConfig { steps, spacing, clip: None, convention: Convention::Paper, ..SamplerConfig::default() }
}

fn end_of_one(schedule: &Schedule, walk: &Walk, data: Data) -> f64 {
    gains(walk, &data.network(schedule, Prediction::Epsilon))[1]
}

#[test]
fn ten_steps_have_the_published_numbers() {
    let [linear, _] = exact_schedules();
    let data = Data { mu: 0.0, s: 0.6 };
    let find = |rule: &Rule| end_of_one(&linear, &rule.walk(&linear, &config(10, Spacing::Leading)).unwrap(), data);
    close(find(&DDIM), 0.466418123, 5.1e-10, "DDIM");
    close(find(&IPNDM), 0.601052776, 5.1e-10, "iPNDM");
}

/// The share of the deviation that is left of noised data, in few steps.
#[test]
fn few_steps_keep_the_published_share() {
    let [_, cosine] = exact_schedules();
    let rows = [
        (0.5, 4, 0.3, [0.750, 0.804, 0.949]),
        (0.5, 4, 0.6, [0.867, 0.941, 0.977]),
        (0.5, 4, 1.5, [0.956, 0.991, 0.987]),
        (1.0, 4, 0.6, [0.693, 0.742, 0.951]),
        (1.0, 10, 0.6, [0.867, 0.967, 0.997]),
    ];
    for (strength, steps, s, shares) in rows {
        let data = Data { mu: 0.0, s };
        for (rule, share) in [&DDIM, &DPM_SOLVER, &IPNDM].into_iter().zip(shares) {
            let walk = rule.edit(&cosine, &config(steps, Spacing::Leading), strength).unwrap();
            let found = end_of_one(&cosine, &walk, data) * data.d(walk.level).sqrt() / s;
            close(found, share, 5.1e-4, &format!("{} in {steps} from {strength}, s = {s}", rule.title));
        }
    }
}

/// Adams–Bashforth written down once more, on x/√ᾱ over σ = √((1 − ᾱ)/ᾱ), with whatever the network says.
#[test]
fn ipndm_follows_its_recursion() {
    for schedule in &schedules() {
        for &prediction in Prediction::ALL {
            for &spacing in Spacing::ALL {
                for (steps, clip) in [(1, None), (2, None), (3, None), (4, None), (9, None), (40, None), (9, Some(0.8))]
                {
                    let config = SamplerConfig { prediction, clip, ..config(steps, spacing) };
                    let walk = IPNDM.walk(schedule, &config).unwrap();
                    follow(schedule, &config, &walk);
                }
            }
        }
    }
}

fn follow(schedule: &Schedule, config: &SamplerConfig, walk: &Walk) {
    let (mut x, mut slots, mut scaled, mut epsilons) = (0.7, [0.3; SLOTS], f64::NAN, Vec::new());
    for (i, step) in walk.moves.iter().enumerate() {
        let a = schedule.alpha_bar(step.timestep);
        if i == 0 {
            scaled = x / a.sqrt();
        }
        // Bounded, and not linear.
        let output = (3.0 * x + 0.1 * i as f64).sin();
        let (x_0, epsilon) = read(config.prediction, a, scaled * a.sqrt(), output);
        let epsilon = match config.clip {
            Some(clip) => (scaled * a.sqrt() - a.sqrt() * x_0.clamp(-clip, clip)) / (1.0 - a).sqrt(),
            None => epsilon,
        };
        epsilons.push(epsilon);
        let last = |back: usize| epsilons[epsilons.len() - 1 - back];
        let mixed = match i {
            0 => last(0),
            1 => (3.0 * last(0) - last(1)) / 2.0,
            2 => (23.0 * last(0) - 16.0 * last(1) + 5.0 * last(2)) / 12.0,
            _ => (55.0 * last(0) - 59.0 * last(1) + 37.0 * last(2) - 9.0 * last(3)) / 24.0,
        };
        let sigma = |level: f64| ((1.0 - level) / level).sqrt();
        let b = walk.moves.get(i + 1).map_or(1.0, |next| schedule.alpha_bar(next.timestep));
        scaled += (sigma(b) - sigma(a)) * mixed;
        let mut out = [0.0];
        let inputs = Inputs { x: &[x], output: &[output], noise: &[], known: &[], mask: &[] };
        step.apply(inputs, &mut slots, &mut out);
        x = out[0];
        // σ reaches 2e4 at the cosine's end, and what is lost there is 1e-16 of it.
        close(x, scaled * b.sqrt(), 1e-9, &format!("move {i} of {config:?}"));
        scaled = x / b.sqrt();
    }
}

/// The order of a solver: how fast its error falls, from the middle on, where no step is large.
#[test]
fn more_steps_help_by_the_order() {
    let [_, schedule] = schedules();
    let data = Data { mu: 0.0, s: 0.6 };
    let error = |rule: &Rule, steps| {
        let walk = rule.edit(&schedule, &config(steps, Spacing::Trailing), 0.5).unwrap();
        (end_of_one(&schedule, &walk, data) - data.s / data.d(walk.level).sqrt()).abs()
    };
    // Over three halvings of the step; an error may pass through 0 on the way.
    for (rule, factor) in [(&DDIM, 6.0), (&DPM_SOLVER, 25.0), (&IPNDM, 15.0)] {
        let [few, many] = [5, 40].map(|steps| error(rule, steps));
        assert!(few > factor * many, "{}: {few} {many}", rule.title);
    }
    assert!(error(&IPNDM, 10) < 0.2 * error(&DDIM, 10));
}
