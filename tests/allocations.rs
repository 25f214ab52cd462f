//! A compiled program allocates nothing while it runs: not for a prediction, not for a step of training.
#![cfg(not(target_arch = "wasm32"))]

use noisette::engine::cpu::Program;
use noisette::graph::Graph;
use noisette::model::config::UnetConfig;
use noisette::model::init::initialise;
use noisette::model::step::{Objective, prediction};
use noisette::rng::Rng;
use noisette::tensor::Shape;
use noisette::train::optimizer::training_step;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// The system's allocator, counting.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of each of several runs, once the threads have the scratch memory they need.
fn allocations(graph: &Graph) -> Vec<usize> {
    let mut program = Program::compile(graph).expect("there is memory");
    for (spec, values) in graph.parameters().iter().zip(initialise(graph, 0)) {
        program.write(spec.id, &values);
    }
    let input = graph.nodes().iter().find_map(|node| node.leaf_name()).expect("a graph has leaves").to_owned();
    let input = graph.leaf(&input).expect("it is there");
    let values = Rng::new(1).normals(graph.shape(input).len());
    // Which thread computes what is chance: many runs until each has had its share of everything.
    for _ in 0..30 {
        program.run();
    }
    let count = |_| {
        let before = ALLOCATIONS.load(SeqCst);
        program.write(input, &values);
        program.run();
        ALLOCATIONS.load(SeqCst) - before
    };
    (0..10).map(count).collect()
}

#[test]
fn replayed_programs_allocate_nothing() {
    let before = ALLOCATIONS.load(SeqCst);
    drop(std::hint::black_box(vec![0u8; 100]));
    assert!(ALLOCATIONS.load(SeqCst) > before, "allocations are counted");

    let config = UnetConfig::digits();
    let predictions = [1, 9].map(|n| prediction(&config, Shape::new(n, 12, 12, 1)));
    let training = training_step(&config, Shape::new(4, 12, 12, 1), Objective::default());
    for graph in predictions.iter().chain([&training]) {
        let runs = allocations(graph);
        // A program is handed to the thread pool in a queue that grows by a block once in 63 runs.
        let (most, all) = (runs.iter().max().expect("runs"), runs.iter().sum::<usize>());
        assert!(*most <= 1 && all <= 1, "allocations of each run: {runs:?}");
    }
}
