//! Running a compiled graph, once or several times in a row, and reading its values.
//!
//! A run is one pass in one submission, or, where that would last too long, a pass in each of several; short runs share a
//! submission. What differs from run to run comes from a ring with a slot for each, copied to the leaves in between, since
//! a write to a queue takes effect before the whole submission.

use super::memory::Download;
use super::program::{Place, Program, Step};
use super::throughput;
use super::{GpuError, memory};
use crate::graph::Id;
use crate::tensor::Shape;

/// Values of several runs, on their way from the GPU.
pub struct Kept {
    download: Option<Download>,
    /// Shape of each value asked for; a dead node has none.
    shapes: Vec<Option<Shape>>,
    runs: usize,
}

/// Runs to make room for where there are so many: as many as there may ever be, once there is more than one.
fn room(runs: usize) -> usize {
    if runs > 1 { runs.max(throughput::MOST_RUNS) } else { runs }
}

/// A copy from a slot of the ring to a leaf.
struct FromRing {
    /// Bytes from the beginning of the slot.
    offset: u64,
    to: Place,
    size: u64,
}

impl Program {
    /// Writes a leaf, NHWC without padding; one that nothing depends on is ignored.
    pub fn write(&mut self, id: Id, values: &[f32]) -> Result<(), GpuError> {
        self.device.check()?;
        self.check_length(id, values)?;
        if let (shape, Some(place)) = &self.values[id.index()] {
            self.device.write(&place.buffer, place.offset, bytemuck::cast_slice(&memory::pad(*shape, values)));
        }
        Ok(())
    }

    fn check_length(&self, id: Id, values: &[f32]) -> Result<(), GpuError> {
        let shape = self.values[id.index()].0;
        if values.len() == shape.len() { Ok(()) } else { Err(GpuError::WrongLength { shape, found: values.len() }) }
    }

    /// Submits all dispatches in order, then the assignments. Returns before the GPU has finished.
    pub fn run(&mut self) -> Result<(), GpuError> {
        self.start(&[], &[Vec::new()], &[]).map(drop)
    }

    /// Runs the program once for each of `runs`, which holds the values of `leaves` for that run, and keeps the values of
    /// `keep` after each. Returns before the GPU has finished.
    pub fn start(&mut self, leaves: &[Id], runs: &[Vec<&[f32]>], keep: &[Id]) -> Result<Kept, GpuError> {
        self.device.check()?;
        let (slot, from_ring) = self.fill_ring(leaves, runs)?;
        let kept: Vec<(u64, Place)> = keep.iter().filter_map(|&id| self.place(id)).collect();
        let kept_bytes: u64 = kept.iter().map(|(size, _)| size).sum();
        let size = kept_bytes as usize * runs.len();
        let download = (size > 0).then(|| self.take_download(size, room(runs.len()) * kept_bytes as usize));

        let sent = throughput::now();
        let most = self.throughput.most_work();
        let mut recording = self.device.encoder();
        let mut waiting = 0.0; // work that is recorded and not submitted
        for run in 0..runs.len() as u64 {
            for copy in &from_ring {
                let Some(ring) = &self.ring else { break };
                let (to, at) = (&copy.to.buffer, copy.to.offset);
                recording.copy_buffer_to_buffer(ring, run * slot + copy.offset, to, at, copy.size);
            }
            let mut from = 0;
            while from < self.steps.len() {
                let (to, work) = throughput::end_of_submission(&self.works, from, waiting, most);
                if to > from {
                    self.pass(&mut recording, &self.steps[from..to]);
                }
                (from, waiting) = (to, work);
                if from < self.steps.len() {
                    self.device.submit(std::mem::replace(&mut recording, self.device.encoder()));
                    waiting = 0.0;
                }
            }
            for copy in &self.copies {
                copy.record(&mut recording);
            }
            let mut at = run * kept_bytes;
            for (size, place) in &kept {
                let Some(download) = &download else { break };
                recording.copy_buffer_to_buffer(&place.buffer, place.offset, download, at, *size);
                at += size;
            }
        }
        let submission = self.device.submit(recording);
        let (throughput, work) = (self.throughput.clone(), self.work() * runs.len() as f64);
        self.device.when_done(move || throughput.learn(work, sent, throughput::now()));
        self.device.check()?;
        let live = |&id: &Id| self.place(id).map(|_| self.values[id.index()].0);
        Ok(Kept {
            download: download.map(|buffer| Download::begin(buffer, size, submission)),
            shapes: keep.iter().map(live).collect(),
            runs: runs.len(),
        })
    }

    /// The values that were kept, for each run and each value asked for: NHWC without padding, nothing for a node that
    /// nothing depends on. Waits until the GPU has come so far.
    pub async fn finish(&mut self, kept: Kept) -> Result<Vec<Vec<Vec<f32>>>, GpuError> {
        let live: Vec<Shape> = kept.shapes.iter().flatten().copied().collect();
        let mut values = Vec::new();
        if let Some(download) = kept.download {
            let (found, buffer) = download.finish(&self.device, &live.repeat(kept.runs)).await?;
            self.downloads.push(buffer);
            values = found;
        }
        self.device.check()?;
        let mut values = values.into_iter();
        let mut value = |shape: &Option<Shape>| shape.and_then(|_| values.next()).unwrap_or_default();
        Ok((0..kept.runs).map(|_| kept.shapes.iter().map(&mut value).collect()).collect())
    }

    /// The value of an output or a leaf, NHWC without padding; nothing for a node that nothing depends on.
    pub async fn read(&mut self, id: Id) -> Result<Vec<f32>, GpuError> {
        let Some((size, place)) = self.place(id) else { return Ok(Vec::new()) };
        let download = self.take_download(size as usize, size as usize);
        let (values, buffer) = Download::of(&self.device, &place, self.values[id.index()].0, download).await?;
        self.downloads.push(buffer);
        Ok(values)
    }

    /// Runs the program with every dispatch in a submission of its own, and calls `after` with the kernel's name when it is
    /// done.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn run_with(&mut self, mut after: impl FnMut(&'static str)) -> Result<(), GpuError> {
        self.device.check()?;
        for step in &self.steps {
            let mut recording = self.device.encoder();
            self.pass(&mut recording, std::slice::from_ref(step));
            self.device.submit(recording);
            self.device.wait()?;
            after(step.name);
        }
        let mut recording = self.device.encoder();
        for copy in &self.copies {
            copy.record(&mut recording);
        }
        self.device.submit(recording);
        self.device.check()
    }

    /// How many runs to start at a time, as far as is known of the GPU's speed, and how many such portions may be under way
    /// before the first is waited for.
    pub fn ahead(&self) -> (usize, usize) {
        let work = self.work();
        (self.throughput.runs_at_once(work), if self.throughput.is_quick(work) { 2 } else { 1 })
    }

    /// The work of one run.
    fn work(&self) -> f64 {
        self.works.iter().sum()
    }

    fn pass(&self, recording: &mut wgpu::CommandEncoder, steps: &[Step]) {
        let mut pass = self.device.pass(recording, steps.len());
        for step in steps {
            pass.set_pipeline(&step.pipeline);
            pass.set_bind_group(0, &step.bind_group, &[]);
            pass.dispatch_workgroups(step.workgroups[0], step.workgroups[1], 1);
        }
    }

    /// Bytes and place of a live value.
    pub(in crate::engine) fn place(&self, id: Id) -> Option<(u64, Place)> {
        let (shape, place) = &self.values[id.index()];
        place.clone().map(|place| (memory::bytes(*shape) as u64, place))
    }

    /// A free buffer to download this many bytes through, or a new one with room for more. While a download is under way it owns the buffer: one that is given
    /// up must not leave it half mapped.
    fn take_download(&mut self, size: usize, room: usize) -> wgpu::Buffer {
        match self.downloads.iter().position(|buffer| buffer.size() >= size as u64) {
            Some(i) => self.downloads.swap_remove(i),
            None => Download::buffer(&self.device, room),
        }
    }

    /// Puts the values of leaves for all runs into the ring; gives the bytes of a slot and where each leaf's begin in it.
    fn fill_ring(&mut self, leaves: &[Id], runs: &[Vec<&[f32]>]) -> Result<(u64, Vec<FromRing>), GpuError> {
        self.slots.clear();
        for values in runs {
            for (&id, values) in leaves.iter().zip(values) {
                self.check_length(id, values)?;
                let (shape, place) = &self.values[id.index()];
                if place.is_some() {
                    self.slots.extend_from_slice(&memory::pad(*shape, values));
                }
            }
        }
        let mut slot = 0;
        let mut from_ring = Vec::new();
        for (size, to) in leaves.iter().filter_map(|&id| self.place(id)) {
            from_ring.push(FromRing { offset: slot, to, size });
            slot += size;
        }
        let bytes: &[u8] = bytemuck::cast_slice(&self.slots);
        if !bytes.is_empty() {
            if self.ring.as_ref().is_none_or(|ring| ring.size() < bytes.len() as u64) {
                let usage = wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
                let size = room(runs.len()) as u64 * slot;
                self.ring = Some(self.device.buffer("ring", size, usage));
            }
            if let Some(ring) = &self.ring {
                self.device.write(ring, 0, bytes);
            }
        }
        Ok((slot, from_ring))
    }
}
