use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use http::{HeaderMap, HeaderName, HeaderValue};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::http_signature::{self, Request, Seen, SignatureHeaders, content_digest};
use sealpost_proto::id::{Hash, InviteId, Label, TransferId};
use sealpost_proto::log::LeafOutcome;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::tree::tree_head;

use super::rates::Rate;
use super::{AccessError, Action, Gatekeeper, Grant, Head, Settings};
use crate::clock::Clock;
use crate::clock::fixture::TestClock;
use crate::domain::fixture::{Clinic, NOW};
use crate::domain::{Invite, Key, LeafDraft, Loaded, Organisation, Stamp, Transfer};
use crate::random::SystemRandom;
use crate::store::StoreError;
use crate::store::embedded::EmbeddedLedger;
use crate::store::folder::PrivateFolder;
use crate::store::ledger::{Committed, Decide, Ledger};
use crate::store::views::{MostWatches, Page, Places, TooMany, Views, Watch};

mod restart;
mod services;

const AUTHORITY: &str = "gw.example:8443";
const BODY: &[u8] = b"{}";

/// The organisation of a clinic, and a ledger that keeps leaves and then says that it cannot write.
struct Double {
    organisation: Arc<Organisation>,
    leaves: Mutex<Vec<LeafDraft>>,
}

#[async_trait]
impl Views for Double {
    async fn organisation(&self) -> Result<Arc<Organisation>, StoreError> {
        Ok(Arc::clone(&self.organisation))
    }
    async fn transfer(&self, _: &TransferId) -> Result<Option<Arc<Transfer>>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn link(&self, _: &Hash) -> Result<Option<TransferId>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn invite(&self, _: &InviteId) -> Result<Option<Arc<Invite>>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn invites(&self) -> Result<Vec<Arc<Invite>>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn inbox(&self, _: &Label, _: Option<u64>, _: usize) -> Result<Page, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn inbox_after(&self, _: &Label, _: u64, _: usize) -> Result<Places, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn position(&self) -> Result<u64, StoreError> {
        Err(StoreError::NotFound)
    }
    fn watch(&self, _: &Label, _: MostWatches) -> Result<Watch, TooMany> {
        Err(TooMany::OfAll)
    }
    async fn sent(&self, _: &Label, _: Option<u64>, _: usize) -> Result<Page, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn due(&self, _: u64, _: usize) -> Result<Vec<TransferId>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn sealed_unended(&self, _: Option<TransferId>, _: usize) -> Result<Vec<TransferId>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn stored_bytes(&self, _: Option<&Label>) -> Result<u64, StoreError> {
        Err(StoreError::NotFound)
    }
}

#[async_trait]
impl Ledger for Double {
    async fn commit(&self, keys: Vec<Key>, mut decide: Decide) -> Result<Committed, StoreError> {
        let effects = decide(&Loaded::default(), Stamp { millis: 0 });
        assert!(effects.changes.iter().all(|change| keys.contains(&change.key())));
        self.leaves.lock().unwrap().extend(effects.leaves);
        Err(StoreError::Unavailable(std::io::Error::other("full")))
    }
    async fn audit_leaves(&self, _: u64, _: usize) -> Result<Vec<String>, StoreError> {
        Err(StoreError::NotFound)
    }
    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        Err(StoreError::NotFound)
    }
}

struct Door {
    clinic: Clinic,
    clock: Arc<TestClock>,
    double: Arc<Double>,
    gatekeeper: Gatekeeper,
}

fn door() -> Door {
    let clinic = Clinic::new();
    let organisation = clinic.state.load(&[Key::Organisation]).organisation().cloned().unwrap();
    door_to(clinic, organisation)
}

fn door_to(clinic: Clinic, organisation: Organisation) -> Door {
    door_at(clinic, organisation, None)
}

/// A door with a bound on how often one person may ask.
fn door_at(clinic: Clinic, organisation: Organisation, account_rate: Option<Rate>) -> Door {
    let clock = Arc::new(TestClock::new(NOW * 1000));
    let double = Arc::new(Double {
        organisation: Arc::new(organisation),
        leaves: Mutex::new(Vec::new()),
    });
    let settings = Settings {
        authority: AUTHORITY.to_owned(),
        gateway: clinic.gateway.clone(),
        started_at: NOW - 30,
        ahead: BTreeMap::new(),
        account_rate,
    };
    let gatekeeper = Gatekeeper::new(settings, double.clone(), double.clone(), clock.clone());
    Door {
        clinic,
        clock,
        double,
        gatekeeper,
    }
}

/// A signed request, every part of which a test may change before or after it is signed.
#[derive(Clone)]
struct Signed {
    method: &'static str,
    path: &'static str,
    headers: HeaderMap,
}

impl Signed {
    fn head(&self) -> Head<'_> {
        Head {
            method: self.method,
            path: self.path,
            query: "",
            headers: &self.headers,
        }
    }

    fn set(&mut self, name: &'static str, value: &str) {
        let name = HeaderName::from_static(name);
        self.headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
}

/// What a client would send, signed with `key`.
fn post(key: &SigningKey, authority: &str, created: u64, nonce: u8) -> Signed {
    let digest = content_digest(BODY);
    let seen = Seen {
        origin: "gw/directory".to_owned(),
        size: 0,
        root: Hash::from_bytes(tree_head(&[])),
    };
    post_with(key, authority, created, nonce, &digest, &seen.to_string())
}

fn post_with(key: &SigningKey, authority: &str, created: u64, nonce: u8, digest: &str, seen: &str) -> Signed {
    let request = Request {
        method: "POST",
        authority,
        path: "/v1/transfers",
        query: "",
        seen: Some(seen),
        content_digest: Some(digest),
        content_length: Some("2"),
        idempotency_key: Some("5e0a4ff5-9bf8-4f0c-9d2e-0c9b8d5d9b11"),
        part_root: None,
    };
    let SignatureHeaders { input, signature } = http_signature::sign(&request, key, created, [nonce; 16]).unwrap();
    let mut signed = Signed {
        method: "POST",
        path: "/v1/transfers",
        headers: HeaderMap::new(),
    };
    for (name, value) in [
        ("sealpost-seen", seen),
        ("content-digest", digest),
        ("content-length", "2"),
        ("idempotency-key", "5e0a4ff5-9bf8-4f0c-9d2e-0c9b8d5d9b11"),
        ("signature-input", &input),
        ("signature", &signature),
    ] {
        signed.set(name, value);
    }
    signed
}

impl Door {
    fn own(&self, created: u64, nonce: u8) -> Signed {
        post(&self.clinic.admin.device, AUTHORITY, created, nonce)
    }

    async fn try_as(&self, signed: &Signed, action: Action) -> Result<Grant, AccessError> {
        let admitted = self.gatekeeper.admit(&signed.head(), action, None, "req").await?;
        admitted.with_body(BODY)
    }

    async fn refusal(&self, signed: &Signed) -> ProblemKind {
        self.try_as(signed, Action::Send).await.unwrap_err().kind()
    }
}

#[tokio::test]
async fn a_device_of_the_directory_is_admitted_and_named() {
    let door = door();
    let grant = door.try_as(&door.own(NOW, 1), Action::Send).await.unwrap();
    assert_eq!(grant.member(), Ok(door.clinic.admin.trusted()));
    assert_eq!(grant.requester().actor.id, door.clinic.admin.label.to_string());
    assert!(grant.is_registrar() && grant.is_auditor());
    assert!(grant.signature_base().contains("\"content-digest\": sha-256=:"));
}

#[tokio::test]
async fn n86_n87_body_without_digest_or_with_another() {
    let door = door();
    let mut without = door.own(NOW, 1);
    without.headers.remove("content-digest");
    assert_eq!(door.refusal(&without).await, ProblemKind::Unauthenticated, "N86");
    let mut replaced = door.own(NOW, 2);
    replaced.set("content-digest", &content_digest(b"[]"));
    assert_eq!(
        door.refusal(&replaced).await,
        ProblemKind::Unauthenticated,
        "the digest is signed"
    );
    let head = door.own(NOW, 3);
    let admitted = door
        .gatekeeper
        .admit(&head.head(), Action::Send, None, "req")
        .await
        .unwrap();
    assert_eq!(
        admitted.with_body(b"[]").unwrap_err().kind(),
        ProblemKind::DigestMismatch,
        "N87"
    );
    let head = door.own(NOW, 4);
    let admitted = door
        .gatekeeper
        .admit(&head.head(), Action::Send, None, "req")
        .await
        .unwrap();
    assert_eq!(
        admitted.with_body(b"{} ").unwrap_err().kind(),
        ProblemKind::DigestMismatch,
        "longer than stated"
    );
    let head = door.own(NOW, 5);
    let admitted = door
        .gatekeeper
        .admit(&head.head(), Action::Send, None, "req")
        .await
        .unwrap();
    assert_eq!(
        admitted.without_digest().unwrap_err().kind(),
        ProblemKind::DigestMismatch,
        "unread"
    );
    let mut no_length = door.own(NOW, 6);
    no_length.headers.remove("content-length");
    assert_eq!(door.refusal(&no_length).await, ProblemKind::LengthRequired);
}

#[tokio::test]
async fn n88_n89_stale_future_and_replayed() {
    let door = door();
    for created in [NOW - 121, NOW + 121] {
        let error = door.try_as(&door.own(created, 1), Action::Send).await.unwrap_err();
        assert!(matches!(error, AccessError::ClockSkew { now } if now == NOW), "N88");
    }
    let signed = door.own(NOW - 20, 2);
    door.try_as(&signed, Action::Send).await.unwrap();
    assert_eq!(door.refusal(&signed).await, ProblemKind::Replayed, "N89");
    door.clock.set_now((NOW + 90) * 1000);
    assert_eq!(door.refusal(&signed).await, ProblemKind::Replayed, "N89, later");
    door.clock.set_now(NOW * 1000);
    assert_eq!(
        door.refusal(&door.own(NOW - 31, 3)).await,
        ProblemKind::Replayed,
        "signed before the start"
    );
    assert_eq!(
        door.refusal(&door.own(NOW - 30, 3)).await,
        ProblemKind::Replayed,
        "signed in the second of the start"
    );
}

#[tokio::test]
async fn a_signature_from_the_future_is_written_down_or_refused() {
    let door = door();
    assert_eq!(door.refusal(&door.own(NOW + 1, 1)).await, ProblemKind::AuditUnavailable);
    door.try_as(&door.own(NOW, 2), Action::Send)
        .await
        .expect("the clock tells this one");
}

#[tokio::test]
async fn n90_n91_two_labels_doubled_headers_another_authority() {
    let door = door();
    let good = door.own(NOW, 1);
    let mut two_labels = good.clone();
    let input = good.headers["signature-input"].to_str().unwrap();
    two_labels.set("signature-input", &format!("{input}, other={input}"));
    assert_eq!(door.refusal(&two_labels).await, ProblemKind::Unauthenticated, "N90");
    for name in [
        "signature",
        "signature-input",
        "content-digest",
        "sealpost-seen",
        "idempotency-key",
    ] {
        let mut doubled = good.clone();
        let value = doubled.headers[name].clone();
        doubled.headers.append(HeaderName::from_static(name), value);
        assert_eq!(
            door.refusal(&doubled).await,
            ProblemKind::Unauthenticated,
            "{name} twice"
        );
    }
    let elsewhere = post(&door.clinic.admin.device, "evil.example", NOW, 2);
    assert_eq!(door.refusal(&elsewhere).await, ProblemKind::Unauthenticated, "N91");
    let mut other_path = good.clone();
    other_path.path = "/v1/org";
    assert_eq!(door.refusal(&other_path).await, ProblemKind::Unauthenticated);
    door.try_as(&good, Action::Send)
        .await
        .expect("none of them used up the nonce");
}

#[tokio::test]
async fn strangers_and_newcomers() {
    let door = door();
    let stranger = SigningKey::from_seed(&[77; 32]);
    let signed = post(&stranger, AUTHORITY, NOW, 1);
    assert_eq!(door.refusal(&signed).await, ProblemKind::Unauthenticated);
    let welcomed = door
        .gatekeeper
        .welcome(&signed.head(), Action::Enrol, None, "req")
        .unwrap();
    let grant = welcomed.with_body(BODY).unwrap();
    assert_eq!(grant.device(), stranger.public());
    assert!(grant.member().is_err());
    let other = door.gatekeeper.welcome(&signed.head(), Action::Send, None, "req");
    assert_eq!(other.unwrap_err().kind(), ProblemKind::Forbidden);

    let mut organisation = Organisation::clone(&door.double.organisation);
    organisation
        .waiting
        .insert(stranger.public(), InviteId::from_bytes([1; 16]));
    let waiting = super::gatekeeper::recognise(&organisation, &stranger.public(), NOW);
    assert_eq!(waiting, Err(ProblemKind::Unconfirmed));
}

#[tokio::test]
async fn a_caller_who_has_seen_more_or_something_else_is_not_answered() {
    let door = door();
    let own = &door.double.organisation;
    let mut nonce = 0;
    for (size, root, expected) in [
        (own.size(), own.head(), None),
        (4, own.head_at(4).unwrap(), None),
        (own.size() + 1, own.head(), Some(ProblemKind::DirectoryBehind)),
        (4, own.head(), Some(ProblemKind::DirectoryBehind)),
        (0, own.head(), Some(ProblemKind::DirectoryBehind)),
    ] {
        nonce += 1;
        let origin = "gw/directory".to_owned();
        let seen = Seen { origin, size, root }.to_string();
        let device = &door.clinic.admin.device;
        let signed = post_with(device, AUTHORITY, NOW, nonce, &content_digest(BODY), &seen);
        let outcome = door.try_as(&signed, Action::Send).await.map_err(|error| error.kind());
        assert_eq!(outcome.err(), expected, "size {size}");
    }
}

#[tokio::test]
async fn what_the_policy_refuses_is_written_down_or_fails_closed() {
    let door = door();
    let by_provider = |nonce| post(&door.clinic.provider.device, AUTHORITY, NOW, nonce);
    let refused = door.try_as(&by_provider(1), Action::Invite).await.unwrap_err();
    assert_eq!(
        refused.kind(),
        ProblemKind::AuditUnavailable,
        "this ledger cannot write"
    );
    let leaves = door.double.leaves.lock().unwrap().clone();
    assert_eq!(leaves.len(), 1);
    assert_eq!(leaves[0].outcome, LeafOutcome::Denied("forbidden".to_owned()));
    assert_eq!(leaves[0].actor.id, door.clinic.provider.label.to_string());
    let read = door.try_as(&by_provider(2), Action::ReadInvites).await.unwrap_err();
    assert_eq!(
        read.kind(),
        ProblemKind::Forbidden,
        "reads without an event are counted only"
    );
}
