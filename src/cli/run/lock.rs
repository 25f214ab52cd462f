//! One process at a time on a run's folder.

use super::super::Failure;
use super::place::refuse_a_model;
use crate::train::saved::RUN_FILE;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;

/// The file that is locked. It stays: to remove it would take it from under a process that has just opened it.
const LOCK_FILE: &str = ".lock";

/// The right to write a run's folder, until it is dropped or the process ends, however it does.
pub struct Lock {
    /// Nothing on a file system without locks.
    file: Option<File>,
}

impl Lock {
    /// Takes the folder, making it if need be. Whoever only reads it (`sample`, `evaluate`, `--from`) needs no lock.
    pub fn take(dir: &Path) -> Result<Self, Failure> {
        let place = dir.display();
        if dir.exists() && !dir.is_dir() {
            return Err(format!("{place} is a file, expected a folder for the run").into());
        }
        fs::create_dir_all(dir).map_err(|e| format!("cannot create {place}: {e}"))?;
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK_FILE));
        let file = file.map_err(|e| format!("cannot write to {place}: {e}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file: Some(file) }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("another process is training in {place}: wait for its end, or choose another --out").into())
            }
            Err(TryLockError::Error(error)) => {
                say!("{place} cannot be locked ({error}): see to it that no other process trains there");
                Ok(Self { file: None })
            }
        }
    }

    /// Takes the folder of a run that goes on, before it is read: another process might be about to replace what is there.
    pub fn of_resumed(resume: bool, dir: &Path) -> Result<Option<Self>, Failure> {
        if resume && dir.join(RUN_FILE).exists() { Self::take(dir).map(Some) } else { Ok(None) }
    }

    /// That lock, or a new run's: taken last of all, since it makes the folder. Another run may have begun there meanwhile.
    pub fn or_take(lock: Option<Self>, dir: &Path) -> Result<Self, Failure> {
        match lock {
            Some(lock) => Ok(lock),
            None => {
                let lock = Self::take(dir)?;
                refuse_a_model(dir)?;
                Ok(lock)
            }
        }
    }

    /// Whether nobody else can be writing.
    pub fn is_sure(&self) -> bool {
        self.file.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_free_again_when_its_process_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let run = dir.path().join("new/run");
        let lock = Lock::take(&run).unwrap();
        assert!(lock.is_sure());
        let error = Lock::take(&run).err().expect("it is taken").to_string();
        assert!(error.contains("another process is training in"), "{error}");
        drop(lock);
        assert!(Lock::take(&run).is_ok());
    }
}
