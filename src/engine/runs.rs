//! Running a program several times in a row without waiting in between, on either engine.

use super::{EngineError, Inner, Program, gpu};
use crate::graph::Id;

/// Values of runs that were started: there already on the CPU, perhaps still to come on a GPU.
pub struct Started(Values);

enum Values {
    Here(Vec<Vec<Vec<f32>>>),
    InFlight(gpu::Kept),
}

/// How far ahead of its results a program is best driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ahead {
    /// Runs to start at a time.
    pub runs: usize,
    /// Such portions that may be started before the first is finished.
    pub portions: usize,
}

impl Program {
    /// Runs the program once for each of `runs`, which holds the values of `leaves` for that run, and keeps the values
    /// called `keep` as they are after each. A GPU has not finished when this returns; [`Program::finish`] waits for it.
    ///
    /// # Errors
    /// A name that the program does not have, values that do not fill a leaf, a failing engine.
    pub fn start(&mut self, leaves: &[&str], runs: &[Vec<&[f32]>], keep: &[&str]) -> Result<Started, EngineError> {
        let mut ids: Vec<Id> = Vec::with_capacity(leaves.len());
        for (i, name) in leaves.iter().enumerate() {
            let (id, expected) = self.leaf(name)?;
            if let Some(found) = runs.iter().map(|values| values[i].len()).find(|&found| found != expected) {
                return Err(EngineError::WrongLength { name: (*name).to_owned(), expected, found });
            }
            ids.push(id);
        }
        let kept = keep.iter().map(|name| self.value(name)).collect::<Result<Vec<_>, _>>()?;
        Ok(Started(match &mut self.inner {
            Inner::Cpu(program) => {
                let mut results = Vec::with_capacity(runs.len());
                for values in runs {
                    ids.iter().zip(values).for_each(|(&id, values)| program.write(id, values));
                    program.run();
                    results.push(kept.iter().map(|&id| program.read(id)).collect());
                }
                Values::Here(results)
            }
            Inner::Gpu(program) => Values::InFlight(program.start(&ids, runs, &kept)?),
        }))
    }

    /// The values kept, for each run and each name.
    ///
    /// # Errors
    /// A failing engine.
    pub async fn finish(&mut self, started: Started) -> Result<Vec<Vec<Vec<f32>>>, EngineError> {
        match (started.0, &mut self.inner) {
            (Values::Here(values), _) => Ok(values),
            (Values::InFlight(kept), Inner::Gpu(program)) => Ok(program.finish(kept).await?),
            (Values::InFlight(_), Inner::Cpu(_)) => Ok(Vec::new()),
        }
    }

    /// How far ahead to drive it: as far as a GPU's speed is known by now; the CPU engine has finished what it has started.
    pub fn ahead(&self) -> Ahead {
        let (runs, portions) = match &self.inner {
            Inner::Cpu(_) => (1, 1),
            Inner::Gpu(program) => program.ahead(),
        };
        Ahead { runs, portions }
    }
}
