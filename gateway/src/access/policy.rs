//! MAY: one table of who may do what (security.md 7.2). Whether the object is the caller's, the rules decide.

use sealpost_proto::key::service::Scope;
use sealpost_proto::log::EventType;

/// What somebody asks to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Found the organisation with the setup secret.
    Found,
    /// Redeem an invitation.
    Enrol,
    /// See where oneself stands.
    ReadSelf,
    /// Read statements, directory log and addresses.
    ReadDirectory,
    /// Offer statements to the directory.
    Append,
    /// Invite somebody.
    Invite,
    /// See the invitations and what was posted to them.
    ReadInvites,
    /// Announce, upload and seal.
    Send,
    /// See one's transfers.
    ReadTransfers,
    /// Open a transfer, read its bytes and post receipts.
    Open,
    /// Take a transfer back.
    Revoke,
    /// Hand the share of a held transfer over again.
    Rearm,
    /// Unlock or end a link.
    ChangeLink,
    /// Ask what is needed to prove that one knows a link's words.
    LookUpLink,
    /// Open a transfer by a link.
    RedeemLink,
    /// Read the audit log.
    ReadAudit,
}

impl Action {
    /// Every action.
    pub const ALL: [Self; 16] = [
        Self::Found,
        Self::Enrol,
        Self::ReadSelf,
        Self::ReadDirectory,
        Self::Append,
        Self::Invite,
        Self::ReadInvites,
        Self::Send,
        Self::ReadTransfers,
        Self::Open,
        Self::Revoke,
        Self::Rearm,
        Self::ChangeLink,
        Self::LookUpLink,
        Self::RedeemLink,
        Self::ReadAudit,
    ];

    /// The event whose leaf says that the policy refused it; none for reads that are counted only.
    #[must_use]
    pub const fn event(self) -> Option<EventType> {
        match self {
            Self::Invite => Some(EventType::KeyInvited),
            Self::ReadAudit => Some(EventType::AuditRead),
            Self::Send => Some(EventType::TransferCreated),
            Self::Open => Some(EventType::TransferOpened),
            Self::Found => Some(EventType::OrgCreated),
            Self::Enrol => Some(EventType::KeyEnrolled),
            Self::Revoke => Some(EventType::TransferRevoked),
            Self::Rearm => Some(EventType::TransferRearmed),
            Self::ChangeLink => Some(EventType::LinkRearmed),
            Self::RedeemLink => Some(EventType::LinkRedeemed),
            Self::ReadSelf
            | Self::ReadDirectory
            | Self::Append
            | Self::ReadInvites
            | Self::ReadTransfers
            | Self::LookUpLink => None,
        }
    }
}

/// What somebody is to the organisation. A person can be several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A device that no statement knows; it holds a setup or invitation secret.
    Newcomer,
    /// Somebody without an account, who has a link or says so.
    Visitor,
    /// A visitor whose key has an opening of the transfer in question.
    Guest,
    /// A device of a person of the directory.
    Member,
    /// Somebody with a registrar's key.
    Registrar,
    /// Somebody who may read the audit log.
    Auditor,
    /// A device of a service account, whatever its scopes.
    Service,
    /// A device of a service account with this scope.
    Scoped(Scope),
}

/// Whether a role may do it. What is not in the table is refused.
#[must_use]
pub(super) const fn permits(role: Role, action: Action) -> bool {
    match role {
        Role::Newcomer => matches!(action, Action::Found | Action::Enrol),
        Role::Visitor => matches!(action, Action::LookUpLink | Action::RedeemLink),
        Role::Guest => matches!(action, Action::Open),
        Role::Member => matches!(
            action,
            Action::ReadSelf
                | Action::ReadDirectory
                | Action::Append
                | Action::Send
                | Action::ReadTransfers
                | Action::Open
                | Action::Revoke
                | Action::Rearm
                | Action::ChangeLink
        ),
        Role::Registrar => matches!(action, Action::Invite | Action::ReadInvites),
        Role::Auditor => matches!(action, Action::ReadAudit),
        Role::Service => matches!(action, Action::ReadSelf | Action::ReadDirectory),
        Role::Scoped(Scope::Receive) => matches!(action, Action::ReadTransfers | Action::Open),
        Role::Scoped(Scope::Send) => matches!(
            action,
            Action::Send | Action::ReadTransfers | Action::Revoke | Action::Rearm
        ),
        Role::Scoped(Scope::Link) => matches!(action, Action::ChangeLink),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table once more, as people read it: who may, in letters. Of service accounts a capital S is for all of them, small letters are
    /// for those with the scope receive, send or link.
    const TABLE: [(Action, &str); 16] = [
        (Action::Found, "N"),
        (Action::Enrol, "N"),
        (Action::ReadSelf, "MS"),
        (Action::ReadDirectory, "MS"),
        (Action::Append, "M"),
        (Action::Invite, "R"),
        (Action::ReadInvites, "R"),
        (Action::Send, "Ms"),
        (Action::ReadTransfers, "Mrs"),
        (Action::Open, "GMr"),
        (Action::Revoke, "Ms"),
        (Action::Rearm, "Ms"),
        (Action::ChangeLink, "Ml"),
        (Action::LookUpLink, "V"),
        (Action::RedeemLink, "V"),
        (Action::ReadAudit, "A"),
    ];

    const ROLES: [(char, Role); 10] = [
        ('N', Role::Newcomer),
        ('V', Role::Visitor),
        ('G', Role::Guest),
        ('M', Role::Member),
        ('R', Role::Registrar),
        ('A', Role::Auditor),
        ('S', Role::Service),
        ('r', Role::Scoped(Scope::Receive)),
        ('s', Role::Scoped(Scope::Send)),
        ('l', Role::Scoped(Scope::Link)),
    ];

    #[test]
    fn the_code_is_the_table() {
        assert_eq!(TABLE.map(|(action, _)| action), Action::ALL);
        for (action, who) in TABLE {
            let may: String = ROLES
                .iter()
                .filter(|(_, role)| permits(*role, action))
                .map(|(letter, _)| letter)
                .collect();
            assert_eq!(may, who, "{action:?}");
        }
    }
}
