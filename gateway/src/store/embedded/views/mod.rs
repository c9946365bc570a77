//! Views of the state: an overlay in memory over sled. What is in neither is not there.
//!
//! Life of a change: a record becomes durable -> [`overlay::Overlay`] shows it -> the drain writes it to [`shelf::Shelf`], and
//! drops it from the overlay. Nobody waits for sled but who asks for what was not changed lately. The journal is the truth:
//! the shelf can be thrown away at any time.

pub(super) mod blocks;
pub(super) mod keys;
pub(super) mod layer;
pub(super) mod overlay;
pub(super) mod shelf;
pub(super) mod stored;
