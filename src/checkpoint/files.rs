//! Weights folders on disk. What is replaced stays whole until its successor is written out.

use super::{Checkpoint, CheckpointError, Dtype, ModelFolder, TensorFile};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Largest safetensors file that is read, in bytes, all its parts together.
pub(super) const MAX_BYTES: u64 = 4 << 30;

/// Reads the model that [`ModelFolder::find`] finds, and lets its notes be.
///
/// # Errors
/// As [`ModelFolder::find`] and [`ModelFolder::read`].
pub fn read_dir(dir: impl AsRef<Path>) -> Result<Checkpoint, CheckpointError> {
    ModelFolder::find(dir)?.read()
}

/// Writes a diffusers folder, making it if need be. On failure what was there is still there.
///
/// # Errors
/// The file system's, and values that the file cannot hold.
pub fn write_dir(dir: impl AsRef<Path>, checkpoint: &Checkpoint, dtype: Dtype) -> Result<(), CheckpointError> {
    replace_files(dir, &checkpoint.to_files(dtype)?)
}

/// Reads a safetensors file.
///
/// # Errors
/// The file system's, and those of [`TensorFile::from_bytes`].
pub fn read_tensors(path: impl AsRef<Path>) -> Result<TensorFile, CheckpointError> {
    let path = path.as_ref();
    TensorFile::from_bytes(&read(path)?).map_err(|error| within(path, error))
}

/// Writes a safetensors file in F32 and I64, making its folder if need be.
///
/// # Errors
/// The file system's, and those of [`TensorFile::to_bytes`].
pub fn write_tensors(path: impl AsRef<Path>, file: &TensorFile) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io_error("write", path, io::ErrorKind::InvalidFilename.into()))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    replace_files(dir, &[(name.to_owned(), file.to_bytes(Dtype::F32)?)])
}

/// Writes all of `files` (name, contents) into `dir` or none of them: each beside its place first, forced to the disk,
/// then all are renamed. A disk that is full, or a power cut before the renames, leaves what was there.
///
/// # Errors
/// The file system's, with the path.
pub fn replace_files(dir: impl AsRef<Path>, files: &[(String, Vec<u8>)]) -> Result<(), CheckpointError> {
    replace_files_with(dir.as_ref(), files, |file, contents| file.write_all(contents))
}

fn replace_files_with(
    dir: &Path,
    files: &[(String, Vec<u8>)],
    mut write: impl FnMut(&mut File, &[u8]) -> io::Result<()>,
) -> Result<(), CheckpointError> {
    fs::create_dir_all(dir).map_err(|e| io_error("create", dir, e))?;
    let mut written = Temporaries(Vec::new());
    for (name, contents) in files {
        let temporary = dir.join(temporary_name(name));
        let mut file = create(&dir.join(name), &temporary)?;
        written.0.push(temporary.clone());
        write(&mut file, contents).and_then(|()| file.sync_all()).map_err(|e| io_error("write", &temporary, e))?;
    }
    for ((name, _), temporary) in files.iter().zip(&written.0) {
        let place = dir.join(name);
        fs::rename(temporary, &place).map_err(|e| io_error("replace", &place, e))?;
    }
    // The renames are kept once the folder is; where folders cannot be synced (Windows), that is the system's care.
    if let Ok(folder) = File::open(dir) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// Finds out whether [`replace_files`] can write a file: makes its folder if need be, and leaves nothing else.
///
/// # Errors
/// The file system's, with the path.
pub fn check_place(path: impl AsRef<Path>) -> Result<(), CheckpointError> {
    let path = path.as_ref();
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| io_error("write", path, io::ErrorKind::InvalidFilename.into()))?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(|e| io_error("create", dir, e))?;
    let temporary = dir.join(temporary_name(name));
    create(path, &temporary)?;
    drop(Temporaries(vec![temporary]));
    Ok(())
}

/// Removes what processes that were killed in the middle of [`replace_files`] left of the files that `is_ours` knows by
/// name. Nobody may be writing these files meanwhile. What cannot be removed stays.
pub fn remove_leftovers(dir: impl AsRef<Path>, is_ours: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(permanent_name).is_some_and(&is_ours) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What a file is called until it is whole.
fn temporary_name(name: &str) -> String {
    format!(".{name}.{}.tmp", std::process::id())
}

/// The name in a [`temporary_name`], of this or another process.
fn permanent_name(temporary: &str) -> Option<&str> {
    let (name, process) = temporary.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    process.parse::<u32>().ok().map(|_| name)
}

/// Opens the file that is to take a place, unless something else than a file is there.
fn create(place: &Path, temporary: &Path) -> Result<File, CheckpointError> {
    if place.is_dir() {
        let reason = io::Error::other("it is a folder, expected the name of a file");
        return Err(io_error("write", place, reason));
    }
    // A rename would put a file in the place of a device, a pipe or a link.
    if fs::symlink_metadata(place).is_ok_and(|found| !found.is_file()) {
        let reason = io::Error::other("it is a device, a pipe or a link, expected a file or nothing");
        return Err(io_error("write", place, reason));
    }
    File::create(temporary).map_err(|e| io_error("create", temporary, e))
}

/// Files that are removed again unless they were renamed.
struct Temporaries(Vec<PathBuf>);

impl Drop for Temporaries {
    fn drop(&mut self) {
        for path in &self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let size = fs::metadata(path).map_err(|e| io_error("read", path, e))?.len();
    if size > MAX_BYTES {
        let detail = format!("it has {size} bytes, expected at most {MAX_BYTES}");
        return Err(within(path, CheckpointError::Malformed { detail }));
    }
    fs::read(path).map_err(|e| io_error("read", path, e))
}

pub(super) fn within(path: &Path, source: CheckpointError) -> CheckpointError {
    CheckpointError::In { path: path.display().to_string(), source: Box::new(source) }
}

pub(super) fn io_error(action: &'static str, path: &Path, source: io::Error) -> CheckpointError {
    CheckpointError::Io { action, path: path.display().to_string(), source }
}

#[cfg(all(test, not(target_arch = "wasm32")))] // there is no folder to write to
mod tests {
    use super::*;

    fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
        let mut files: Vec<_> =
            entries.map(|e| (e.file_name().into_string().unwrap(), fs::read(e.path()).unwrap())).collect();
        files.sort();
        files
    }

    #[test]
    fn a_full_disk_leaves_the_previous_files() {
        let dir = tempfile::tempdir().unwrap();
        let old = vec![("a".to_owned(), vec![1; 100]), ("b".to_owned(), vec![2; 100])];
        replace_files(dir.path(), &old).unwrap();
        assert_eq!(contents(dir.path()), old);
        // The disk fills up in the middle of the second file.
        let new = vec![("a".to_owned(), vec![3; 50]), ("b".to_owned(), vec![4; 50])];
        let mut room = 75;
        let error = replace_files_with(dir.path(), &new, |file, bytes| {
            let fits = bytes.len().min(room);
            room -= fits;
            file.write_all(&bytes[..fits])?;
            if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        });
        let text = error.unwrap_err().to_string();
        assert!(text.contains("cannot write") && text.contains(".b."), "{text}");
        assert_eq!(contents(dir.path()), old, "neither is replaced and nothing is left over");
        replace_files(dir.path(), &new).unwrap();
        assert_eq!(contents(dir.path()), new);
    }

    #[test]
    fn only_leftovers_of_the_named_files_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let all = [".a.12.tmp", ".a.tmp", ".a.x.tmp", ".b.12.tmp", ".c.d.7.tmp", "a", "a.12.tmp"];
        let files = all.map(|name| (name.to_owned(), Vec::new()));
        replace_files(dir.path(), &files).unwrap();
        remove_leftovers(dir.path(), |name| name == "a" || name == "c.d");
        let left: Vec<String> = contents(dir.path()).into_iter().map(|(name, _)| name).collect();
        assert_eq!(left, [".a.tmp", ".a.x.tmp", ".b.12.tmp", "a", "a.12.tmp"]);
        remove_leftovers(dir.path().join("nowhere"), |_| true);
    }

    #[test]
    fn a_place_is_tried_without_a_trace() {
        let dir = tempfile::tempdir().unwrap();
        replace_files(dir.path(), &[("a".to_owned(), vec![1])]).unwrap();
        check_place(dir.path().join("a")).unwrap();
        check_place(dir.path().join("new/b")).unwrap();
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), [1]);
        assert!(contents(&dir.path().join("new")).is_empty());
        for (place, part) in [("new", "is a folder"), ("a/b", "cannot create"), ("..", "cannot write")] {
            let error = check_place(dir.path().join(place)).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
