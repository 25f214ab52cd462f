use super::clock::Clock;
use super::numbers::Numbers;
use crate::diffusion::walk::Move;
use crate::tensor::Shape;
use crate::web::changes::Request;
use crate::web::job::Ticket;
use crate::web::settings::Settings;
use crate::web::sheet::{Sheet, pixel_bytes};
use std::rc::Rc;

/// Recorded frames are kept up to about this many bytes; of longer runs only every k-th step.
const FILM_BYTES: usize = 72 << 20;

/// The lines of an algorithm that can be lit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Noise is drawn.
    Start = 0,
    /// The network predicts.
    Predict = 2,
    /// x moves.
    Move = 4,
    /// The picture is there.
    Return = 5,
}

/// What the section shows.
#[derive(Debug, Default)]
pub struct State {
    /// The run in progress, or the last one.
    pub run: Option<Run>,
    /// A link that asks for a run, which begins as soon as it can.
    pub wanted: Option<String>,
    /// The pictures; nothing before a model is known.
    pub grid: Option<Sheet>,
    /// What was asked for, in words.
    pub caption: Option<String>,
    /// The run's film can be looked at.
    pub film: Option<Film>,
    /// 0…1.
    pub progress: f64,
    /// Where the run is, in words.
    pub now: String,
    /// The algorithm, and the line that is lit.
    pub algorithm: Vec<(bool, String)>,
    /// That line.
    pub lit: Option<Line>,
    /// The step shown in numbers, under its lines.
    pub numbers: Numbers,
    /// What of it the fast student was not made for, if that is wanted: then the teacher generates.
    pub not_for: Option<String>,
    /// What the pictures shown, or being made, are made with, and what the controls say, where they differ.
    pub changes: Option<[String; 2]>,
}

/// The film of a run, as far as it has come.
#[derive(Debug)]
pub struct Film {
    /// What its images are called.
    pub images: Vec<String>,
    /// The one that is shown.
    pub of: usize,
    /// It at some moments of 0…`end`, as far as they are there.
    pub tiles: Sheet,
    /// The moment that the grid shows, 0…`last`.
    pub at: usize,
    /// The newest one.
    pub last: usize,
    /// The one that will be the last.
    pub end: usize,
    /// That moment, in words.
    pub caption: String,
}

impl Film {
    /// The tile that is nearest to the moment shown.
    pub fn tile(&self) -> usize {
        (self.at * (self.tiles.columns - 1) + self.end / 2).checked_div(self.end).unwrap_or(0)
    }

    /// The moment that a tile shows.
    pub fn moment(&self, tile: usize) -> usize {
        moment(tile, self.tiles.columns, self.end)
    }
}

/// The moment of 0…`end` that one of so many tiles shows.
fn moment(tile: usize, tiles: usize, end: usize) -> usize {
    let between = tiles.saturating_sub(1).max(1);
    (tile * end + between / 2) / between
}

/// A run, in progress or over.
#[derive(Debug)]
pub struct Run {
    /// Its number, while it is in progress.
    pub ticket: Option<Ticket>,
    /// What was asked for.
    pub request: Request,
    /// What the controls said.
    pub made: Settings,
    /// The moves it makes.
    pub moves: Vec<Move>,
    /// Steps done.
    pub step: usize,
    /// Milliseconds of all steps together.
    pub computed: f64,
    /// The time it takes.
    pub clock: Clock,
    /// It waits after the steps it has, or will after the one it was allowed.
    pub paused: bool,
    /// The pixels of the steps that are kept.
    pub record: Vec<Recorded>,
    /// Those of the newest step.
    pub newest: Option<Recorded>,
}

/// All images after a step.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// Steps done.
    pub step: usize,
    /// The timestep the network was asked at; none for the noise at the start.
    pub timestep: Option<usize>,
    /// As pixels.
    pub pixels: Sheet,
    /// x, and the x̂_0 of the step; of the noise at the start there is none.
    pub x: Rc<[f32]>,
    /// x̂_0.
    pub x_0: Rc<[f32]>,
}

impl Run {
    /// Images.
    pub fn count(&self) -> usize {
        self.request.settings.classes.len()
    }

    /// Steps in all.
    pub fn steps(&self) -> usize {
        self.request.settings.sampler.steps
    }

    /// Whether it is in progress.
    pub fn active(&self) -> bool {
        self.ticket.is_some()
    }

    /// Of how many steps one is kept.
    fn every(&self) -> usize {
        let bytes = self.record.first().map_or(0, |noise| noise.pixels.bytes.len() + 8 * noise.x.len());
        (self.steps() * bytes).div_ceil(FILM_BYTES).max(1)
    }

    /// The number of the last moment that will be kept; that of the noise is 0.
    pub fn moments(&self) -> usize {
        self.steps().div_ceil(self.every())
    }

    /// Takes in a step, and keeps it, if it is one of those that are kept.
    pub fn keep(&mut self, newest: Recorded) {
        let step = newest.step;
        if step.is_multiple_of(self.every()) || step == self.steps() {
            self.record.push(newest.clone());
        }
        self.newest = Some(newest);
    }

    /// Keeps the newest step, too, if it is none of those.
    pub fn keep_newest(&mut self) {
        let last = self.record.last().map_or(0, |last| last.step);
        let newest = self.newest.iter().filter(|newest| newest.step > last).cloned();
        self.record.extend(newest.collect::<Vec<_>>());
    }

    /// The run of one image at moments of 0…`end`, as far as they are there: at all of them, or at `most` that are evenly spread.
    pub fn tiles(&self, of: usize, shape: Shape, end: usize, most: usize) -> Sheet {
        let tiles = most.min(end + 1);
        let image = shape.pixels() * pixel_bytes(shape);
        let tile = |i: usize| {
            let recorded = self.record.get(moment(i, tiles, end))?;
            recorded.pixels.bytes.get(of * image..(of + 1) * image)
        };
        Sheet::new((0..tiles).filter_map(tile).flatten().copied().collect(), shape, tiles)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::SamplerConfig;
    use crate::playground;

    #[test]
    fn of_a_run_that_ends_between_two_kept_steps_the_last_one_is_kept() {
        let sampler = SamplerConfig { steps: 1000, ..SamplerConfig::default() };
        let settings = playground::Settings { classes: vec![None], guidance: 1.0, sampler };
        let pixels = || Sheet::new(vec![0; 90_000], Shape::new(1, 300, 300, 1), 1);
        let recorded = |step| {
            let (x, x_0) = (Rc::from([]), Rc::from([]));
            Recorded { step, timestep: Some(998), pixels: pixels(), x, x_0 }
        };
        let mut run = Run {
            ticket: None,
            request: Request { settings, seed: 1, fast: false, from: None },
            made: Settings::default(),
            moves: Vec::new(),
            step: 0,
            computed: 0.0,
            clock: Clock::start(0.0),
            paused: false,
            record: vec![recorded(0)],
            newest: None,
        };
        assert!(run.every() > 1, "90 MB are not all kept");
        run.keep_newest();
        assert_eq!(run.record.len(), 1);
        run.keep(recorded(1));
        assert_eq!(run.record.len(), 1, "it is none of those");
        run.keep_newest();
        run.keep_newest();
        assert_eq!(run.record.iter().map(|kept| kept.step).collect::<Vec<_>>(), [0, 1]);
    }
}
