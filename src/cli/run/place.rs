//! Where a new run may be written.

use super::super::Failure;
use crate::checkpoint::WEIGHTS_FILE;
use crate::data;
use crate::model::config::CONFIG_FILE;
use crate::train::saved::RUN_FILE;
use std::fs;
use std::path::{Path, PathBuf};

/// A new run does not replace what is in its folder.
pub fn refuse_a_model(out: &Path) -> Result<(), Failure> {
    let place = out.display();
    if out.join(RUN_FILE).exists() {
        return Err(format!("{place}: there is a run already: go on with --resume, or choose another --out").into());
    }
    if let Some(file) = [WEIGHTS_FILE, CONFIG_FILE].iter().find(|file| out.join(file).exists()) {
        let text = format!("there is a {file} already, which training would overwrite: choose another --out");
        return Err(format!("{place}: {text}").into());
    }
    Ok(())
}

/// A run has pictures of its own, which would be data the next time.
pub fn refuse_inside(out: &Path, data: &Path) -> Result<(), Failure> {
    if data::find_idx(data)?.is_none()
        && let Ok(place) = fs::canonicalize(data)
        && real(out).starts_with(place)
    {
        let (out, data) = (out.display(), data.display());
        return Err(format!("{out} is inside {data}: expected an --out outside the data").into());
    }
    Ok(())
}

/// The place of a file or folder that need not be there yet, without links.
fn real(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let there =
        path.ancestors().find_map(|above| Some((fs::canonicalize(above).ok()?, path.strip_prefix(above).ok()?)));
    there.map_or_else(|| path.clone(), |(above, rest)| above.join(rest))
}
