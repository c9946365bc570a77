//! What a decision is made of: when, for whom, and what comes of it.

use sealpost_proto::id::{Hash, InviteId, Label, OrgId, TransferId};
use sealpost_proto::log::{Actor, EventType, LeafOutcome, Object, ObjectKind};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Reason;
use serde_json::{Map, Value};

use super::change::{Change, LeafDraft};

/// When a decision is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Milliseconds of unix time, never decreasing.
    pub millis: u64,
}

impl Stamp {
    /// Whole seconds of unix time.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        self.millis / 1000
    }
}

/// What a decision does: changes of state and leaves of the audit log, as one record.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// Applied in order.
    pub changes: Vec<Change>,
    /// Appended in order.
    pub leaves: Vec<LeafDraft>,
}

impl Effects {
    /// Nothing: the answer is known already.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// One change and its leaf.
    #[must_use]
    pub fn one(change: Change, leaf: LeafDraft) -> Self {
        Self {
            changes: vec![change],
            leaves: vec![leaf],
        }
    }
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The kind of problem.
    pub kind: ProblemKind,
    /// Which rule of the format, for `seal_refused`.
    pub reason: Option<Reason>,
}

impl From<ProblemKind> for Refusal {
    fn from(kind: ProblemKind) -> Self {
        Self { kind, reason: None }
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self {
            kind: ProblemKind::SealRefused,
            reason: Some(reason),
        }
    }
}

/// An outcome with its effects, or a refusal, which changes nothing.
pub type Decision<T> = Result<(T, Effects), Refusal>;

/// `Ok` when `holds`, else the refusal.
pub(super) fn ensure(holds: bool, otherwise: impl Into<Refusal>) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Who asks, as audit leaves name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requester {
    /// Person, invitee or the gateway itself.
    pub actor: Actor,
    /// Network address, truncated.
    pub peer: Option<String>,
    /// Id of the request.
    pub req_id: Option<String>,
}

impl Requester {
    /// A leaf about what was done.
    #[must_use]
    pub fn did(&self, event: EventType, object: Object, data: Option<Map<String, Value>>) -> LeafDraft {
        self.leaf(event, object, LeafOutcome::Ok, data)
    }

    /// A leaf about what was refused.
    #[must_use]
    pub fn was_refused(&self, event: EventType, object: Object, refusal: Refusal) -> LeafDraft {
        self.leaf(event, object, LeafOutcome::Denied(refusal.kind.name().to_owned()), None)
    }

    fn leaf(
        &self,
        event: EventType,
        object: Object,
        outcome: LeafOutcome,
        data: Option<Map<String, Value>>,
    ) -> LeafDraft {
        LeafDraft {
            event,
            outcome,
            actor: self.actor.clone(),
            object,
            peer: self.peer.clone(),
            req_id: self.req_id.clone(),
            data,
        }
    }
}

/// Objects of audit leaves.
pub mod object {
    use super::{Hash, InviteId, Label, Object, ObjectKind, OrgId, TransferId};

    fn named(kind: ObjectKind, id: impl std::fmt::Display) -> Object {
        Object {
            kind,
            id: id.to_string(),
        }
    }

    /// A transfer.
    #[must_use]
    pub fn transfer(id: &TransferId) -> Object {
        named(ObjectKind::Transfer, id)
    }

    /// A person.
    #[must_use]
    pub fn person(label: &Label) -> Object {
        named(ObjectKind::Person, label)
    }

    /// An invitation.
    #[must_use]
    pub fn invite(id: &InviteId) -> Object {
        named(ObjectKind::Invite, id)
    }

    /// The organisation.
    #[must_use]
    pub fn org(id: &OrgId) -> Object {
        named(ObjectKind::Org, id)
    }

    /// A link, by the hash of its id.
    #[must_use]
    pub fn link(hash: &Hash) -> Object {
        named(ObjectKind::Link, hash)
    }

    /// A log, by its origin.
    #[must_use]
    pub fn log(origin: &str) -> Object {
        named(ObjectKind::Log, origin)
    }
}

/// Facts of a leaf; absent ones are left out.
#[derive(Debug, Default)]
pub(super) struct Data(Map<String, Value>);

impl Data {
    pub(super) fn text(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.0.insert(name.to_owned(), Value::String(value.to_string()));
        self
    }

    pub(super) fn hash(self, name: &str, value: &Hash) -> Self {
        self.text(name, value)
    }

    pub(super) fn number(mut self, name: &str, value: u64) -> Self {
        self.0.insert(name.to_owned(), Value::from(value));
        self
    }

    pub(super) fn optional_hash(self, name: &str, value: Option<&Hash>) -> Self {
        match value {
            Some(hash) => self.hash(name, hash),
            None => self,
        }
    }

    pub(super) fn optional_number(self, name: &str, value: Option<u64>) -> Self {
        match value {
            Some(number) => self.number(name, number),
            None => self,
        }
    }

    pub(super) fn done(self) -> Option<Map<String, Value>> {
        Some(self.0)
    }
}
