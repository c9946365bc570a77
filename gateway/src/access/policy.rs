//! MAY: one table of who may do what (security.md 7.2). Whether the object is the caller's, the rules decide.

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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table once more, written as people read it: newcomer, visitor, guest, member, registrar, auditor.
    const TABLE: [(Action, [bool; 6]); 16] = [
        (Action::Found, [true, false, false, false, false, false]),
        (Action::Enrol, [true, false, false, false, false, false]),
        (Action::ReadSelf, [false, false, false, true, false, false]),
        (Action::ReadDirectory, [false, false, false, true, false, false]),
        (Action::Append, [false, false, false, true, false, false]),
        (Action::Invite, [false, false, false, false, true, false]),
        (Action::ReadInvites, [false, false, false, false, true, false]),
        (Action::Send, [false, false, false, true, false, false]),
        (Action::ReadTransfers, [false, false, false, true, false, false]),
        (Action::Open, [false, false, true, true, false, false]),
        (Action::Revoke, [false, false, false, true, false, false]),
        (Action::Rearm, [false, false, false, true, false, false]),
        (Action::ChangeLink, [false, false, false, true, false, false]),
        (Action::LookUpLink, [false, true, false, false, false, false]),
        (Action::RedeemLink, [false, true, false, false, false, false]),
        (Action::ReadAudit, [false, false, false, false, false, true]),
    ];

    #[test]
    fn the_code_is_the_table() {
        let roles = [
            Role::Newcomer,
            Role::Visitor,
            Role::Guest,
            Role::Member,
            Role::Registrar,
            Role::Auditor,
        ];
        assert_eq!(TABLE.map(|(action, _)| action), Action::ALL);
        for (action, row) in TABLE {
            assert_eq!(roles.map(|role| permits(role, action)), row, "{action:?}");
        }
    }
}
