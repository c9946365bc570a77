//! What must not lie on a gateway's disk, for the tests and the demo alike.

use crate::samples::Sample;
use crate::search::Needles;

/// Of each file, windows from this many bytes at its beginning are searched: enough to find any, little enough to be held.
pub const SEARCHED: usize = 4 << 20;

/// Shortest name that is searched; a shorter one is found by chance.
const SHORTEST_NAME: usize = 4;

/// Needles for files: their names without endings, and all windows of their first [`SEARCHED`] bytes.
#[must_use]
pub fn needles(files: &[Sample]) -> Needles {
    let mut needles = Needles::default();
    for file in files {
        let stem = file.name.rsplit_once('.').map_or(file.name.as_str(), |(stem, _)| stem);
        if stem.len() >= SHORTEST_NAME {
            needles = needles.text(&format!("the name {}", file.name), stem);
        }
        let searched = file.bytes.get(..SEARCHED).unwrap_or(&file.bytes);
        if searched.len() >= SHORTEST_NAME {
            needles = needles.contents(&format!("contents of {}", file.name), searched);
        }
    }
    needles
}
