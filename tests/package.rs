//! What is published: versions that others can resolve, and every file that the sources include.
#![cfg(not(target_arch = "wasm32"))]

use std::fs;
use std::path::{Path, PathBuf};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The version of a crate in Cargo.lock.
fn locked(lock: &str, name: &str) -> String {
    let (_, entry) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).expect("a locked crate");
    entry.split_once('"').expect("a version").0.to_owned()
}

#[test]
fn the_tool_of_wasm_bindgen_is_as_old_as_the_crate() {
    let makefile = read("Makefile");
    let tool = makefile.lines().find_map(|line| line.strip_prefix("WASM_BINDGEN := ")).expect("a version");
    assert_eq!(tool, locked(&read("Cargo.lock"), "wasm-bindgen"));
}

#[test]
fn no_dependency_is_pinned() {
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let mut versions = Vec::new();
    collect(&toml::Value::Table(manifest), false, &mut versions);
    assert!(versions.len() > 20, "{versions:?}");
    let pinned: Vec<_> = versions.iter().filter(|version| version.contains(['=', '*', '<'])).collect();
    assert!(pinned.is_empty(), "{pinned:?}");
}

/// Every version that a table of dependencies names.
fn collect(value: &toml::Value, is_dependencies: bool, versions: &mut Vec<String>) {
    let toml::Value::Table(table) = value else { return };
    for (key, value) in table {
        if is_dependencies {
            let version = value.get("version").unwrap_or(value);
            versions.push(version.as_str().unwrap_or_else(|| panic!("{key} has no version")).to_owned());
        } else {
            collect(value, key.ends_with("dependencies"), versions);
        }
    }
}

/// All files of the sources that name others with `include_str!` or `include_bytes!`, and what they name.
fn included(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            included(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a text");
            for (name, _) in ["include_str!(\"", "include_bytes!(\""]
                .iter()
                .flat_map(|macro_| source.split(macro_).skip(1))
                .filter_map(|rest| rest.split_once('"'))
            {
                let target = dir.join(name);
                found.push(target.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", target.display())));
            }
        }
    }
}

#[test]
fn whatever_the_sources_include_is_in_the_package() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).canonicalize().expect("the package");
    let manifest: toml::Table = read("Cargo.toml").parse().expect("TOML");
    let include = manifest["package"]["include"].as_array().expect("a list");
    let include: Vec<&str> = include.iter().map(|path| path.as_str().expect("a path")).collect();
    for part in ["/shaders", "/examples", "/tests/golden"] {
        assert!(include.contains(&part), "{part}, which sources and tests name in other ways, is not in the package");
    }
    let mut found = Vec::new();
    included(&root.join("src"), &mut found);
    assert!(found.len() >= 2, "{found:?}");
    for path in found {
        let path = Path::new("/").join(path.strip_prefix(&root).expect("inside the package"));
        assert!(include.iter().any(|part| path.starts_with(part)), "{} is not in the package", path.display());
    }
}
