//! What somebody is to the organisation at a moment, and from there what may be asked.

use sealpost_proto::id::Label;
use sealpost_proto::problem::ProblemKind;

use super::policy::permits;
use super::{Action, Peer, Role};
use crate::domain::Organisation;

/// All roles of a caller; of somebody whom no statement names, none.
#[derive(Debug, Clone, Default)]
pub(super) struct Standing(Vec<Role>);

impl Standing {
    /// What a person or a service account of the directory is at `now` (unix seconds).
    pub(super) fn of(organisation: &Organisation, label: &Label, now: u64) -> Self {
        let limits = organisation.directory.as_ref().and_then(|d| d.service(label));
        if let Some(limits) = limits {
            let scopes = limits.scopes.iter().map(Role::Scoped);
            return Self(std::iter::once(Role::Service).chain(scopes).collect());
        }
        let mut roles = vec![Role::Member];
        roles.extend(organisation.is_registrar(label, now).then_some(Role::Registrar));
        roles.extend(organisation.is_auditor(label).then_some(Role::Auditor));
        Self(roles)
    }

    /// Whether any of the roles allows it.
    pub(super) fn may(&self, action: Action) -> bool {
        self.0.iter().any(|role| permits(*role, action))
    }

    /// Whether this is one of the roles.
    pub(super) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }
}

/// Refuses a service account outside of its time or of its networks.
pub(super) fn check_limits(
    organisation: &Organisation,
    label: &Label,
    peer: Option<Peer>,
    now: u64,
) -> Result<(), ProblemKind> {
    let Some(limits) = organisation.directory.as_ref().and_then(|d| d.service(label)) else {
        return Ok(());
    };
    if !limits.valid.contains(now) {
        return Err(ProblemKind::ServiceOver);
    }
    if !limits.networks.allow(peer.map(|Peer(address)| address)) {
        return Err(ProblemKind::ServiceElsewhere);
    }
    Ok(())
}
