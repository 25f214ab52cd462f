//! The layers of the crate, read off its sources: a module uses those below it and no others.
#![cfg(not(target_arch = "wasm32"))]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What the command line and the page may use: everything but each other, and the ops, which the model is made of.
const BELOW_THE_TOP: &[&str] = &[
    "tensor",
    "rng",
    "diffusion",
    "graph",
    "model",
    "engine",
    "checkpoint",
    "data",
    "train",
    "playground",
    "evaluate",
    "selftest",
];

/// Every module of the crate with those it may use, from the bottom up.
const MODULES: [(&str, &[&str]); 15] = [
    ("tensor", &[]),
    ("rng", &[]),
    ("diffusion", &[]),
    ("graph", &["tensor"]),
    ("ops", &["tensor", "graph"]),
    ("engine", &["tensor", "graph"]),
    ("model", &["tensor", "rng", "graph", "ops"]),
    ("checkpoint", &["tensor", "diffusion", "graph", "model"]),
    ("data", &["rng", "diffusion"]),
    ("train", &["tensor", "rng", "diffusion", "graph", "ops", "model", "engine", "checkpoint", "data"]),
    ("playground", &["tensor", "rng", "diffusion", "graph", "model", "engine", "checkpoint", "data"]),
    ("evaluate", &["tensor", "rng", "diffusion", "engine", "checkpoint", "data", "train", "playground"]),
    ("selftest", &["tensor", "rng", "graph", "model", "engine", "train"]),
    ("cli", BELOW_THE_TOP),
    ("web", BELOW_THE_TOP),
];

/// Words that belong to one part of the tree, and the folders or files that may say them.
const WORDS: [(&str, &[&str]); 13] = [
    // Not engine/gpu/mod.rs, whose types are public: an interface that names wgpu, or rayon, would change with it.
    (
        "wgpu",
        &[
            "engine/gpu/device.rs",
            "engine/gpu/kernels.rs",
            "engine/gpu/memory.rs",
            "engine/gpu/program.rs",
            "engine/gpu/replay.rs",
        ],
    ),
    ("rayon", &["cli", "data/folder.rs", "data/listing.rs", "engine/cpu", "graph/op.rs", "ops/fast/parallel.rs"]),
    ("web_sys", &["web", "engine/gpu"]),
    ("js_sys", &["web", "engine/gpu"]),
    ("wasm_bindgen", &["web", "engine/gpu"]),
    ("wasm_bindgen_futures", &["web", "engine/gpu"]),
    ("clap", &["cli"]),
    ("indicatif", &["cli"]),
    ("ctrlc", &["cli"]),
    ("png", &["cli", "data", "web"]),
    // The trainer and the session know no clock and no files, so that a page can drive them.
    ("Instant", &["cli", "web", "engine/gpu/throughput.rs"]),
    (
        "fs",
        &[
            "cli",
            "checkpoint/files.rs",
            "checkpoint/folder.rs",
            "checkpoint/shards.rs",
            "data/idx_files.rs",
            "data/listing.rs",
        ],
    ),
    ("File", &["cli", "web", "checkpoint/files.rs", "data/idx_files.rs", "data/listing.rs"]),
];

/// The words of a source file, without comments and without what stands in quotes.
fn words(source: &str) -> Vec<String> {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skip = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let end = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    end
                });
                end.map_or(rest.len(), |end| end + 2)
            }
            // A quoted character; a lifetime has no second quote so close.
            '\'' if rest.chars().nth(2) == Some('\'') => rest.char_indices().nth(3).map_or(rest.len(), |(i, _)| i),
            '\'' if rest.starts_with("'\\") => rest[2..].find('\'').map_or(rest.len(), |end| end + 3),
            _ => 0,
        };
        if skip == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skip..];
        }
    }
    // "::" is a word, since a path is told by it; so is each other sign.
    let mut words: Vec<String> = Vec::new();
    for c in code.chars() {
        let name = |c: char| c.is_alphanumeric() || c == '_';
        match words.last_mut() {
            Some(word) if name(c) && word.chars().all(name) && !word.is_empty() => word.push(c),
            Some(word) if c == ':' && word == ":" => word.push(c),
            _ if c.is_whitespace() => words.push(String::new()),
            _ => words.push(c.to_string()),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a file of `module` at `path` (inside `src`) says that it may not.
fn violations(path: &str, module: &str, allowed: &[&str], words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for window in words.windows(3) {
        if window[0] != "crate" || window[1] != "::" {
            continue;
        }
        // `reference!` is the graph's macro, which Rust puts at the root.
        let target = if window[2] == "reference" { "graph" } else { &window[2] };
        if target != module && !allowed.contains(&target) {
            found.push(format!("{path} uses {target}"));
        }
    }
    for (word, places) in WORDS {
        let may = places.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")));
        // `png::`, `use clap;`, `fs::read`: a word counts as the head of a path, or as a type.
        let named = words.iter().enumerate().any(|(i, w)| {
            let of_type = word.starts_with(char::is_uppercase);
            let in_path =
                [i.checked_sub(1), Some(i + 1)].into_iter().flatten().any(|j| words.get(j).is_some_and(|w| w == "::"));
            w == word && (of_type || in_path)
        });
        if named && !may {
            found.push(format!("{path} says {word}"));
        }
    }
    found
}

fn sources(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

#[test]
fn modules_use_only_what_lies_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 50, "{} sources", files.len());
    let mut found = Vec::new();
    for file in &files {
        let path = file.strip_prefix(&src).expect("inside src").to_str().expect("a plain name").replace('\\', "/");
        if path == "lib.rs" || path.starts_with("bin/") {
            continue;
        }
        let module = path.split('/').next().unwrap_or_default().trim_end_matches(".rs");
        let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
            panic!("{path} belongs to no layer: name it in this test");
        };
        found.extend(violations(&path, module, allowed, &words(&fs::read_to_string(file).expect("a text"))));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_lower_module_never_uses_a_higher_one() {
    for (i, (module, allowed)) in MODULES.iter().enumerate() {
        for used in *allowed {
            let below = MODULES[..i].iter().any(|(name, _)| name == used);
            assert!(below, "{module} may use {used}, which is not below it");
        }
    }
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).expect("lib.rs");
    let declared: BTreeSet<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let known: BTreeSet<&str> = MODULES.iter().map(|(name, _)| *name).collect();
    assert!(declared.len() > 10 && declared.is_subset(&known), "no layer for {:?}", declared.difference(&known));
}

#[test]
fn violations_are_noticed() {
    let check = |path: &str, source: &str| {
        let module = path.split('/').next().unwrap_or_default();
        let allowed = MODULES.iter().find(|(name, _)| *name == module).expect("a module").1;
        violations(path, module, allowed, &words(source))
    };
    assert_eq!(check("ops/silu.rs", "use crate::engine::cpu;"), ["ops/silu.rs uses engine"]);
    assert_eq!(check("engine/cpu.rs", "fn f() { crate::ops::fuse(g) }"), ["engine/cpu.rs uses ops"]);
    assert_eq!(check("graph/mod.rs", "use crate::{model, ops};"), ["graph/mod.rs uses {"]);
    assert_eq!(check("train/mod.rs", "let buffer: wgpu::Buffer;"), ["train/mod.rs says wgpu"]);
    assert_eq!(check("engine/gpu/mod.rs", "pub fn device(&self) -> &wgpu::Device;"), ["engine/gpu/mod.rs says wgpu"]);
    assert_eq!(check("train/mod.rs", "use std::time::Instant;"), ["train/mod.rs says Instant"]);
    assert_eq!(check("playground/x.rs", "std::fs::read(path)"), ["playground/x.rs says fs"]);
    let fine =
        "use crate::graph::Op; // crate::engine\nlet s = \"crate::web \\\" wgpu::\"; let c = '\"'; let d = '\\'';";
    assert!(check("ops/silu.rs", fine).is_empty());
    assert_eq!(check("ops/silu.rs", "let c = '\"'; crate::web::f(); '\"'"), ["ops/silu.rs uses web"]);
    assert!(check("engine/gpu/device.rs", "use wgpu::Device;").is_empty());
}
