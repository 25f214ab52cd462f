//! Every kernel against its f64 reference, alone and in graphs, on whatever adapter there is.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use noisette::engine::cpu::interpret;
use noisette::engine::gpu::{Gpu, KERNELS};
use noisette::graph::Graph;
use noisette::rng::Rng;
use noisette::tensor::Shape;
use std::collections::{BTreeMap, HashMap};
use support::cases::{self, Case};
use support::{compare, gpu};

#[test]
fn each_kernel_agrees_with_its_reference() {
    let bench = gpu::Bench::open();
    let mut pipelines = HashMap::new();
    let mut runs: BTreeMap<&str, usize> = KERNELS.iter().map(|(name, _)| (*name, 0)).collect();
    let mut failures = Vec::new();
    for instance in cases::all().iter().flat_map(gpu::instances) {
        let kernel = instance.dispatch.shader;
        let compile = || bench.pipeline(gpu::source(kernel)).unwrap_or_else(|error| panic!("{kernel}: {error}"));
        let pipeline = pipelines.entry(kernel).or_insert_with(compile);
        let prepared = bench.prepare(instance);
        if let Err(why) = bench.check(pipeline, &prepared) {
            failures.push(format!("{}: {why}", prepared.instance.name));
        }
        *runs.get_mut(kernel).expect("compiled, so known") += 1;
    }
    assert!(failures.is_empty(), "{} results differ:\n{}", failures.len(), failures.join("\n"));
    let never: Vec<_> = runs.iter().filter(|(_, runs)| **runs < 2).collect();
    assert!(never.is_empty(), "kernels that hardly any case uses: {never:?}");
}

#[test]
fn tiled_kernels_give_the_bits_of_the_plain_ones() {
    let bench = gpu::Bench::open();
    let pipeline = |kernel| bench.pipeline(gpu::source(kernel)).unwrap_or_else(|error| panic!("{kernel}: {error}"));
    for (plain, tiled) in [
        ("conv2d", "conv2d_tiled"),
        ("conv2d_grad_input", "conv2d_grad_input_tiled"),
        ("conv2d_grad_weight", "conv2d_grad_weight_tiled"),
    ] {
        let pipelines = [pipeline(plain), pipeline(tiled)];
        let instances = || cases::all().into_iter().flat_map(|case| gpu::instances(&case));
        let of = |kernel| instances().filter(move |instance| instance.dispatch.shader == kernel);
        let mut count = 0;
        for instances in of(plain).zip(of(tiled)) {
            let [a, b] = <[gpu::Instance; 2]>::from(instances).map(|instance| bench.prepare(instance));
            let bits = [(&pipelines[0], &a), (&pipelines[1], &b)].map(|(pipeline, a)| bench.bits(pipeline, a));
            assert!(bits[0].is_ok(), "{:?}", bits[0]);
            assert_eq!(bits[0], bits[1], "{}", b.instance.name);
            count += 1;
        }
        assert!(count >= 8, "only {count} instances of {tiled}");
    }
}

#[test]
fn parts_of_a_dispatch_give_the_bits_of_the_whole() {
    let bench = gpu::Bench::open();
    let mut pipelines = HashMap::new();
    let mut tried = BTreeMap::new();
    for instance in cases::all().iter().flat_map(gpu::instances) {
        let (kernel, workgroups) = (instance.dispatch.shader, instance.dispatch.workgroups);
        let (count, most) = tried.entry(kernel).or_insert((0, 0));
        *most = workgroups.max(*most);
        if workgroups < 2 || *count == 2 {
            continue;
        }
        *count += 1;
        let compile = || bench.pipeline(gpu::source(kernel)).unwrap_or_else(|error| panic!("{kernel}: {error}"));
        let pipeline = pipelines.entry(kernel).or_insert_with(compile);
        let prepared = bench.prepare(instance);
        let expected = bench.bits(pipeline, &prepared);
        assert!(expected.is_ok(), "{expected:?}");
        for at_once in [1, 2] {
            let found = bench.bits_in_parts(pipeline, &prepared, at_once);
            assert_eq!(found, expected, "{} by {at_once}", prepared.instance.name);
        }
    }
    let whole: Vec<_> = tried.iter().filter(|(_, (_, most))| *most == 1).map(|(kernel, _)| *kernel).collect();
    assert_eq!(whole, ["mae", "mse", "sum_squares"], "kernels that no case does in parts");
}

#[test]
fn a_long_dispatch_is_done_in_parts() {
    let mut g = Graph::new();
    let (shape, weight) = (Shape::new(2, 65, 33, 52), Shape::new(3, 3, 52, 52));
    let (x, w, b) = (g.input("x", shape), g.input("w", weight), g.input("b", Shape::vector(52)));
    let y = g.conv2d(x, w, b, 1, (1, 1));
    g.output("y", y);
    let random = |shape: Shape, i| Rng::stream(11, i).normals(shape.len());
    let leaves = [("x", random(shape, 0)), ("w", random(weight, 1)), ("b", random(Shape::vector(52), 2))];
    let leaves: HashMap<String, Vec<f32>> = leaves.map(|(name, values)| (name.to_owned(), values)).into();
    let wide = |values: &Vec<f32>| values.iter().map(|&x| f64::from(x)).collect();
    let expected = interpret::<f64>(&g, &leaves.iter().map(|(name, v)| (name.clone(), wide(v))).collect());
    let gpu = gpu::open();
    compare::close(&run(&gpu, &g, &leaves)[0].1, &expected["y"], gpu::TOLERANCE).expect("the convolution");
    // 4290 pixels of 24 336 products each, and 100 million of them in a part where a CPU does it.
    let dispatches = gpu.compile(&g).expect("a small graph").cost().dispatches;
    assert_eq!(dispatches, if gpu.is_software() { 2 } else { 1 });
}

/// One number made of many values by one dispatch, where they lie side by side, and of one that adds twice by another.
#[test]
fn a_sum_over_many_values_is_a_dispatch_or_two() {
    let mut g = Graph::new();
    let bound = g.input("bound", Shape::SCALAR);
    let mut sum = g.input("start", Shape::SCALAR);
    let shapes = [Shape::vector(3), Shape::new(3, 3, 5, 7), Shape::new(1, 1, 200, 6), Shape::vector(64)];
    let values: Vec<_> = shapes.iter().enumerate().map(|(i, &shape)| g.input(&format!("g{i}"), shape)).collect();
    for i in [0, 1, 1, 2, 3] {
        sum = g.sum_squares(values[i], sum);
    }
    g.output("sum", sum);
    for (i, &value) in values.iter().enumerate() {
        let clipped = g.clip_norm(value, sum, bound);
        g.output(&format!("c{i}"), clipped);
    }
    let mut leaves: HashMap<String, Vec<f32>> =
        (0..4).map(|i| (format!("g{i}"), Rng::stream(3, i as u64).normals(shapes[i].len()))).collect();
    leaves.extend([("bound".to_owned(), vec![2.0]), ("start".to_owned(), vec![30.0])]);
    let wide = |values: &Vec<f32>| values.iter().map(|&x| f64::from(x)).collect();
    let expected = interpret::<f64>(&g, &leaves.iter().map(|(name, v)| (name.clone(), wide(v))).collect());
    let gpu = gpu::open();
    for (name, found) in run(&gpu, &g, &leaves) {
        compare::close(&found, &expected[&name], gpu::TOLERANCE).unwrap_or_else(|why| panic!("{name}: {why}"));
    }
    assert_eq!(gpu.compile(&g).expect("a small graph").cost().dispatches, 3, "two sums, and what is clipped");
}

/// All outputs of a graph.
fn run(gpu: &Gpu, graph: &Graph, leaves: &HashMap<String, Vec<f32>>) -> Vec<(String, Vec<f32>)> {
    let mut program = gpu.compile(graph).expect("a small graph");
    for (name, values) in leaves {
        program.write(graph.leaf(name).expect("a leaf of the graph"), values).expect("a value that fits");
    }
    program.run().expect("a run");
    let read = |(name, id): &(String, _)| (name.clone(), pollster::block_on(program.read(*id)).expect("a value"));
    graph.outputs().iter().map(read).collect()
}

fn compare_with_oracle(gpu: &Gpu, case: &Case) -> Result<(), String> {
    let expected = interpret::<f64>(&case.graph, &case.leaves_f64());
    for (name, values) in run(gpu, &case.graph, &case.leaves) {
        compare::close(&values, &expected[&name], gpu::TOLERANCE)
            .map_err(|why| format!("{}, {name}: {why}", case.name))?;
    }
    Ok(())
}

#[test]
fn graphs_agree_with_the_oracle() {
    let gpu = gpu::open();
    let cases = cases::all();
    let failures: Vec<String> = cases.iter().filter_map(|case| compare_with_oracle(&gpu, case).err()).collect();
    assert!(!cases.is_empty(), "there is nothing to compare");
    assert!(failures.is_empty(), "{} of {} cases differ:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn equal_inputs_give_equal_bits() {
    let gpu = gpu::open();
    let cases = cases::all();
    assert!(!cases.is_empty(), "there is nothing to compare");
    for case in cases {
        let bits = |results: Vec<(String, Vec<f32>)>| -> Vec<Vec<u32>> {
            results.into_iter().map(|(_, values)| values.into_iter().map(f32::to_bits).collect()).collect()
        };
        let first = bits(run(&gpu, &case.graph, &case.leaves));
        assert_eq!(first, bits(run(&gpu, &case.graph, &case.leaves)), "{} is not deterministic", case.name);
    }
}

#[test]
fn a_dispatch_may_exceed_65535_workgroups() {
    // One vec4 per value, 64 of them in a workgroup.
    let shape = Shape::new(2, 65_536, 33, 1);
    assert!(shape.vec4_len().div_ceil(64) > 65_535);
    let mut g = Graph::new();
    let x = g.input("x", shape);
    let y = g.scale(x, 3.0);
    g.output("y", y);
    let values: Vec<f32> = (0..shape.len()).map(|i| (i % 1000) as f32).collect();
    let found = run(&gpu::open(), &g, &HashMap::from([("x".to_owned(), values.clone())]));
    assert!(found[0].1.iter().zip(&values).all(|(y, x)| *y == 3.0 * x), "some part was left out");
}

#[test]
fn assignments_take_effect_together() {
    let shape = Shape::vector(3);
    let mut g = Graph::new();
    let (a, b, c) = (g.state("a", shape), g.state("b", shape), g.state("c", shape));
    let sum = g.add(a, b);
    g.assign(a, b);
    g.assign(b, a);
    g.assign(c, sum);
    let mut program = gpu::open().compile(&g).expect("a small graph");
    program.write(a, &[1.0, 2.0, 3.0]).expect("a value that fits");
    program.write(b, &[10.0, 20.0, 30.0]).expect("a value that fits");
    let read =
        |id, program: &mut noisette::engine::gpu::Program| pollster::block_on(program.read(id)).expect("a value");
    assert_eq!(read(c, &mut program), [0.0; 3], "state starts at zero");
    program.run().expect("a run");
    assert_eq!(read(a, &mut program), [10.0, 20.0, 30.0]);
    assert_eq!(read(b, &mut program), [1.0, 2.0, 3.0]);
    assert_eq!(read(c, &mut program), [11.0, 22.0, 33.0]);
    program.run().expect("a run");
    assert_eq!(read(a, &mut program), [1.0, 2.0, 3.0]);
}

#[test]
fn what_does_not_fit_is_an_error() {
    use noisette::engine::gpu::GpuError;
    let gpu = gpu::open();
    let mut g = Graph::new();
    let x = g.input("x", Shape::new(1 << 20, 1 << 10, 1, 4));
    let y = g.scale(x, 2.0);
    g.output("y", y);
    assert!(matches!(gpu.compile(&g), Err(GpuError::TooLarge { needed: 17_179_869_184, .. })));

    let mut g = Graph::new();
    let x = g.input("x", Shape::vector(3));
    let y = g.scale(x, 2.0);
    g.output("y", y);
    let mut program = gpu.compile(&g).expect("a small graph");
    assert!(matches!(program.write(x, &[1.0]), Err(GpuError::WrongLength { found: 1, .. })));
}
