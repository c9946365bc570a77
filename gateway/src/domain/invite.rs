//! An invitation to enrol.

use sealpost_proto::id::{InviteId, Label};

/// An invitation and what was posted to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// Whom it is for.
    pub label: Label,
}
