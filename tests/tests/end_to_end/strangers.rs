//! A member who is no party of a transfer: for them it does not exist, on any route (N106).

use bytes::Bytes;
use sealpost_client::Session;
use sealpost_client::api::ApiError;
use sealpost_proto::api::{OpenRequest, ReceiptRequest, SealOptions};
use sealpost_proto::id::{Hash, Kid, OpeningId, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Assurance, Facts, Kind, Receipt, Signer};
use sealpost_proto::seal_request::SealRequest;
use sealpost_proto::sealed::{Block, HEADER_LEN, Header, Role, SEAL_LEN, STORED_SEGMENT_LEN};
use sealpost_sealed::{Disclosure, FAST, ManifestDraft, Recipient, Sealer, TransferDraft, TransferSecrets};
use sealpost_tests::samples;

use crate::support::inside::session_of;
use crate::support::{PROVIDER, World, ask, run, send};

/// Exit code of docs/cli.md.
const NOT_FOUND: i32 = 6;

#[tokio::test]
async fn a_transfer_does_not_exist_for_strangers_on_any_route() {
    let world = World::new();
    let (desk, _) = (world.desk(), world.provider());
    let stranger = world.member("stranger", "stranger@elsewhere.example");
    let file = world.file("scan.dcm", &samples::noise(200_000));
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    assert!(!ask(&stranger, &[&"inbox"]).to_string().contains(&transfer));
    for words in [["status", transfer.as_str()], ["receive", transfer.as_str()]] {
        assert_eq!(run(&stranger, &[&words[0], &words[1]]).code, NOT_FOUND, "{words:?}");
    }

    let id: TransferId = transfer.parse().expect("an id");
    let known = answers_on_every_route(&session_of(&stranger), &id).await;
    let unknown = answers_on_every_route(&session_of(&stranger), &TransferId::from_bytes([0xAB; 16])).await;
    assert_eq!(known, unknown, "what exists and what does not look different");
    for (route, answer) in known {
        assert_eq!(answer, Some(ProblemKind::NotFound), "{route}");
    }
}

async fn answers_on_every_route(session: &Session, id: &TransferId) -> Vec<(&'static str, Option<ProblemKind>)> {
    let api = &session.api;
    let opening = OpeningId::from_bytes([7; 16]);
    let open = OpenRequest {
        hh: Hash::from_bytes([8; 32]),
        opening,
    };
    let receipt = ReceiptRequest {
        opening,
        receipt: receipt(session),
    };
    let mut bytes = Vec::new();
    let part = Bytes::from(vec![0; STORED_SEGMENT_LEN]);
    let sealed = Sealed::by(session, id);
    vec![
        ("GET transfer", kind(api.transfer(id).await)),
        ("GET parts", kind(api.parts(id).await)),
        (
            "PUT part",
            kind(api.put_part(id, 0, Hash::from_bytes([9; 32]), part).await),
        ),
        ("POST open", kind(api.open(id, &open).await)),
        ("GET leaves", kind(api.leaf_list(id, 1 << 20).await)),
        ("GET manifest", kind(api.manifest_box(id, 1 << 20).await)),
        ("GET payload", kind(api.payload(id, 0..16, &mut bytes).await)),
        ("POST receipts", kind(api.post_receipt(id, &receipt).await)),
        ("POST seal", kind(api.seal(id, &sealed.body()).await)),
    ]
}

/// A transfer under an id of the caller's choice, sealed as it should be, whose part would have been announced.
struct Sealed {
    header: [u8; HEADER_LEN],
    block: Vec<u8>,
    manifest_box: Vec<u8>,
    seal: [u8; SEAL_LEN],
    share: Vec<u8>,
}

impl Sealed {
    /// A message without files, to the sender.
    fn by(session: &Session, id: &TransferId) -> Self {
        let (account, env) = (&session.account, &session.env);
        let terms = TransferDraft {
            transfer_id: *id,
            audience: account.at.gateway.audience(),
            sender_identity: Some(account.identity.public()),
            sender_device: account.device.public(),
            created_at: env.now(),
            expires_at: env.now() + 86_400,
            no_forward: false,
        };
        let to = Recipient::Key {
            key: account.newest_encryption().expect("a key").key.public().clone(),
            role: Role::Recipient,
        };
        let manifest = ManifestDraft {
            subject: None,
            note: None,
            patients: Vec::new(),
            purpose: "TREAT".to_owned(),
            disclosure: Disclosure {
                category: "treatment".to_owned(),
                basis: String::new(),
            },
            reply_to: None,
            files: Vec::new(),
        };
        let secrets = TransferSecrets::generate(true, &mut env.rng());
        let sealer = Sealer::new(FAST, &terms, &[to], manifest, secrets, &mut env.rng()).expect("a sealer");
        let mut segment = vec![0; sealer.layout().stored_segment_len(0).expect("a segment")];
        let leaf = sealer.seal_segment(0, &mut segment, &mut env.rng()).expect("a leaf");
        let manifest_box = sealer.seal_manifest(&[], &mut env.rng()).expect("a box");
        let seal = sealer.seal(&account.device, &manifest_box, &[leaf], env.now());
        Self {
            header: sealer.header().to_bytes(),
            block: sealer.block().to_bytes(),
            manifest_box,
            seal: seal.expect("a seal").to_bytes(),
            share: sealer.secrets().share().expect("a share").to_vec(),
        }
    }

    fn body(&self) -> SealRequest<'_> {
        SealRequest {
            options: SealOptions::default(),
            header: &self.header,
            block: &self.block,
            manifest_box: &self.manifest_box,
            seal: &self.seal,
            share: &self.share,
            part: &[],
        }
    }
}

/// A *verified* receipt that is right in form and signed by the session's own device.
fn receipt(session: &Session) -> String {
    let account = &session.account;
    let signer = Signer {
        identity: account.identity.public(),
        device: account.device.public(),
        client: sealpost_client::CLIENT.to_owned(),
        assurance: Assurance::Member,
    };
    let nothing = Hash::from_bytes([8; 32]);
    let now = session.env.now();
    let facts = Facts {
        transfer: nothing,
        root: nothing,
        segments: 1,
        mic: nothing,
        sealed_at: now,
        time: now,
    };
    let mut note = Receipt {
        facts,
        kind: Kind::Verified(signer),
    }
    .note()
    .expect("a receipt");
    note.sign_as("dk", &account.device);
    note.to_string()
}

fn kind<T>(answer: Result<T, ApiError>) -> Option<ProblemKind> {
    answer.err().and_then(|error| error.kind())
}

#[tokio::test]
async fn a_sender_cannot_open_as_the_recipient_and_a_recipient_cannot_upload() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("scan.dcm", &samples::noise(200_000));
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    let id: TransferId = transfer.parse().expect("an id");
    let recipient = session_of(&provider);
    let part = Bytes::from(vec![0; STORED_SEGMENT_LEN]);
    let uploaded = recipient.api.put_part(&id, 0, Hash::from_bytes([9; 32]), part).await;
    assert_eq!(kind(uploaded), Some(ProblemKind::NotFound));
    let closed = recipient.api.payload(&id, 0..16, &mut Vec::new()).await;
    assert_eq!(kind(closed), Some(ProblemKind::NotFound), "no bytes before an opening");

    // The sender can open, but only the sender's own copy, which counts as nobody's opening.
    let sender = session_of(&desk);
    let summary = recipient.api.transfer(&id).await.expect("a summary");
    let hh = Hash::from_bytes(Header::parse(&summary.header.0).expect("a header").hash());
    let open = |number| OpenRequest {
        hh,
        opening: OpeningId::from_bytes([number; 16]),
    };
    let own = sender.api.open(&id, &open(1)).await.expect("the sender's copy");
    assert_eq!(visible(&own.block.0), [kid_of(&sender)]);
    let before = &sender.api.transfer(&id).await.expect("a summary").recipients[0];
    assert_eq!((before.openings_used, before.opened_at), (0, None));

    // The recipient's opening is the recipient's alone: to repeat, to read under, and to confirm.
    let recipients = recipient.api.open(&id, &open(2)).await.expect("the only opening");
    assert_eq!(visible(&recipients.block.0), [kid_of(&recipient)]);
    assert_eq!(
        kind(sender.api.open(&id, &open(2)).await),
        Some(ProblemKind::Conflict),
        "another device's opening"
    );
    let confirmed = ReceiptRequest {
        opening: open(2).opening,
        receipt: receipt(&sender),
    };
    assert_eq!(
        kind(sender.api.post_receipt(&id, &confirmed).await),
        Some(ProblemKind::NotFound)
    );
    let after = &sender.api.transfer(&id).await.expect("a summary").recipients[0];
    assert_eq!((after.openings_used, &after.receipt), (1, &None));
}

fn kid_of(session: &Session) -> Kid {
    *session.account.newest_encryption().expect("a key").key.kid()
}

/// Key ids of the stanzas that are not elided.
fn visible(block: &[u8]) -> Vec<Kid> {
    let block = Block::parse(block).expect("a block");
    block
        .stanzas()
        .iter()
        .filter_map(|stanza| stanza.kid().copied())
        .collect()
}
