//! The two logs of a gateway: what their leaves say and what their checkpoints commit to.
//!
//! The directory log's leaves are made from statements ([`crate::key::SignedStatement::leaf`]), the audit log's are
//! [`Leaf`]s. Both are Merkle trees of RFC 6962 over the lines, without their LF.

mod checkpoint;
mod leaf;
mod restart;

pub use checkpoint::Checkpoint;
pub use leaf::{
    Actor, ActorKind, EventType, Leaf, LeafError, LeafOutcome, MAX_LEAF_LEN, Object, ObjectKind, canonical_json,
};
pub use restart::Restart;
