//! Service accounts: what their scopes, networks and time allow, and that every refusal with an event is written down.

use sealpost_proto::key::{Body, ServiceLimits, SignedStatement, Statement, StatementType, Validity};

use super::*;
use crate::access::Peer;
use crate::access::gatekeeper::REFUSALS_PER_HOUR;
use crate::domain::Change;

const HOME: &str = "10.1.2.3";

/// A door whose provider is a service account with these limits, good for `NOW` to `NOW + 60`.
fn door_of(scopes: &str, networks: &str) -> Door {
    let clinic = Clinic::new();
    let mut organisation = clinic.state.load(&[Key::Organisation]).organisation().cloned().unwrap();
    limit(&clinic, &mut organisation, scopes, networks);
    door_to(clinic, organisation)
}

/// The same where one person may ask so often in a second.
fn busy_door_of(scopes: &str, networks: &str, count: u32) -> Door {
    let Door { clinic, double, .. } = door_of(scopes, networks);
    door_at(
        clinic,
        Organisation::clone(&double.organisation),
        Rate::per_second(count, count),
    )
}

fn limit(clinic: &Clinic, organisation: &mut Organisation, scopes: &str, networks: &str) {
    let last = organisation.directory.as_ref().unwrap();
    let last = last.last(Some(clinic.provider.label), StatementType::Service);
    let limits = ServiceLimits {
        scopes: scopes.parse().unwrap(),
        networks: networks.parse().unwrap(),
        valid: Validity {
            not_before: NOW,
            not_after: NOW + 60,
        },
    };
    let statement = Statement {
        org: clinic.org,
        label: Some(clinic.provider.label),
        seq: last.map_or(1, |(seq, _)| seq + 1),
        prev: last.map(|(_, hash)| hash),
        body: Body::Service(limits),
    };
    let mut note = statement.note().unwrap();
    note.sign_as("rk", &clinic.registrar);
    let text = SignedStatement::try_from(note).unwrap().to_string();
    organisation.apply(&Change::StatementTaken { text }).unwrap();
}

/// A request without a body.
fn get(key: &SigningKey, created: u64, nonce: u8) -> Signed {
    let seen = Seen {
        origin: "gw/directory".to_owned(),
        size: 0,
        root: Hash::from_bytes(tree_head(&[])),
    };
    let (method, path, seen) = ("GET", "/v1/transfers", seen.to_string());
    let request = Request {
        method,
        authority: AUTHORITY,
        path,
        query: "",
        seen: Some(&seen),
        content_digest: None,
        content_length: None,
        idempotency_key: None,
        part_root: None,
    };
    let SignatureHeaders { input, signature } = http_signature::sign(&request, key, created, [nonce; 16]).unwrap();
    let headers = HeaderMap::new();
    let mut signed = Signed { method, path, headers };
    signed.set("sealpost-seen", &seen);
    signed.set("signature-input", &input);
    signed.set("signature", &signature);
    signed
}

impl Door {
    async fn by_service(&self, action: Action, from: Option<&str>, nonce: u8) -> Result<Grant, ProblemKind> {
        let now = self.clock.now_millis() / 1000;
        let signed = post(&self.clinic.provider.device, AUTHORITY, now, nonce);
        let peer = from.map(|address| Peer(address.parse().unwrap()));
        let admitted = self.gatekeeper.admit(&signed.head(), action, peer, "req").await;
        admitted
            .and_then(|admitted| admitted.with_body(BODY))
            .map_err(|error| error.kind())
    }

    /// Asks for stored bytes, which the rate of an account does not count.
    async fn in_bulk(&self, from: &str, nonce: u8) -> Result<(), ProblemKind> {
        let signed = get(&self.clinic.provider.device, NOW, nonce);
        let peer = Some(Peer(from.parse().unwrap()));
        let admitted = self.gatekeeper.admit(&signed.head(), Action::Open, peer, "req").await;
        admitted.map(drop).map_err(|error| error.kind())
    }

    fn refusals(&self) -> Vec<LeafOutcome> {
        let leaves = std::mem::take(&mut *self.double.leaves.lock().unwrap());
        leaves.into_iter().map(|leaf| leaf.outcome).collect()
    }
}

/// Everything that an account with these scopes may do, from where it may be.
async fn allowed(scopes: &str) -> Vec<Action> {
    let door = door_of(scopes, "10.0.0.0/8");
    let mut allowed = Vec::new();
    for (nonce, action) in (0..).zip(Action::ALL) {
        if door.by_service(action, Some(HOME), nonce).await.is_ok() {
            allowed.push(action);
        }
    }
    allowed
}

#[tokio::test]
async fn scopes_say_what_may_be_done() {
    use Action::{ChangeLink, Open, ReadDirectory, ReadSelf, ReadTransfers, Rearm, Revoke, Send};
    let receive = [ReadSelf, ReadDirectory, ReadTransfers, Open];
    let send = [ReadSelf, ReadDirectory, Send, ReadTransfers, Revoke, Rearm];
    assert_eq!(allowed("receive").await, receive);
    assert_eq!(allowed("send").await, send);
    assert_eq!(allowed("link").await, [ReadSelf, ReadDirectory, ChangeLink]);
    let all = [
        ReadSelf,
        ReadDirectory,
        Send,
        ReadTransfers,
        Open,
        Revoke,
        Rearm,
        ChangeLink,
    ];
    assert_eq!(allowed("receive send link").await, all);
}

#[tokio::test]
async fn a_seal_with_links_needs_their_scope_as_well() {
    for (scopes, outcome) in [("send", Err(ProblemKind::Forbidden.into())), ("send link", Ok(()))] {
        let door = door_of(scopes, "any");
        let grant = door.by_service(Action::Send, None, 1).await.unwrap();
        assert_eq!(grant.also(Action::ChangeLink), outcome, "{scopes}");
    }
    let door = door();
    let grant = door.try_as(&door.own(NOW, 1), Action::Send).await.unwrap();
    assert_eq!(grant.also(Action::ChangeLink), Ok(()), "members may");
}

#[tokio::test]
async fn networks_say_from_where() {
    let door = door_of("receive", "10.0.0.0/8 2001:db8::/32");
    for (nonce, (from, is_inside)) in (0..).zip([
        (Some(HOME), true),
        (Some("::ffff:10.1.2.3"), true),
        (Some("2001:db8::1"), true),
        (Some("192.0.2.1"), false),
        (Some("127.0.0.1"), false),
        (None, false),
    ]) {
        let outcome = door.by_service(Action::ReadSelf, from, nonce).await.map(drop);
        let expected = if is_inside {
            Ok(())
        } else {
            Err(ProblemKind::ServiceElsewhere)
        };
        assert_eq!(outcome, expected, "{from:?}");
    }
    let anywhere = door_of("receive", "any");
    assert!(anywhere.by_service(Action::ReadSelf, None, 1).await.is_ok());
}

#[tokio::test]
async fn an_account_ends_with_its_time_and_a_person_does_not() {
    let door = door_of("send", "any");
    door.clock.set_now((NOW + 60) * 1000);
    assert!(
        door.by_service(Action::Send, None, 1).await.is_ok(),
        "in its last second"
    );
    door.clock.set_now((NOW + 61) * 1000);
    let over = door.by_service(Action::ReadSelf, None, 2).await.map(drop);
    assert_eq!(over, Err(ProblemKind::ServiceOver));
    assert!(
        door.try_as(&door.own(NOW + 61, 1), Action::Send).await.is_ok(),
        "somebody else"
    );
    door.clock.set_now((NOW - 1) * 1000);
    let early = door.by_service(Action::ReadSelf, None, 3).await.map(drop);
    assert_eq!(early, Err(ProblemKind::ServiceOver), "not yet");
}

#[tokio::test]
async fn every_refusal_with_an_event_is_a_leaf() {
    let door = door_of("receive", "10.0.0.0/8");
    let refused = |reason: &str| vec![LeafOutcome::Denied(reason.to_owned())];
    let mut nonce = 0;
    for (action, from, leaves) in [
        (Action::Send, HOME, refused("forbidden")),
        (Action::Invite, HOME, refused("forbidden")),
        (Action::ReadAudit, HOME, refused("forbidden")),
        (Action::Open, "192.0.2.1", refused("service_elsewhere")),
        (Action::ReadTransfers, "192.0.2.1", vec![]),
        (Action::Append, HOME, vec![]),
    ] {
        nonce += 1;
        let outcome = door.by_service(action, Some(from), nonce).await.map(drop);
        assert!(outcome.is_err(), "{action:?}");
        assert_eq!(door.refusals(), leaves, "{action:?}");
    }
    door.clock.set_now((NOW + 61) * 1000);
    assert!(door.by_service(Action::Open, Some(HOME), 99).await.is_err());
    assert_eq!(door.refusals(), refused("service_over"));
}

#[tokio::test]
async fn a_grant_is_not_renewed_once_the_account_is_narrowed() {
    let door = door_of("receive", "10.0.0.0/8");
    let grant = door.by_service(Action::ReadTransfers, Some(HOME), 1).await.unwrap();
    let renewed = |scopes: &'static str, networks: &'static str| {
        let mut organisation = Organisation::clone(&door.double.organisation);
        limit(&door.clinic, &mut organisation, scopes, networks);
        let (grant, later) = (grant.clone(), door_to(door.clinic.clone(), organisation));
        async move { later.gatekeeper.renew(&grant).await.map_err(|error| error.kind()) }
    };
    assert_eq!(
        door.gatekeeper.renew(&grant).await.map_err(|error| error.kind()),
        Ok(())
    );
    assert_eq!(renewed("receive send", "10.1.0.0/16").await, Ok(()));
    assert_eq!(
        renewed("send", "10.0.0.0/8").await,
        Ok(()),
        "whoever sends sees transfers as well"
    );
    assert_eq!(renewed("link", "10.0.0.0/8").await, Err(ProblemKind::Forbidden));
    assert_eq!(
        renewed("receive", "10.2.0.0/16").await,
        Err(ProblemKind::ServiceElsewhere)
    );
    door.clock.set_now((NOW + 61) * 1000);
    assert_eq!(
        door.gatekeeper.renew(&grant).await.map_err(|error| error.kind()),
        Err(ProblemKind::ServiceOver)
    );
}

#[tokio::test]
async fn whoever_is_refused_in_bulk_does_not_fill_the_log() {
    let door = door_of("send", "10.0.0.0/8");
    let most = usize::try_from(REFUSALS_PER_HOUR).unwrap();
    let mut nonce = 0;
    let mut ask = async |from: &str, times: usize| {
        let mut outcomes = Vec::new();
        for _ in 0..times {
            nonce += 1;
            outcomes.push(door.in_bulk(from, nonce).await.unwrap_err());
        }
        // This ledger keeps leaves and then says that it cannot write.
        let written = outcomes.iter().filter(|kind| **kind == ProblemKind::AuditUnavailable);
        let written = written.count();
        let refused = outcomes.iter().filter(|kind| **kind == ProblemKind::Forbidden);
        assert_eq!((door.refusals().len(), refused.count()), (written, times - written));
        written
    };
    assert_eq!(ask(HOME, most + 10).await, most, "the others are refused all the same");
    assert_eq!(ask("10.1.2.4", 3).await, 0, "an address of the same network");
    assert_eq!(ask("10.9.9.9", 3).await, 3, "another network");
    door.clock.set(NOW * 1000, 1_000 + 60_000);
    assert_eq!(ask(HOME, 3).await, 1, "a minute later there is room for another");
}

#[tokio::test]
async fn a_key_that_was_carried_elsewhere_uses_up_nothing_of_its_account() {
    let door = busy_door_of("receive", "10.0.0.0/8", 2);
    let mut nonce = 0;
    let mut ask = async |from: &str| {
        nonce += 1;
        door.by_service(Action::ReadTransfers, Some(from), nonce)
            .await
            .map(drop)
    };
    for _ in 0..10 {
        assert_eq!(ask("192.0.2.1").await, Err(ProblemKind::ServiceElsewhere));
    }
    assert_eq!((ask(HOME).await, ask(HOME).await), (Ok(()), Ok(())));
    assert_eq!(ask(HOME).await, Err(ProblemKind::TooManyRequests));
    assert_eq!(ask("192.0.2.1").await, Err(ProblemKind::ServiceElsewhere));
}

#[tokio::test]
async fn a_key_that_was_carried_elsewhere_does_not_fill_the_log() {
    let door = door_of("receive", "10.0.0.0/8");
    for nonce in 0..200 {
        let outcome = door.in_bulk("192.0.2.1", nonce).await.unwrap_err();
        let is_written = u32::from(nonce) < REFUSALS_PER_HOUR;
        let expected = if is_written {
            ProblemKind::AuditUnavailable
        } else {
            ProblemKind::ServiceElsewhere
        };
        assert_eq!(outcome, expected, "{nonce}");
    }
    assert_eq!(door.refusals().len(), usize::try_from(REFUSALS_PER_HOUR).unwrap());
}
