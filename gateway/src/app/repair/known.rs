//! What is known of both logs outside the journal: the signer's memory, and what a client has seen.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_proto::id::{GatewayId, Hash};
use sealpost_proto::key::SignedStatement;
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::{Tree, leaf_hash};

use super::RepairError;
use crate::service::Identity;
use crate::store::embedded::EmbeddedHeads;

/// Heads that were vouched for.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Whether the signer's memory has anything about this gateway.
    pub(super) has_memory: bool,
    /// Of audit logs, with their numbers.
    pub(super) audit: Vec<(u64, Checkpoint)>,
    /// Of the directory log.
    pub(super) directory: Vec<Checkpoint>,
    /// The statements that the client holds, all of them.
    pub(super) statements: Option<Vec<String>>,
}

impl Known {
    /// Reads the memory, and the client's folder if there is one.
    pub(super) fn gather(heads: &EmbeddedHeads, identity: &Identity, seen: Option<&Path>) -> Result<Self, RepairError> {
        let mut known = Self::default();
        for head in heads.all() {
            if head.origin == identity.gateway.directory_origin() {
                known.directory.push(head);
            } else if let Some(log) = log_number(&head.origin, &identity.gateway) {
                known.audit.push((log, head));
            }
        }
        known.has_memory = !known.audit.is_empty() || !known.directory.is_empty();
        if let Some(folder) = seen {
            known.take_seen(folder, identity)?;
        }
        Ok(known)
    }

    /// Audit logs with sizes at which their heads are to be compared.
    pub(super) fn watched(&self) -> Vec<(u64, u64)> {
        self.audit.iter().map(|(log, head)| (*log, head.size)).collect()
    }

    /// The largest size that was vouched for of audit log number `log`.
    pub(super) fn size_of(&self, log: u64) -> Option<u64> {
        let of_log = self.audit.iter().filter(|(known, _)| *known == log);
        of_log.map(|(_, head)| head.size).max()
    }

    fn take_seen(&mut self, folder: &Path, identity: &Identity) -> Result<(), RepairError> {
        let directory = folder.join("directory");
        let origin = identity.gateway.directory_origin();
        let head = checkpoint(&directory.join("checkpoint"), &origin, identity)?;
        let file = directory.join("statements");
        let statements = statements(&file, head.size)?;
        if head_of(&statements) != Some(head.root) {
            let why = "its statements are not those of its checkpoint".to_owned();
            return Err(RepairError::Seen { file, why });
        }
        self.directory.push(head);
        self.statements = Some(statements);
        // Only who reads the audit log has seen it.
        for log in audit_logs(folder) {
            let origin = identity.gateway.audit_origin_of(log);
            self.audit
                .push((log, checkpoint(&audit_file(folder, log), &origin, identity)?));
        }
        Ok(())
    }
}

/// Numbers of the audit logs that the client has seen.
fn audit_logs(folder: &Path) -> Vec<u64> {
    let number = |name: &str| match name {
        "audit" => Some(1),
        name => name.strip_prefix("audit.")?.parse().ok(),
    };
    let entries = fs::read_dir(folder).into_iter().flatten();
    let numbers = entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?));
    numbers.filter(|log| audit_file(folder, *log).exists()).collect()
}

fn audit_file(folder: &Path, log: u64) -> PathBuf {
    let name = if log == 1 {
        "audit".to_owned()
    } else {
        format!("audit.{log}")
    };
    folder.join(name).join("checkpoint")
}

fn log_number(origin: &str, gateway: &GatewayId) -> Option<u64> {
    if origin == gateway.audit_origin() {
        return Some(1);
    }
    let number = origin.strip_prefix(&gateway.audit_origin())?.strip_prefix('.')?;
    let number: u64 = number.parse().ok()?;
    (number > 1 && origin == gateway.audit_origin_of(number)).then_some(number)
}

fn checkpoint(file: &Path, origin: &str, identity: &Identity) -> Result<Checkpoint, RepairError> {
    let bad = |why: String| RepairError::Seen {
        file: file.to_owned(),
        why,
    };
    let text = fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    Checkpoint::verify(&text, origin, &identity.log_key.public()).map_err(|error| bad(error.to_string()))
}

/// The first `size` statements of the file in which a client keeps them, one JSON text a line.
fn statements(file: &Path, size: u64) -> Result<Vec<String>, RepairError> {
    let bad = |why: String| RepairError::Seen {
        file: file.to_owned(),
        why,
    };
    let text = fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    let lines = text.lines().take(usize::try_from(size).unwrap_or(usize::MAX));
    lines
        .map(|line| serde_json::from_str(line).map_err(|error| bad(error.to_string())))
        .collect()
}

/// Head of the directory log of these statements; none if one is no statement.
pub(super) fn head_of(statements: &[String]) -> Option<Hash> {
    let mut tree = Tree::new();
    for text in statements {
        let signed: SignedStatement = text.parse().ok()?;
        tree.push(leaf_hash(signed.leaf().as_bytes()));
    }
    Some(Hash::from_bytes(tree.head()))
}
