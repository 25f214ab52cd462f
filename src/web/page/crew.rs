//! The workers behind the page: one that leads, answers the slider and opens the engine of the visitor's choice, and on the CPU
//! one more per core, with which it shares out the images of a run. They share no memory, so that any host will do.

use super::dom;
use super::link::{Link, News};
use crate::web::protocol::{Command, Request};
use crate::web::shares::{Shares, Whole, split};
use crate::web::wire;
use js_sys::Uint8Array;
use std::rc::Rc;

/// More workers than this would cost more memory than they save time.
const MOST_WORKERS: f64 = 8.0;

/// A worker, and how far it has come.
struct Member {
    link: Link,
    /// It listens.
    ready: bool,
    /// It has an engine and the model.
    opened: bool,
}

/// All workers; the first one leads. One that has failed leaves its place empty.
#[derive(Default)]
pub struct Crew {
    members: Vec<Option<Member>>,
    /// Number of the run as the workers know it: another one each time a run is begun or goes on, so that late news of the
    /// time before are known for what they are.
    ticket: u32,
    run: Option<Shared>,
}

/// The run that the workers share.
struct Shared {
    /// Its number for the page.
    id: u32,
    /// Which member computes which share.
    of: Vec<usize>,
    shares: Shares,
}

/// Workers that this machine has use for.
pub fn wanted() -> usize {
    dom::window().navigator().hardware_concurrency().clamp(1.0, MOST_WORKERS) as usize
}

impl Crew {
    /// Adds a worker, whose news go to `receive` with its number.
    ///
    /// # Errors
    /// One sentence, where the browser refuses.
    pub fn hire(&mut self, receive: impl Fn(usize, News) + 'static) -> Result<(), String> {
        let number = self.members.len();
        let link = Link::start(Rc::new(move |news| receive(number, news)))?;
        self.members.push(Some(Member { link, ready: false, opened: false }));
        Ok(())
    }

    fn member(&mut self, number: usize) -> Option<&mut Member> {
        self.members.get_mut(number).and_then(Option::as_mut)
    }

    /// A worker listens.
    pub fn is_ready(&mut self, number: usize) {
        self.member(number).into_iter().for_each(|member| member.ready = true);
    }

    /// A worker has opened its engine.
    pub fn has_opened(&mut self, number: usize) {
        self.member(number).into_iter().for_each(|member| member.opened = true);
    }

    /// Whether the leader listens.
    pub fn listens(&self) -> bool {
        self.members.first().is_some_and(|leader| leader.as_ref().is_some_and(|leader| leader.ready))
    }

    /// Workers with an engine.
    pub fn opened(&self) -> usize {
        self.members.iter().flatten().filter(|member| member.opened).count()
    }

    /// Dismisses a worker that is of no more use; true if it had a share in a run.
    pub fn dismiss(&mut self, number: usize) -> bool {
        if let Some(place) = self.members.get_mut(number)
            && let Some(gone) = place.take()
        {
            // Its message may be the one that is being handled: let that end first.
            wasm_bindgen_futures::spawn_local(async move { drop(gone) });
        }
        self.run.as_ref().is_some_and(|run| run.of.contains(&number))
    }

    /// Sends a command to one worker, if it is there and listens.
    pub fn send(&self, number: usize, command: &Command, bytes: Option<Uint8Array>) {
        if let Some(Some(member)) = self.members.get(number)
            && member.ready
        {
            member.link.send(command, bytes);
        }
    }

    /// Begins a run with all workers that have an engine, after so many steps, whose state is x.
    pub fn begin(&mut self, id: u32, request: &Request, after: usize, x: Option<&[f32]>) {
        self.end();
        self.ticket += 1;
        let count = request.classes.len();
        let opened = |number: &usize| self.members[*number].as_ref().is_some_and(|member| member.opened);
        let of: Vec<usize> = (0..self.members.len()).filter(opened).collect();
        let ranges = split(count, of.len());
        for (&number, images) in of.iter().zip(&ranges) {
            let len = x.map_or(0, |x| x.len() / count.max(1));
            let share = x.map(|x| wire::bytes_of(&x[images.start * len..images.end * len]));
            let (request, images) = (request.clone(), images.clone());
            self.send(number, &Command::Generate { run: self.ticket, request, after, images }, share);
        }
        self.run = Some(Shared { id, of, shares: Shares::new(&ranges, after) });
    }

    /// Ends the run wherever it is.
    pub fn end(&mut self) {
        if let Some(run) = self.run.take() {
            run.of.iter().for_each(|&number| self.send(number, &Command::Stop, None));
        }
    }

    /// The run that this is news of, and the sender's share in it.
    fn share(&mut self, number: usize, ticket: u32) -> Option<(u32, usize, &mut Shares)> {
        let run = self.run.as_mut().filter(|_| ticket == self.ticket)?;
        let share = run.of.iter().position(|&of| of == number)?;
        Some((run.id, share, &mut run.shares))
    }

    /// Some images are computed: the run, its step, images done in it, of how many.
    pub fn part(&mut self, number: usize, ticket: u32, step: usize, done: usize) -> Option<(u32, usize, usize, usize)> {
        let (id, share, shares) = self.share(number, ticket)?;
        let (step, done, of) = shares.part(share, step, done);
        Some((id, step, done, of))
    }

    /// A worker's step is there: the run and its whole step, once all have sent theirs.
    pub fn frame(
        &mut self,
        number: usize,
        ticket: u32,
        (step, timestep, milliseconds): (usize, usize, f64),
        x: Vec<f32>,
    ) -> Option<(u32, Whole)> {
        let (id, share, shares) = self.share(number, ticket)?;
        Some((id, shares.frame(share, step, timestep, milliseconds, x)?))
    }

    /// A worker is done: the run, once all are.
    pub fn finish(&mut self, number: usize, ticket: u32) -> Option<u32> {
        let (id, share, shares) = self.share(number, ticket)?;
        shares.finish(share).then_some(id)
    }
}
