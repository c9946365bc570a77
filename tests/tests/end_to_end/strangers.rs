//! A member who is no party of a transfer: for them it does not exist, on any route (N106).

use std::fs;

use bytes::Bytes;
use sealpost_client::api::{ApiError, SealBody};
use sealpost_client::{Env, Home, Session};
use sealpost_proto::api::{OpenRequest, ReceiptRequest, SealOptions};
use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Assurance, Facts, Kind, Receipt, Signer};
use sealpost_proto::sealed::STORED_SEGMENT_LEN;
use sealpost_tests::person::Person;
use sealpost_tests::samples;

use crate::support::{PROVIDER, World, ask, run, send};

/// Exit code of docs/cli.md.
const NOT_FOUND: i32 = 6;

fn session_of(person: &Person) -> Session {
    let passphrase = fs::read_to_string(person.passphrase_file()).expect("a passphrase");
    Session::open(Home::new(person.home()), passphrase.trim(), Env::system()).expect("a session")
}

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
        // Nothing is looked up for a body that cannot be read.
        let expected = if route == "POST seal" {
            ProblemKind::SealRefused
        } else {
            ProblemKind::NotFound
        };
        assert_eq!(answer, Some(expected), "{route}");
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
    let empty = SealBody {
        options: SealOptions::default(),
        header: &[],
        block: &[],
        manifest_box: &[],
        seal: &[],
        share: &[],
        part: &[],
    };
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
        ("POST seal", kind(api.seal(id, &empty).await)),
    ]
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
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let id: TransferId = transfer.parse().expect("an id");
    let recipient = session_of(&provider);
    let part = Bytes::from(vec![0; STORED_SEGMENT_LEN]);
    let uploaded = recipient.api.put_part(&id, 0, Hash::from_bytes([9; 32]), part).await;
    assert_eq!(kind(uploaded), Some(ProblemKind::NotFound));
    let closed = recipient.api.payload(&id, 0..16, &mut Vec::new()).await;
    assert!(closed.is_err(), "no bytes before an opening");
}
