//! What a run is sampled with: what the command line says, else what the model suggests, else its scheduler's own.

use super::{Args, Clip, Start, VarianceName};
use crate::checkpoint::Checkpoint;
use crate::cli::{Failure, counted};
use crate::diffusion::walk::Rule;
use crate::diffusion::{Convention, SamplerConfig, SamplerKind, Schedule, Variance};
use crate::playground::{Settings, sampler_config};

/// Steps of the samplers that need not visit every timestep.
const FEW_STEPS: usize = 50;
/// ᾱ from which on x is a picture with hardly any noise.
const PICTURE: f64 = 0.9;

/// The settings of a run. What the model suggests goes with the sampler that it suggests, and with no other.
pub fn settings(args: &Args, checkpoint: &Checkpoint, start: &Start) -> Result<Settings, Failure> {
    let scheduler = &checkpoint.scheduler;
    let preferred = scheduler.suggested.sampler.unwrap_or(scheduler.kind);
    let kind = args.sampler.unwrap_or(preferred);
    let suggested = if kind == preferred { scheduler.suggested.clone() } else { Default::default() };
    let all = scheduler.num_train_timesteps;
    let usual = if kind == SamplerKind::Ddpm { all } else { FEW_STEPS.min(all) };
    let steps = args.steps.or(start.steps).or(suggested.steps).unwrap_or(usual);
    let allows = Rule::of(kind).allows;
    if args.eta.is_some_and(|eta| eta != 0.0) && !allows.eta {
        return Err(format!("--eta belongs to --sampler ddim, and this is {}", kind.name()).into());
    }
    if args.variance.is_some() && !allows.variance {
        return Err(format!("--variance belongs to --sampler ddpm, and this is {}", kind.name()).into());
    }
    let is_guidable = checkpoint.config.null_class.is_some();
    let distilled = scheduler.suggested.is_distilled();
    if args.guidance.is_some_and(|guidance| guidance != 1.0) && !is_guidable && !distilled {
        let text = "the model has no null class (_null_class in config.json), which guidance needs";
        return Err(format!("--guidance must be 1: {text}").into());
    }
    let eta = args.eta.or(suggested.eta.filter(|_| allows.eta)).unwrap_or(0.0);
    let guidance = args.guidance.or(suggested.guidance_to_sample().filter(|_| is_guidable)).unwrap_or(1.0);
    let defaults = sampler_config(scheduler, kind, steps, eta);
    let sampler = SamplerConfig {
        spacing: args.spacing.or(suggested.spacing).unwrap_or(defaults.spacing),
        convention: args.convention.or(suggested.convention).unwrap_or(Convention::Diffusers),
        clip: match args.clip {
            Some(Clip::On) => Some(scheduler.clip_sample_range),
            Some(Clip::Off) => None,
            None => defaults.clip,
        },
        variance: match args.variance {
            Some(VarianceName::Small) => Variance::FixedSmall,
            Some(VarianceName::Large) => Variance::FixedLarge,
            None => defaults.variance,
        },
        ..defaults
    };
    scheduler.suggested.check(&scheduler.schedule()?, &sampler, guidance)?;
    // What a distilled model was guided by is in its weights.
    let guidance = if distilled { 1.0 } else { guidance };
    Ok(Settings { classes: start.classes.clone(), guidance, sampler })
}

/// The settings in one line, such as "DPM-Solver++, 4 steps, trailing as paper, guidance 1.3".
pub fn describe(settings: &Settings, is_guidable: bool) -> String {
    let SamplerConfig { kind, steps, spacing, convention, eta, clip, variance, .. } = &settings.sampler;
    let rule = Rule::of(*kind);
    let steps = counted(*steps, "step");
    let mut line = format!("{}, {steps}, {} as {}", rule.title, spacing.name(), convention.name());
    if rule.allows.eta && *eta != 0.0 {
        line += &format!(", eta {eta}");
    }
    if rule.allows.variance {
        line += if *variance == Variance::FixedSmall { ", small variance" } else { ", large variance" };
    }
    if let Some(clip) = clip {
        line += &format!(", x_0 clipped to {clip}");
    }
    if is_guidable && has_classes(settings) {
        line += &format!(", guidance {}", settings.guidance);
    }
    line
}

/// What a person may not expect of these settings, a sentence each.
pub fn remarks(args: &Args, settings: &Settings, schedule: &Schedule) -> Result<Vec<String>, Failure> {
    let mut remarks = Vec::new();
    if let Some(guidance) = args.guidance.filter(|&guidance| guidance != 1.0 && !has_classes(settings)) {
        remarks.push(format!("--guidance {guidance} has no effect: no image has a class"));
    }
    let sampler = &settings.sampler;
    let list = Rule::of(sampler.kind).timesteps(schedule.timesteps(), sampler)?;
    if let [t] = list[..]
        && t + 1 < schedule.timesteps()
        && schedule.alpha_bar(t) > PICTURE
    {
        remarks.push(format!(
            "warning: the network is asked at timestep {t} only, where it takes what it sees for a picture, so that noise stays \
             noise: give more --steps, or --spacing trailing"
        ));
    }
    Ok(remarks)
}

fn has_classes(settings: &Settings) -> bool {
    settings.classes.iter().any(Option::is_some)
}
