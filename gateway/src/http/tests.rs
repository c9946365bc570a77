//! The routes over the real stores, without sockets: what each answers to parties, to others, and to what is malformed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use sealpost_proto::api::{OpenResponse, TransferState, TransferSummary, TransfersResponse};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::http_signature::{self, content_digest};
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::log::{EventType, Leaf, LeafOutcome};
use sealpost_proto::problem::{Problem, ProblemKind};
use sealpost_proto::tree::tree_head;
use tokio::sync::{Notify, RwLock};
use tower::ServiceExt;

use super::*;
use crate::access::rates::Rate;
use crate::access::{Gatekeeper, Settings};
use crate::clock::Clock;
use crate::clock::fixture::TestClock;
use crate::domain::fixture::{Clinic, NOW, Person, SHARE};
use crate::domain::sealing::SealCommand;
use crate::domain::{Change, Effects, Key};
use crate::random::SystemRandom;
use crate::service::{self, Checkpoints, DiskSpace, Identity, Ports, Service, SetupDoor};
use crate::store::StoreError;
use crate::store::blob::BlobStore;
use crate::store::embedded::{EmbeddedLedger, EmbeddedShares};
use crate::store::folder::PrivateFolder;
use crate::store::fs::FsBlobs;
use crate::store::ledger::{Ledger, transact};
use crate::store::share::ShareStore;
use crate::store::views::MostWatches;
use crate::worker::ShareShredder;

mod clock;
mod faults;
mod feed;
mod idempotency;
mod limits;
mod links;
mod order;
mod races;
mod revoking;

const ID: TransferId = TransferId::from_bytes([1; 16]);
const AUTHORITY: &str = "gw.example:8443";

struct NoCheckpoints;

#[async_trait]
impl Checkpoints for NoCheckpoints {
    async fn directory(&self) -> Result<String, StoreError> {
        Ok("directory".to_owned())
    }
    async fn audit(&self) -> Result<String, StoreError> {
        Ok("audit".to_owned())
    }
}

struct Closed;

impl SetupDoor for Closed {
    fn is_auth(&self, _: &[u8]) -> bool {
        false
    }
    fn close(&self) {}
}

struct House {
    router: Router,
    diary: order::Diary,
    clinic: Clinic,
    third: Person,
    ledger: Arc<EmbeddedLedger>,
    shares: Arc<EmbeddedShares>,
    clock: Arc<TestClock>,
    nonce: AtomicU64,
    _root: tempfile::TempDir,
}

/// A request to be signed.
#[derive(Clone)]
struct Ask {
    method: &'static str,
    path: String,
    query: &'static str,
    media_type: &'static str,
    body: Vec<u8>,
    part_root: Option<Hash>,
    range: Option<&'static str>,
    /// Its idempotency key; one that nobody used if there is none.
    key: Option<u128>,
}

fn get(path: impl Into<String>) -> Ask {
    Ask {
        method: "GET",
        path: path.into(),
        query: "",
        media_type: "application/json",
        body: Vec::new(),
        part_root: None,
        range: None,
        key: None,
    }
}

fn post(path: impl Into<String>, body: impl Into<Vec<u8>>) -> Ask {
    Ask {
        method: "POST",
        body: body.into(),
        ..get(path)
    }
}

fn of(tail: &str) -> String {
    format!("/v1/transfers/{ID}{tail}")
}

async fn house() -> House {
    house_over(|blobs| blobs).await
}

/// The same over the blob store that `over` makes of the real one.
async fn house_over(over: impl FnOnce(Arc<dyn BlobStore>) -> Arc<dyn BlobStore>) -> House {
    house_of(over, Bounds::default()).await
}

/// What a test can set beside the stores.
struct Bounds {
    account_rate: Option<Rate>,
    addresses: AddressRates,
    disk: Arc<Disk>,
    stored_bytes: u64,
    stored_bytes_per_member: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            account_rate: None,
            addresses: AddressRates::default(),
            disk: Arc::new(Disk(AtomicU64::new(10))),
            stored_bytes: 0,
            stored_bytes_per_member: 0,
        }
    }
}

/// A disk that is so full, in percent; one percent of it are 20,000 bytes.
struct Disk(AtomicU64);

impl DiskSpace for Disk {
    fn used_percent(&self) -> std::io::Result<u8> {
        self.used_percent_with(0)
    }
    fn used_percent_with(&self, bytes: u64) -> std::io::Result<u8> {
        Ok(u8::try_from(self.0.load(Ordering::SeqCst) + bytes / 20_000).unwrap_or(100))
    }
}

async fn house_of(over: impl FnOnce(Arc<dyn BlobStore>) -> Arc<dyn BlobStore>, bounds: Bounds) -> House {
    let clinic = Clinic::new();
    let third = Person::new(3);
    let root = tempfile::tempdir().unwrap();
    let data = PrivateFolder::open(&root.path().join("data")).unwrap();
    let ring = PrivateFolder::open(&root.path().join("ring")).unwrap();
    let clock = Arc::new(TestClock::new(NOW * 1000));
    let random = Arc::new(SystemRandom);
    let ledger = EmbeddedLedger::open(&data, "1", clock.clone(), random.clone()).unwrap();
    let ledger = Arc::new(ledger);
    found(&ledger, &clinic, &third).await;
    let settings = Settings {
        authority: AUTHORITY.to_owned(),
        gateway: clinic.gateway.clone(),
        started_at: NOW - 1,
        ahead: std::collections::BTreeMap::new(),
        account_rate: bounds.account_rate,
    };
    let identity = Identity {
        gateway: clinic.gateway.clone(),
        log_key: clinic.log_key.clone(),
    };
    let shares = Arc::new(EmbeddedShares::open(&data, &ring, random).unwrap());
    let diary = order::Diary::default();
    let noted_ledger = Arc::new(diary.of(ledger.clone()));
    let noted_shares = Arc::new(diary.of(shares.clone()));
    let position = Arc::new(diary.of(order::NotNoted));
    let shredder = ShareShredder::new(noted_ledger.clone(), ledger.clone(), noted_shares.clone(), position);
    let service = Service::new(Ports {
        ledger: noted_ledger,
        views: ledger.clone(),
        blobs: Arc::new(diary.of(over(Arc::new(FsBlobs::open(&data).unwrap())))),
        shares: noted_shares,
        shredder: Arc::new(shredder),
        checkpoints: Arc::new(NoCheckpoints),
        setup: Arc::new(Closed),
        clock: clock.clone(),
        identity: Arc::new(identity),
        limits: service::Limits {
            transfer_bytes: 100 << 20,
            stored_bytes: bounds.stored_bytes,
            stored_bytes_per_member: bounds.stored_bytes_per_member,
            feeds: MostWatches { of_one: 2, of_all: 3 },
            watermarks: service::Watermarks {
                transfers: 85,
                parts: 92,
            },
        },
        disk: bounds.disk,
        sweep: Arc::new(Notify::new()),
        share_gate: Arc::new(RwLock::new(())),
    });
    let api = Api {
        service,
        gatekeeper: Arc::new(Gatekeeper::new(settings, ledger.clone(), ledger.clone(), clock.clone())),
        limits: Limits {
            deadline: Duration::from_secs(30),
            addresses: Arc::new(AddressLimits::new(
                bounds.addresses,
                Arc::new(TestClock::new(NOW * 1000)),
            )),
        },
        new_id: NewId(Arc::new(|| "req".to_owned())),
        room: BodyRoom::default(),
    };
    House {
        router: router(api),
        diary,
        clinic,
        third,
        ledger,
        shares,
        clock,
        nonce: AtomicU64::new(0),
        _root: root,
    }
}

/// The clinic's people and a third one, put into the ledger.
async fn found(ledger: &EmbeddedLedger, clinic: &Clinic, third: &Person) {
    let mut texts = clinic.founding(&SigningKey::from_seed(&[200; 32])).statements;
    for person in [&clinic.provider, third] {
        texts.push(clinic.countersigned(person).to_string());
        texts.push(person.device(clinic.org).to_string());
    }
    let founded = Change::OrganisationFounded {
        org: clinic.org,
        owner: clinic.admin.label,
    };
    let taken = texts.into_iter().map(|text| Change::StatementTaken { text });
    let bound = [&clinic.admin, &clinic.provider, third].map(|person| Change::AddressBound {
        label: person.label,
        address: person.address.clone(),
    });
    let changes: Vec<Change> = std::iter::once(founded).chain(taken).chain(bound).collect();
    let decide = move |_: &_, _| {
        let changes = changes.clone();
        (
            (),
            Effects {
                changes,
                leaves: Vec::new(),
            },
        )
    };
    transact(ledger, vec![Key::Organisation], decide).await.unwrap();
}

impl House {
    fn signed(&self, by: &SigningKey, ask: &Ask) -> Request<Body> {
        let number = u128::from(self.nonce.fetch_add(1, Ordering::SeqCst));
        let nonce = number.to_be_bytes();
        let seen = format!("gw/directory 0 {}", sealpost_proto::encoding::base64(&tree_head(&[])));
        let has_body = !matches!(ask.method, "GET" | "DELETE");
        let has_digest = matches!(ask.method, "POST" | "PATCH");
        let digest = has_digest.then(|| content_digest(&ask.body));
        let length = has_body.then(|| ask.body.len().to_string());
        let key = uuid::Uuid::from_u128(ask.key.unwrap_or(number)).to_string();
        let key = has_digest.then_some(key.as_str());
        let root = ask.part_root.as_ref().map(http_signature::part_root);
        let covered = http_signature::Request {
            method: ask.method,
            authority: AUTHORITY,
            path: &ask.path,
            query: ask.query,
            seen: Some(&seen),
            content_digest: digest.as_deref(),
            content_length: length.as_deref(),
            idempotency_key: key,
            part_root: root.as_deref(),
        };
        let signature = http_signature::sign(&covered, by, self.clock.now_millis() / 1000, nonce).unwrap();
        let separator = if ask.query.is_empty() { "" } else { "?" };
        let mut request = Request::builder()
            .method(ask.method)
            .uri(format!("{}{separator}{}", ask.path, ask.query))
            .header("sealpost-seen", seen)
            .header("signature-input", signature.input)
            .header("signature", signature.signature);
        for (name, value) in [
            ("content-digest", digest.as_deref()),
            ("content-length", length.as_deref()),
            ("idempotency-key", key),
            ("sealpost-part-root", root.as_deref()),
            ("content-type", has_body.then_some(ask.media_type)),
            ("range", ask.range),
        ] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        request.body(Body::from(ask.body.clone())).unwrap()
    }

    async fn ask(&self, by: &Person, ask: Ask) -> (StatusCode, Bytes) {
        self.send(self.signed(&by.device, &ask)).await
    }

    async fn send(&self, request: Request<Body>) -> (StatusCode, Bytes) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes())
    }

    async fn refusal(&self, by: &Person, ask: Ask) -> ProblemKind {
        kind_of(self.ask(by, ask).await)
    }

    /// A small transfer of the administrator's to the provider that came whole, and its payload.
    async fn sent(&self) -> Vec<u8> {
        let payload = vec![7; 16_384 + 48];
        let command = self.clinic.seal_command(ID, &[leaf(&payload)], payload.len() as u64, 7);
        let ask = seal(&command, &payload, b"{\"openings\":1}");
        let (status, body) = self.ask(&self.clinic.admin, ask).await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        payload
    }

    async fn leaves(&self) -> Vec<Leaf> {
        let lines = self.ledger.audit_leaves(0, 1000).await.unwrap();
        lines.iter().map(|line| line.parse().unwrap()).collect()
    }
}

fn kind_of((status, body): (StatusCode, Bytes)) -> ProblemKind {
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_else(|_| panic!("{status} {body:?}"));
    assert_eq!((problem.status, problem.req_id.as_str()), (status.as_u16(), "req"));
    problem.kind().unwrap()
}

fn leaf(segment: &[u8]) -> [u8; 32] {
    sealpost_proto::tree::leaf_hash(segment)
}

fn seal(command: &SealCommand, part: &[u8], options: &[u8]) -> Ask {
    let envelope = &command.envelope;
    let (header, block, seal) = (
        envelope.header.to_bytes(),
        envelope.block.to_bytes(),
        envelope.seal.to_bytes(),
    );
    let fields: [&[u8]; 8] = [
        options,
        &header,
        &block,
        &envelope.manifest_box,
        &seal,
        &SHARE,
        &[],
        part,
    ];
    let framed = fields.map(|field| [&u32::try_from(field.len()).unwrap().to_be_bytes(), field].concat());
    Ask {
        media_type: "application/octet-stream",
        ..post(of("/seal"), framed.concat())
    }
}

fn opening(house: &House, n: u8) -> Ask {
    let hh = Hash::from_bytes(
        house
            .clinic
            .seal_command(ID, &[leaf(&[7; 16_432])], 16_432, 7)
            .envelope
            .header
            .hash(),
    );
    post(
        of("/open"),
        format!("{{\"hh\":\"{hh}\",\"opening\":\"{}\"}}", format!("{n:02x}").repeat(16)),
    )
}

#[tokio::test]
async fn a_transfer_that_comes_whole_is_opened_read_in_ranges_and_counted() {
    let house = house().await;
    let payload = house.sent().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    let (_, inbox) = house.ask(provider, get("/v1/inbox")).await;
    let inbox: TransfersResponse = serde_json::from_slice(&inbox).unwrap();
    assert_eq!(inbox.transfers.len(), 1);

    assert_eq!(
        house.refusal(provider, get(of("/payload"))).await,
        ProblemKind::NotFound,
        "not opened yet"
    );
    let (status, body) = house.ask(provider, opening(&house, 1)).await;
    let opened: OpenResponse = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, opened.share.unwrap().0), (StatusCode::OK, SHARE.to_vec()));
    let block = sealpost_proto::sealed::Block::parse(&opened.block.0).unwrap();
    assert_eq!(
        block.stanzas().iter().filter(|s| !s.is_elided()).count(),
        1,
        "the own stanza alone"
    );

    let read = |tail, range| house.ask(provider, Ask { range, ..get(of(tail)) });
    assert_eq!(read("/payload", None).await.1, payload);
    let (status, part) = read("/payload", Some("bytes=10-19")).await;
    assert_eq!((status, &part[..]), (StatusCode::PARTIAL_CONTENT, &payload[10..20]));
    assert_eq!(
        kind_of(read("/payload", Some("bytes=99999-")).await),
        ProblemKind::RangeNotSatisfiable
    );
    assert_eq!(read("/leaves", None).await.1, leaf(&payload).to_vec());
    assert_eq!(read("/manifest", None).await.1.len(), 4096 + 48);
    assert_eq!(
        house.refusal(provider, opening(&house, 2)).await,
        ProblemKind::LimitReached
    );

    let (_, body) = house.ask(admin, get(of(""))).await;
    let summary: TransferSummary = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (summary.state, summary.recipients[0].openings_used),
        (TransferState::Available, 1)
    );
    let leaves = house.leaves().await;
    let kept: Vec<_> = leaves.iter().map(|leaf| (leaf.event, leaf.outcome.clone())).collect();
    let denied = LeafOutcome::Denied("limit_reached".to_owned());
    let expected = [
        (EventType::TransferSealed, LeafOutcome::Ok),
        (EventType::TransferOpened, LeafOutcome::Ok),
        (EventType::TransferOpened, denied),
    ];
    assert_eq!(kept, expected);
}

#[tokio::test]
async fn n97_one_seal_wins_and_its_repetition_brings_no_share_back() {
    let house = house().await;
    let payload = house.sent().await;
    let admin = &house.clinic.admin;
    let command = house
        .clinic
        .seal_command(ID, &[leaf(&payload)], payload.len() as u64, 7);
    let (again, _) = house.ask(admin, seal(&command, &payload, b"{\"openings\":1}")).await;
    assert_eq!(again, StatusCode::OK);
    assert_eq!(
        house.refusal(admin, seal(&command, &payload, b"")).await,
        ProblemKind::AlreadySealed
    );
    let longer = house
        .clinic
        .seal_command(ID, &[leaf(&payload)], payload.len() as u64, 8);
    assert_eq!(
        house.refusal(admin, seal(&longer, &payload, b"")).await,
        ProblemKind::AlreadySealed
    );
    let announced = format!("{{\"transfer\":\"{ID}\",\"bytes\":16432}}");
    assert_eq!(
        house.refusal(admin, post("/v1/transfers", announced)).await,
        ProblemKind::Conflict
    );
    let sealed = house
        .leaves()
        .await
        .iter()
        .filter(|l| l.outcome == LeafOutcome::Ok)
        .count();
    assert_eq!(sealed, 1);
}

#[tokio::test]
async fn n106_another_party_finds_nothing_on_any_route_of_a_transfer() {
    let house = house().await;
    house.sent().await;
    let third = &house.third;
    let routes = [
        get(of("")),
        get(of("/parts")),
        get(of("/leaves")),
        get(of("/manifest")),
        get(of("/payload")),
        opening(&house, 9),
        post(
            of("/receipts"),
            format!("{{\"opening\":\"{}\",\"receipt\":\"x\"}}", "09".repeat(16)),
        ),
        Ask {
            method: "PUT",
            media_type: "application/octet-stream",
            body: vec![7; 16_432],
            part_root: Some(Hash::from_bytes(leaf(&[7; 16_432]))),
            ..get(of("/parts/0"))
        },
    ];
    for ask in routes {
        let path = ask.path.clone();
        let kind = house.refusal(third, ask).await;
        let expected = if path.ends_with("receipts") {
            ProblemKind::ReceiptRefused
        } else {
            ProblemKind::NotFound
        };
        assert_eq!(kind, expected, "{path}");
    }
    let (_, inbox) = house.ask(third, get("/v1/inbox")).await;
    assert!(
        serde_json::from_slice::<TransfersResponse>(&inbox)
            .unwrap()
            .transfers
            .is_empty()
    );
    for path in ["/v1/audit/leaves", "/v1/audit/checkpoint", "/v1/invites"] {
        assert_eq!(house.refusal(third, get(path)).await, ProblemKind::Forbidden, "{path}");
    }
    let seen = house.leaves().await;
    let denied = seen.iter().filter(|leaf| leaf.outcome != LeafOutcome::Ok).count();
    assert_eq!(
        denied, 4,
        "open, receipt and two readings of the audit log were written down"
    );
}

#[tokio::test]
async fn what_is_malformed_is_a_problem_document() {
    let house = house().await;
    let admin = &house.clinic.admin;
    let announce = |body: &str| post("/v1/transfers", body);
    let unknown_member = format!("{{\"transfer\":\"{ID}\",\"bytes\":16432,\"more\":1}}");
    for (ask, expected) in [
        (announce(&unknown_member), ProblemKind::BadRequest),
        (announce("{"), ProblemKind::BadRequest),
        (
            announce(&format!("{{\"transfer\":\"{ID}\",\"bytes\":47}}")),
            ProblemKind::BadRequest,
        ),
        (
            announce(&format!("{{\"transfer\":\"{ID}\",\"bytes\":{}}}", 200 << 20)),
            ProblemKind::TooLarge,
        ),
        (post("/v1/transfers", vec![b' '; (1 << 20) + 1]), ProblemKind::TooLarge),
        (
            Ask {
                media_type: "text/plain",
                ..announce("{}")
            },
            ProblemKind::UnsupportedMediaType,
        ),
        (
            Ask {
                query: "from=x",
                ..get("/v1/statements")
            },
            ProblemKind::BadRequest,
        ),
        (
            Ask {
                query: "form=1",
                ..get("/v1/statements")
            },
            ProblemKind::BadRequest,
        ),
        (get("/v1/transfers/0101"), ProblemKind::NotFound),
        (get("/v1/nowhere"), ProblemKind::NotFound),
        (post("/v1/me", "{}"), ProblemKind::MethodNotAllowed),
        (
            Ask {
                media_type: "application/octet-stream",
                ..post(of("/seal"), "x")
            },
            ProblemKind::BadRequest,
        ),
    ] {
        let path = ask.path.clone();
        assert_eq!(house.refusal(admin, ask).await, expected, "{path}");
    }
    for path in [
        "/v1/me",
        "/v1/inbox",
        "/v1/directory/leaves",
        "/v1/audit/leaves",
        &of(""),
        &of("/payload"),
    ] {
        let unsigned = Request::get(path).body(Body::empty()).unwrap();
        assert_eq!(
            kind_of(house.send(unsigned).await),
            ProblemKind::Unauthenticated,
            "{path}"
        );
    }
    let mut both = house.signed(&admin.device, &announce("{}"));
    both.headers_mut()
        .insert("transfer-encoding", "chunked".parse().unwrap());
    assert_eq!(kind_of(house.send(both).await), ProblemKind::BadRequest, "N92");
    let mut long = house.signed(&admin.device, &get("/v1/me"));
    long.headers_mut().insert("x-long", "x".repeat(20_000).parse().unwrap());
    assert_eq!(kind_of(house.send(long).await), ProblemKind::TooLarge);
}

#[tokio::test]
async fn n95_n96_parts_are_of_their_length_and_root() {
    let house = house().await;
    let admin = &house.clinic.admin;
    let payload = vec![7; 16_432];
    let announced = format!("{{\"transfer\":\"{ID}\",\"bytes\":16432}}");
    assert_eq!(
        house.ask(admin, post("/v1/transfers", announced)).await.0,
        StatusCode::CREATED
    );
    let part = |number: u32, body: &[u8], root: [u8; 32]| Ask {
        method: "PUT",
        media_type: "application/octet-stream",
        body: body.to_vec(),
        part_root: Some(Hash::from_bytes(root)),
        ..get(of(&format!("/parts/{number}")))
    };
    let root = leaf(&payload);
    assert_eq!(
        house.refusal(admin, part(1, &payload, root)).await,
        ProblemKind::PartMissing,
        "N95"
    );
    assert_eq!(
        house.refusal(admin, part(0, &payload[1..], root)).await,
        ProblemKind::PartMissing,
        "N95"
    );
    assert_eq!(
        house.refusal(admin, part(0, &payload, [0; 32])).await,
        ProblemKind::RootMismatch
    );
    assert_eq!(house.ask(admin, part(0, &payload, root)).await.0, StatusCode::CREATED);
    assert_eq!(
        house.ask(admin, part(0, &payload, root)).await.0,
        StatusCode::OK,
        "the same again"
    );
    let other = vec![8; 16_432];
    let unlike = house.clinic.seal_command(ID, &[leaf(&other)], 16_432, 7);
    assert_eq!(
        house.refusal(admin, seal(&unlike, &[], b"")).await,
        ProblemKind::RootMismatch,
        "N96"
    );
    let command = house.clinic.seal_command(ID, &[root], 16_432, 7);
    assert_eq!(house.ask(admin, seal(&command, &[], b"")).await.0, StatusCode::OK);
    assert_eq!(
        house.refusal(admin, part(0, &other, leaf(&other))).await,
        ProblemKind::AlreadySealed,
        "N94"
    );
    let (_, opened) = house.ask(&house.clinic.provider, opening(&house, 1)).await;
    assert!(serde_json::from_slice::<OpenResponse>(&opened).is_ok());
    assert_eq!(house.ask(&house.clinic.provider, get(of("/payload"))).await.1, payload);
}
