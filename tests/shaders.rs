//! Every file in `shaders/` read by naga: it is valid WGSL, keeps the rules that engine and ops rely on, and its `Params`
//! is the one its op writes.
#![cfg(not(target_arch = "wasm32"))]

mod support;

use naga::{AddressSpace, BinaryOperator, Expression, Module, ScalarKind, ShaderStage, StorageAccess, TypeInner};
use noisette::engine::gpu::KERNELS;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use support::cases::{self, Case};
use support::gpu;

/// Files of a folder with this extension, by stem.
fn files(folder: &str, extension: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let paths = fs::read_dir(&folder).expect("the folder is there").map(|entry| entry.expect("readable").path());
    let chosen = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    let stem = |path: &PathBuf| path.file_stem().expect("a name").to_str().expect("ASCII").to_owned();
    let found: BTreeMap<_, _> =
        chosen.map(|path| (stem(&path), fs::read_to_string(&path).expect("readable"))).collect();
    assert!(!found.is_empty(), "no .{extension} in {}", folder.display());
    found
}

fn parse(name: &str, source: &str) -> (Module, naga::valid::ModuleInfo) {
    let module = naga::front::wgsl::parse_str(source)
        .unwrap_or_else(|error| panic!("{name}.wgsl: {}", error.emit_to_string(source)));
    let mut validator =
        naga::valid::Validator::new(naga::valid::ValidationFlags::all(), naga::valid::Capabilities::empty());
    let info = validator.validate(&module).unwrap_or_else(|error| panic!("{name}.wgsl: {error:?}"));
    (module, info)
}

/// `(name, type)` of the members of `Params`.
type Fields = Vec<(String, String)>;

/// `Params` as WGSL has it.
fn fields_of_module(module: &Module) -> Fields {
    let params = module.global_variables.iter().find(|(_, v)| v.space == AddressSpace::Uniform).expect("a uniform").1;
    let TypeInner::Struct { members, span } = &module.types[params.ty].inner else { panic!("Params is a struct") };
    assert_eq!(*span as usize, 4 * members.len(), "Params holds scalars alone");
    let scalar = |member: &naga::StructMember| match &module.types[member.ty].inner {
        TypeInner::Scalar(scalar) if scalar.width == 4 && scalar.kind == ScalarKind::Uint => "u32".to_owned(),
        TypeInner::Scalar(scalar) if scalar.width == 4 && scalar.kind == ScalarKind::Float => "f32".to_owned(),
        other => panic!("Params has a {other:?}"),
    };
    members.iter().map(|member| (member.name.clone().expect("named"), scalar(member))).collect()
}

/// The `#[repr(C)]` structs of a Rust file whose name ends in `Params`.
fn structs_of_source(source: &str) -> Vec<(String, Fields)> {
    let mut found = Vec::new();
    for part in source.split("#[repr(C)]").skip(1) {
        let (head, rest) = part.split_once('{').expect("a struct has a body");
        let name = head.split("struct ").nth(1).expect("a struct").trim().to_owned();
        let body = rest.split_once('}').expect("a body ends").0;
        let lines = body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
        let field = |line: &str| {
            let (name, kind) = line.trim_start_matches("pub ").trim_end_matches(',').split_once(": ").expect("a field");
            (name.to_owned(), kind.to_owned())
        };
        if name.ends_with("Params") {
            found.push((name, lines.map(field).collect()));
        }
    }
    found
}

/// For each op, the `Params` structs of the file it lives in.
fn structs_of_ops() -> BTreeMap<String, Vec<Fields>> {
    let mut sources = files("src/ops", "rs");
    let graph = files("src/graph", "rs").remove("op").expect("src/graph/op.rs");
    let shared: Vec<Fields> = structs_of_source(&graph).into_iter().map(|(_, fields)| fields).collect();
    assert_eq!(shared.len(), 1, "ElementwiseParams is the one struct ops share");
    sources.insert("op".to_owned(), graph);
    let mut found = BTreeMap::new();
    for source in sources.values() {
        let mut structs: Vec<Fields> = structs_of_source(source).into_iter().map(|(_, fields)| fields).collect();
        if source.contains("ElementwiseParams") {
            structs.extend(shared.clone());
        }
        for after in source.split("fn name(&self) -> &'static str {").skip(1) {
            let name = after.split('"').nth(1).expect("a literal");
            assert!(found.insert(name.to_owned(), structs.clone()).is_none(), "two ops are called {name}");
        }
    }
    found.retain(|name, _| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
    assert!(!found.is_empty(), "no op was found");
    found
}

/// The op that a kernel is of.
fn op_of(kernel: &str) -> &str {
    kernel.strip_suffix("_tiled").unwrap_or(kernel)
}

#[test]
fn there_is_a_shader_for_each_op_a_second_for_some_and_no_other() {
    let files = files("shaders", "wgsl");
    let named = |names: &mut dyn Iterator<Item = String>| names.collect::<BTreeSet<_>>();
    let shaders = named(&mut files.keys().cloned());
    let first = named(&mut shaders.iter().filter(|name| op_of(name) == *name).cloned());
    assert_eq!(first, named(&mut structs_of_ops().keys().cloned()), "shaders (left) are not the ops (right)");
    let second = shaders.difference(&first).collect::<Vec<_>>();
    assert_eq!(second, ["attention_tiled", "conv2d_grad_input_tiled", "conv2d_grad_weight_tiled", "conv2d_tiled"]);
    assert_eq!(shaders, named(&mut KERNELS.iter().map(|(name, _)| (*name).to_owned())), "the engine misses some");
    let ops = cases::all().iter().flat_map(Case::ops).map(str::to_owned).collect::<BTreeSet<_>>();
    assert_eq!(first, ops, "the cases (right) leave out some op (left)");
    let instances = cases::all();
    let used = instances.iter().flat_map(gpu::instances).map(|instance| instance.dispatch.shader.to_owned()).collect();
    assert_eq!(shaders, used, "the cases (right) leave out some shader (left)");
    for (name, source) in KERNELS {
        assert_eq!(files[*name], *source, "{name}");
    }
}

#[test]
fn shaders_keep_the_rules() {
    for (name, source) in files("shaders", "wgsl") {
        let (module, info) = parse(&name, &source);
        assert!(source.starts_with("// "), "{name} begins with its formula");
        assert!(source.contains("// Dispatch: "), "{name} says how it is dispatched");
        assert!(
            source.lines().all(|line| line.chars().count() <= 120),
            "{name} has a line of more than 120 characters"
        );

        let [entry] = &module.entry_points[..] else { panic!("{name} has one entry point") };
        assert_eq!((entry.name.as_str(), entry.stage), ("main", ShaderStage::Compute), "{name}");
        let invocations: u32 = entry.workgroup_size.iter().product();
        assert!(invocations == 64 || invocations == 256, "{name} has {invocations} invocations in a workgroup");

        let mut bound = BTreeMap::new();
        let mut workgroup_bytes = 0;
        for (handle, variable) in module.global_variables.iter() {
            let label = variable.name.as_deref().unwrap_or("?");
            assert!(!info.get_entry_point(0)[handle].is_empty(), "{name} does not use {label}");
            match &variable.binding {
                Some(binding) => {
                    assert_eq!(binding.group, 0, "{name}: {label}");
                    assert!(
                        bound.insert(binding.binding, variable).is_none(),
                        "{name}: two bindings {}",
                        binding.binding
                    );
                }
                None => {
                    assert_eq!(variable.space, AddressSpace::WorkGroup, "{name}: {label}");
                    workgroup_bytes += module.types[variable.ty].inner.size(module.to_ctx());
                }
            }
        }
        assert!(workgroup_bytes <= 16_384, "{name} takes {workgroup_bytes} bytes of workgroup memory");
        let last = bound.len() as u32 - 1;
        assert!(last <= 8, "{name} binds {last} storage buffers");
        for (binding, (number, variable)) in bound.into_iter().enumerate() {
            let label = variable.name.as_deref().unwrap_or("?");
            assert_eq!(binding as u32, number, "{name}: bindings are contiguous");
            match number {
                0 => assert_eq!((variable.space, label), (AddressSpace::Uniform, "p"), "{name}"),
                _ => {
                    let written = if number == last { StorageAccess::STORE } else { StorageAccess::empty() };
                    let space = AddressSpace::Storage { access: StorageAccess::LOAD | written };
                    assert_eq!(variable.space, space, "{name}: {label}");
                    assert_eq!(label == "out", number == last, "{name}: the output is called out");
                    let TypeInner::Array { base, .. } = module.types[variable.ty].inner else {
                        panic!("{name}: {label} is an array")
                    };
                    let vec4 = TypeInner::Vector { size: naga::VectorSize::Quad, scalar: naga::Scalar::F32 };
                    assert_eq!(module.types[base].inner, vec4, "{name}: {label}");
                }
            }
        }
    }
}

/// Such a product is summed up before it is added to anything, five instructions for four multiply-adds: kernels nest `fma`
/// instead, each term on top of the sum so far.
#[test]
fn no_kernel_multiplies_a_matrix_with_a_vector() {
    let mut nested = BTreeSet::new();
    for (name, source) in files("shaders", "wgsl") {
        let (module, info) = parse(&name, &source);
        let functions = module.functions.iter().map(|(handle, function)| (function, &info[handle]));
        let entry = &module.entry_points[0];
        for (function, info) in functions.chain([(&entry.function, info.get_entry_point(0))]) {
            let is_matrix =
                |e: naga::Handle<Expression>| matches!(info[e].ty.inner_with(&module.types), TypeInner::Matrix { .. });
            for (handle, expression) in function.expressions.iter() {
                let text = || function.expressions.get_span(handle).location(&source).line_number;
                match *expression {
                    Expression::Binary { op: BinaryOperator::Multiply, left, right } => {
                        assert!(!is_matrix(left) && !is_matrix(right), "{name}.wgsl:{}: a product of a matrix", text());
                    }
                    Expression::Math { fun: naga::MathFunction::Fma, .. } => {
                        nested.insert(name.clone());
                    }
                    _ => {}
                }
            }
        }
    }
    let hot = ["conv2d", "conv2d_grad_input", "conv2d_grad_input_tiled", "conv2d_tiled", "qkv"];
    assert!(hot.iter().all(|name| nested.contains(*name)), "only {nested:?} nest multiply-adds");
}

#[test]
fn params_are_those_of_the_op() {
    let ops = structs_of_ops();
    for (name, source) in files("shaders", "wgsl") {
        let mut fields = fields_of_module(&parse(&name, &source).0);
        let skipped = ("skipped".to_owned(), "u32".to_owned());
        // `Dispatch` writes it for every kernel that numbers its workgroups.
        assert_eq!(fields[0] == skipped, source.contains("num_workgroups"), "{name}");
        fields.retain(|field| *field != skipped);
        let structs = &ops[op_of(&name)];
        assert!(structs.contains(&fields), "{name}.wgsl has Params {fields:?}, its op one of {structs:#?}");
    }
    // What ops really send has that size, and as many buffers as the shader binds.
    let mut sent = BTreeSet::new();
    for instance in cases::all().iter().flat_map(gpu::instances) {
        let name = instance.dispatch.shader;
        let (module, _) = parse(name, gpu::source(name));
        assert_eq!(instance.dispatch.params.len(), 4 * fields_of_module(&module).len(), "{name}");
        assert_eq!(
            instance.inputs.len() + 2,
            module.global_variables.iter().filter(|(_, v)| v.binding.is_some()).count()
        );
        sent.insert(name);
    }
    assert_eq!(sent.len(), KERNELS.len(), "some shader was never sent anything");
}
