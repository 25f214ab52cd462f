//! Weights in several safetensors files, with an index in JSON that says which tensor is in which.
//!
//! An index may come from anywhere: what it names is looked for in its own folder only, and every tensor has to be where it
//! says, once.

use super::files::{MAX_BYTES, read as read_file, within};
use super::folder::files_in;
use super::tensor_file::MAX_TENSORS;
use super::{CheckpointError, TensorFile};
use crate::model::config::json;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Largest index, in bytes: the longest names for the most tensors.
const MAX_INDEX: usize = 4 << 20;

/// Reads the parts of `stem` in a folder: those that the index names, or where it names none, or there is none, those
/// called `stem-00001-of-00003.safetensors`.
///
/// # Errors
/// An index that is not understood or does not tell the truth, a part that is missing or bad, a tensor in two parts.
pub fn read(dir: &Path, stem: &str, index: Option<&Path>) -> Result<TensorFile, CheckpointError> {
    let place = index.unwrap_or(dir);
    let map = match index {
        Some(index) => parse_index(&read_file(index)?).map_err(|error| within(index, error))?,
        None => BTreeMap::new(),
    };
    let files: BTreeSet<String> = match map.is_empty() {
        true => complete(parts(&files_in(dir), stem)).map_err(|error| within(place, error))?,
        false => map.values().cloned().collect(),
    };
    let missing: Vec<&String> = files.iter().filter(|name| !dir.join(name).is_file()).collect();
    if let Some(name) = missing.first() {
        let detail = format!("{} of {} parts are not there, first {name}", missing.len(), files.len());
        return Err(within(place, CheckpointError::Shards { detail }));
    }
    let bytes: u64 = files.iter().filter_map(|name| fs::metadata(dir.join(name)).ok()).map(|file| file.len()).sum();
    if bytes > MAX_BYTES {
        let detail = format!("they have {bytes} bytes, expected at most {MAX_BYTES}");
        return Err(within(place, CheckpointError::Shards { detail }));
    }
    let mut parts = Vec::with_capacity(files.len());
    for name in files {
        let path = dir.join(&name);
        let part = TensorFile::from_bytes(&read_file(&path)?).map_err(|error| within(&path, error))?;
        parts.push((name, part));
    }
    join(parts, &map).map_err(|error| within(place, error))
}

/// One file of several; with a map, each tensor has to be where it says.
fn join(parts: Vec<(String, TensorFile)>, map: &BTreeMap<String, String>) -> Result<TensorFile, CheckpointError> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut whole = TensorFile::new();
    for (file, part) in parts {
        for (name, tensor) in part.tensors {
            if let Some(other) = found.insert(name.clone(), file.clone()) {
                let detail = format!("{name} is in {other} and in {file}");
                return Err(CheckpointError::Shards { detail });
            }
            whole.tensors.insert(name, tensor);
        }
    }
    if let Some((name, file)) = map.iter().find(|(name, file)| found.get(*name) != Some(file)) {
        let place = found.get(name).map_or("nowhere".to_owned(), |other| format!("in {other}"));
        let detail = format!("{name} should be in {file} and is {place}");
        return Err(CheckpointError::Shards { detail });
    }
    match whole.tensors.len() {
        count if count > MAX_TENSORS => {
            let detail = format!("they hold {count} tensors, expected at most {MAX_TENSORS}");
            Err(CheckpointError::Shards { detail })
        }
        _ => Ok(whole),
    }
}

/// The file of every tensor.
fn parse_index(bytes: &[u8]) -> Result<BTreeMap<String, String>, CheckpointError> {
    let wrong = |detail: String| CheckpointError::Shards { detail };
    if bytes.len() > MAX_INDEX {
        return Err(wrong(format!("the index has {} bytes, expected at most {MAX_INDEX}", bytes.len())));
    }
    let index = json::parse(bytes).map_err(|error| wrong(format!("the index is not valid JSON: {error}")))?;
    let Some(Value::Object(map)) = index.get("weight_map") else {
        return Err(wrong("the index has no weight_map, expected the file of every tensor".to_owned()));
    };
    if map.len() > MAX_TENSORS {
        return Err(wrong(format!("the index names {} tensors, expected at most {MAX_TENSORS}", map.len())));
    }
    let entry = |(tensor, file): (&String, &Value)| match file.as_str().filter(|file| is_plain(file)) {
        Some(file) => Ok((tensor.clone(), file.to_owned())),
        None => {
            let text: String = file.to_string().chars().take(60).collect();
            Err(wrong(format!("the index names {text}, expected a safetensors file in its own folder")))
        }
    };
    map.iter().map(entry).collect()
}

/// Whether this names a safetensors file in the very folder, on any system.
fn is_plain(name: &str) -> bool {
    let is_path = |c: char| matches!(c, '/' | '\\' | ':') || c.is_control();
    name.ends_with(".safetensors") && !name.starts_with('.') && !name.contains(is_path)
}

/// A part of several: its name, its number from 1, and how many there are.
type Part = (String, usize, usize);

/// Those of `names` that are parts of `stem`.
pub fn parts(names: &[String], stem: &str) -> Vec<Part> {
    let part = |name: &String| {
        let (part, count) = numbers(name.strip_prefix(stem)?.strip_suffix(".safetensors")?)?;
        Some((name.clone(), part, count))
    };
    names.iter().filter_map(part).collect()
}

/// Whether a file's name says that it is one of several.
pub fn is_shard(name: &str) -> bool {
    const LENGTH: usize = "-00001-of-00003".len();
    name.match_indices('-').any(|(at, _)| name.get(at..at + LENGTH).and_then(numbers).is_some())
}

/// Reads `-00001-of-00003`.
fn numbers(text: &str) -> Option<(usize, usize)> {
    let (part, count) = text.strip_prefix('-')?.split_once("-of-")?;
    let read = |digits: &str| {
        let is_number = digits.len() == 5 && digits.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| digits.parse().ok()).flatten()
    };
    Some((read(part)?, read(count)?))
}

/// The names of the parts of one file if they are all there.
fn complete(parts: Vec<Part>) -> Result<BTreeSet<String>, CheckpointError> {
    let wrong = |detail: String| Err(CheckpointError::Shards { detail });
    let Some(&(_, _, count)) = parts.first() else {
        return wrong("the index names no tensors, and no parts lie beside it".to_owned());
    };
    if let Some((name, _, _)) = parts.iter().find(|(_, _, other)| *other != count) {
        return wrong(format!("{name} is a part of another file than {}", parts[0].0));
    }
    if let Some(missing) = (1..=count).find(|number| !parts.iter().any(|(_, part, _)| part == number)) {
        return wrong(format!("part {missing} of {count} is not there"));
    }
    Ok(parts.into_iter().map(|(name, _, _)| name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_names_files_of_its_own_folder_only() {
        let index = |file: &str| parse_index(serde_json::json!({"weight_map": {"a": file}}).to_string().as_bytes());
        assert_eq!(index("m-00001-of-00002.safetensors").unwrap()["a"], "m-00001-of-00002.safetensors");
        for bad in [
            "../m.safetensors",
            "/etc/m.safetensors",
            "a/m.safetensors",
            "a\\m.safetensors",
            "C:m.safetensors",
            "..",
            ".",
            "",
            ".safetensors",
            "..safetensors",
            "m.bin",
            "m\0.safetensors",
            "m\n.safetensors",
        ] {
            let error = index(bad).unwrap_err().to_string();
            assert!(error.contains("in its own folder"), "{bad:?}: {error}");
        }
        for (bad, says) in [
            ("", "not valid JSON"),
            ("[]", "no weight_map"),
            ("{\"weight_map\": []}", "no weight_map"),
            ("{\"weight_map\": {\"a\": 1}}", "names 1, expected"),
        ] {
            assert!(parse_index(bad.as_bytes()).unwrap_err().to_string().contains(says), "{bad}");
        }
        let many: serde_json::Map<_, _> = (0..5000).map(|i| (i.to_string(), "m.safetensors".into())).collect();
        let many = serde_json::json!({ "weight_map": many }).to_string();
        assert!(parse_index(many.as_bytes()).unwrap_err().to_string().contains("names 5000 tensors"));
        assert!(parse_index(&vec![b' '; MAX_INDEX + 1]).unwrap_err().to_string().contains("4194305 bytes"));
        assert!(parse_index(b"\xef\xbb\xbf{\"weight_map\": {}}").unwrap().is_empty());
    }

    #[test]
    fn parts_are_known_by_their_numbers() {
        for (name, is) in [
            ("m-00001-of-00002.safetensors", true),
            ("m-00001-of-00002.fp16.safetensors", true),
            ("m.fp16-00001-of-00002.safetensors", true),
            ("m-1-of-2.safetensors", false),
            ("m-00001-of-0000é.safetensors", false),
            ("m.safetensors", false),
        ] {
            assert_eq!(is_shard(name), is, "{name}");
        }
        let names = |names: &[&str]| parts(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), "m");
        let [one, two] = ["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors"];
        assert_eq!(complete(names(&[two, "other-00001-of-00009.safetensors", one])).unwrap().len(), 2);
        for (found, says) in [
            (names(&[two]), "part 1 of 2 is not there"),
            (names(&[one, "m-00002-of-00003.safetensors"]), "another file"),
            (names(&["m.safetensors"]), "no parts"),
        ] {
            assert!(complete(found).unwrap_err().to_string().contains(says), "{says}");
        }
    }
}
