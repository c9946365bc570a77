//! The organisation of this gateway: its directory and the addresses behind the labels.

use std::collections::BTreeMap;

use sealpost_proto::id::{Address, Label};
use sealpost_proto::key::Directory;

/// The organisation; empty before `org init`.
#[derive(Debug, Clone, Default)]
pub struct Organisation {
    /// Statements applied, once there is an organisation.
    pub directory: Option<Directory>,
    /// Addresses by label, for routing and display.
    pub addresses: BTreeMap<Label, Address>,
}
