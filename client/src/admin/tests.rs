//! Posted keys: the invitee's are confirmed; planted, forged, late or too long-lived ones are not.

use super::*;
use crate::enrolment::tests::{invited, posted};
use crate::env::Env;

/// The invitation of this string as the gateway lists it, with keys posted.
fn summary(registrar: &Account, string: &EnrolmentString) -> InviteSummary {
    let (_, request) = posted(string);
    let label = registrar.label_of(&string.to);
    let expires_at = Env::system().now() + 1_000;
    let terms = Terms {
        invite: &string.invite,
        label: &label,
        address: &string.to,
        expires_at,
    };
    let secret_box = invite_box::seal(&registrar.state_key, terms, &string.secret, &Env::system()).unwrap();
    InviteSummary {
        invite: string.invite,
        label,
        address: string.to.clone(),
        expires_at,
        state: InviteState::Posted,
        secret_box: Base64(secret_box),
        posted: Some(PostedKeys {
            member: request.member,
            device: request.device,
            mac: request.mac,
            posted_at: expires_at - 1,
        }),
    }
}

fn check(registrar: &Account, invite: &InviteSummary) -> Result<Option<Confirmable>, Error> {
    check_posted(registrar, invite, Env::system().now())
}

fn assert_refused(registrar: &Account, invite: &InviteSummary, what: &str) {
    let refused = check(registrar, invite);
    assert!(matches!(refused, Err(Error::NotTheInvitee(..))), "{what}: {refused:?}");
}

/// `string` with a secret that somebody else drew.
fn with_own_secret(string: &EnrolmentString) -> EnrolmentString {
    EnrolmentString {
        secret: Secret::from_bytes([9; 32]),
        ..string.clone()
    }
}

#[test]
fn the_invitees_keys_can_be_confirmed() {
    let (registrar, _, string) = invited();
    let invite = summary(&registrar, &string);
    let confirmable = check(&registrar, &invite).unwrap().unwrap();
    assert_eq!(confirmable.address, string.to);
    assert_eq!(
        confirmable.check_number,
        check_number(&string.org, &confirmable.identity),
        "the invitee, who knows the string and the own key, sees the same number"
    );
    let open = InviteSummary {
        state: InviteState::Open,
        posted: None,
        ..invite
    };
    assert!(check(&registrar, &open).unwrap().is_none());
}

#[test]
fn n104_keys_that_the_gateway_planted_are_refused() {
    let (registrar, _, string) = invited();
    let good = summary(&registrar, &string);
    let planted = summary(&registrar, &with_own_secret(&string)).posted;
    let swapped_keys = InviteSummary {
        posted: planted,
        ..good.clone()
    };
    let mut mixed = good.clone();
    mixed.posted.as_mut().unwrap().device = summary(&registrar, &string).posted.unwrap().device;
    let mut other_invite = good.clone();
    other_invite.invite = InviteId::from_bytes([7; 16]);
    let (stranger, _, _) = invited();
    let other_box = InviteSummary {
        secret_box: summary(&stranger, &string).secret_box,
        ..good
    };
    for (bad, what) in [
        (swapped_keys, "another's keys"),
        (mixed, "keys of two people"),
        (other_invite, "another invitation"),
        (other_box, "another registrar's box"),
    ] {
        assert_refused(&registrar, &bad, what);
    }
}

#[test]
fn only_a_registrar_confirms() {
    let (mut account, _, string) = invited();
    let invite = summary(&account, &string);
    account.registrar = None;
    assert!(matches!(check(&account, &invite), Err(Error::NotRegistrar)));
}

/// The gateway draws a secret of its own, posts its own keys under it, and makes the box for the registrar with everything that
/// is public: the directory, the statements and what `GET /v1/invites` carries.
#[test]
fn a_box_made_from_public_values_is_refused() {
    let (registrar, _, string) = invited();
    let drawn = with_own_secret(&string);
    let genuine = summary(&registrar, &drawn);
    assert!(check(&registrar, &genuine).is_ok(), "the keys and the MAC are right");

    let public = registrar.newest_encryption().unwrap().key.public();
    let kid = public.kid();
    let info = [
        &b"sealpost/v1/invite-secret\0"[..],
        drawn.invite.as_bytes(),
        genuine.label.as_bytes(),
        kid.as_bytes(),
    ];
    let mut rng = Env::system().rng();
    let hpke = sealpost_sealed::seal_secret(
        sealpost_sealed::FAST,
        public,
        &info.concat(),
        drawn.secret.as_bytes(),
        &mut rng,
    );
    let to_public_key = [&kid.as_bytes()[..], &hpke.unwrap()].concat();
    let guessed_key = |key: [u8; 32]| {
        let terms = Terms {
            invite: &genuine.invite,
            label: &genuine.label,
            address: &genuine.address,
            expires_at: genuine.expires_at,
        };
        invite_box::seal(&Secret::from_bytes(key), terms, &drawn.secret, &Env::system()).unwrap()
    };
    for forged in [
        to_public_key,
        guessed_key([0; 32]),
        guessed_key(*registrar.identity.public().as_bytes()),
        guessed_key(*registrar.org.as_bytes()),
        guessed_key(*kid.as_bytes()),
    ] {
        let mut invite = genuine.clone();
        invite.secret_box = Base64(forged);
        assert_refused(&registrar, &invite, "a forged box");
    }
}

#[test]
fn the_list_cannot_change_whom_or_until_when() {
    let (registrar, _, string) = invited();
    let good = summary(&registrar, &string);
    let mut other_address = good.clone();
    other_address.address = "somebody@b.example".parse().unwrap();
    assert_refused(&registrar, &other_address, "another address");
    // The keys of another person, with a label that fits the address: the box is still the first one's.
    let mut other_person = good.clone();
    other_person.address = "somebody@b.example".parse().unwrap();
    other_person.label = registrar.label_of(&other_person.address);
    assert_refused(&registrar, &other_person, "another address and its label");
    let mut longer = good.clone();
    longer.expires_at += 1_000_000;
    assert_refused(&registrar, &longer, "a longer time");
    let mut late = good;
    late.posted.as_mut().unwrap().posted_at = late.expires_at + 1;
    assert_refused(&registrar, &late, "keys that came too late");
}

#[test]
fn keys_that_would_outlive_a_year_are_not_signed() {
    let (registrar, _, string) = invited();
    let good = summary(&registrar, &string);
    let now = Env::system().now();
    let after = |seconds: u64| check_posted(&registrar, &good, now + seconds);
    assert!(after(0).is_ok());
    let from_the_future = check_posted(&registrar, &good, now - 2 * 86_400);
    assert!(
        matches!(from_the_future, Err(Error::NotTheInvitee(..))),
        "{from_the_future:?}"
    );

    let year = crate::founding::VALID_SECONDS;
    let valid = |not_before, not_after| Validity { not_before, not_after };
    assert!(is_usual(&valid(now - 3_600, now + year), now));
    assert!(!is_usual(&valid(now - 3_600, now + 2 * year), now));
    assert!(!is_usual(&valid(0, now + year), now), "too long in all");
    assert!(!is_usual(&valid(now + 2, now + 1), now), "ends before it begins");
    assert!(!is_usual(&valid(0, u64::MAX), u64::MAX));
}
