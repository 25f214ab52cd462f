//! How long a run takes, and about how long it will: without the time for which it was paused.

/// The clock of a run, in milliseconds. What is handed in as `now` runs on whatever the run does.
#[derive(Clone, Debug)]
pub struct Clock {
    began: f64,
    /// Pauses that are over.
    paused: f64,
    /// When the one that is not over began.
    since: Option<f64>,
    /// What it showed after the first step, which is slower than those that follow: programs are made in it.
    first: Option<f64>,
}

impl Clock {
    /// A run begins.
    pub fn start(now: f64) -> Self {
        Self { began: now, paused: 0.0, since: None, first: None }
    }

    /// It is paused; twice is once.
    pub fn pause(&mut self, now: f64) {
        self.since.get_or_insert(now);
    }

    /// It goes on.
    pub fn go_on(&mut self, now: f64) {
        self.paused += self.since.take().map_or(0.0, |since| now - since);
    }

    /// What it shows.
    pub fn elapsed(&self, now: f64) -> f64 {
        self.since.unwrap_or(now) - self.began - self.paused
    }

    /// A step is done.
    pub fn step(&mut self, now: f64) {
        let elapsed = self.elapsed(now);
        self.first.get_or_insert(elapsed);
    }

    /// What `steps` steps need after so many; `None` before the second, when nothing can be known.
    pub fn left(&self, step: usize, steps: usize, now: f64) -> Option<f64> {
        let spent = self.elapsed(now) - self.first?;
        (step > 1).then(|| spent / (step - 1) as f64 * steps.saturating_sub(step) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::Clock;

    #[test]
    fn the_first_step_and_pauses_say_nothing_of_the_time_left() {
        let mut clock = Clock::start(100.0);
        assert_eq!(clock.left(0, 5, 150.0), None);
        clock.step(1100.0);
        assert_eq!(clock.left(1, 5, 1100.0), None);
        clock.step(1120.0);
        assert_eq!(clock.left(2, 5, 1120.0), Some(60.0), "20 ms for each of three");
        clock.pause(1125.0);
        clock.pause(1300.0);
        assert_eq!(clock.elapsed(2000.0), 1025.0);
        clock.go_on(9125.0);
        clock.go_on(9130.0);
        clock.step(9140.0);
        assert_eq!((clock.elapsed(9140.0), clock.left(3, 5, 9140.0)), (1040.0, Some(40.0)));
        assert_eq!(clock.left(5, 5, 9140.0), Some(0.0));
    }
}
