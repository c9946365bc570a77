//! From files to files without a network: the sending thread's output through every check of the receiving side.

use std::fs;

use sealpost_proto::api::TransferState;
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::OpeningId;
use sealpost_proto::receipt::{Assurance, Facts, Kind, Receipt, SignedReceipt, Signer};
use sealpost_proto::sealed::PART_LEN;
use sealpost_sealed::{FileDigests, Unpacker};

use super::keep::ContainerWriter;
use super::staging::Staging;
use super::*;
use crate::account::Account;
use crate::api::Api;
use crate::buffers::BufferPool;
use crate::directory::tests::mirror_of;
use crate::enrolment::tests::invited;
use crate::env::Env;
use crate::home::Home;
use crate::inspect::{ContainerFile, SenderCheck, read_share};
use crate::progress::Silent;
use crate::records::{Progress as Stage, SentTo};
use crate::send::{Draft, Input, work};

/// The seed of the log key that test accounts are enrolled with.
const LOG_SEED: [u8; 32] = [2; 32];

pub(crate) struct Sealed {
    pub(crate) session: Session,
    dir: tempfile::TempDir,
    pub(crate) summary: TransferSummary,
    pub(crate) sent_to: Vec<SentTo>,
    opened: OpenResponse,
    manifest_box: Vec<u8>,
    leaf_list: Vec<u8>,
    payload: Vec<u8>,
}

pub(crate) fn session(account: Account, statements: &[String], dir: &Path) -> Session {
    let env = Env::system();
    let home = Home::new(dir.join("home"));
    Session {
        api: Arc::new(Api::new(account.at.clone(), account.device.clone(), env.clone()).unwrap()),
        mirror: mirror_of(&account, statements),
        state: home.state(&account),
        home,
        account,
        env,
    }
}

/// The founder sends files of these lengths to herself; the gateway's part is played by its log key.
pub(crate) fn sealed(lengths: &[usize]) -> Sealed {
    let (account, statements, _) = invited();
    sealed_by(account, &statements, lengths)
}

/// The same for an account of a directory with these statements.
pub(crate) fn sealed_by(account: Account, statements: &[String], lengths: &[usize]) -> Sealed {
    let dir = tempfile::tempdir().unwrap();
    let session = session(account, statements, dir.path());
    let mut input = Input::default();
    for (number, len) in lengths.iter().enumerate() {
        let path = dir.path().join(format!("file {number}.bin"));
        let contents: Vec<u8> = (0..=250_u8).cycle().skip(number).take(*len).collect();
        fs::write(&path, contents).unwrap();
        input.add(&path).unwrap();
    }
    let draft = Draft {
        input,
        recipients: vec![session.account.address.clone()],
        subject: None,
        note: Some("a note".into()),
        patients: Vec::new(),
        purpose: "TREAT".into(),
        lifetime: 3_600,
        openings: None,
        public_label: None,
        no_forward: false,
        link: None,
        reply_to: None,
    };
    let transfer = TransferId::from_bytes(session.env.draw());
    let (sealer, input, sent_to) = crate::send::prepare(&session, transfer, draft).unwrap();
    let (parts, mut taken) = tokio::sync::mpsc::channel(1);
    let (sealed_payload, payload) = std::thread::scope(|scope| {
        let (sealer, rng) = (&sealer, session.env.rng());
        let worker = scope.spawn(move || work::seal_payload(sealer, input, rng, &parts, 2, None).unwrap());
        let mut payload = Vec::new();
        while let Some(part) = taken.blocking_recv() {
            payload.extend_from_slice(&part.bytes);
        }
        (worker.join().unwrap(), payload)
    });
    let digests: &[FileDigests] = &sealed_payload.digests;
    let manifest_box = sealer.seal_manifest(digests, &mut session.env.rng()).unwrap();
    let now = session.env.now();
    let seal = sealer
        .seal(&session.account.device, &manifest_box, &sealed_payload.leaves, now)
        .unwrap();
    let receipt = accepted(&session, &seal, session.mirror.head());
    Sealed {
        summary: TransferSummary {
            transfer: sealer.header().transfer_id,
            header: Base64(sealer.header().to_bytes().to_vec()),
            seal: Base64(seal.to_bytes().to_vec()),
            receipt,
            public_label: None,
            state: TransferState::Available,
            openings: None,
            recipients: Vec::new(),
            position: None,
            links: Vec::new(),
        },
        sent_to,
        opened: OpenResponse {
            opening: OpeningId::from_bytes([1; 16]),
            expires_at: now + 1,
            block: Base64(sealer.block().to_bytes()),
            share: sealer.secrets().share().map(|share| Base64(share.to_vec())),
        },
        manifest_box,
        leaf_list: sealed_payload.leaves.concat(),
        payload,
        session,
        dir,
    }
}

fn accepted(session: &Session, seal: &Seal, root: Hash) -> String {
    accepted_at(session, seal, session.mirror.size(), root, session.env.now())
}

fn accepted_at(session: &Session, seal: &Seal, directory_size: u64, directory_root: Hash, time: u64) -> String {
    let receipt = Receipt {
        facts: Facts::of(&seal.body, time),
        kind: Kind::Accepted {
            directory_size,
            directory_root,
        },
    };
    let mut signed = SignedReceipt::try_from(receipt.note().unwrap()).unwrap();
    signed.countersign(&session.account.at.gateway, &SigningKey::from_seed(&LOG_SEED));
    signed.to_string()
}

impl Sealed {
    /// The session, with the folder that it lives in.
    pub(crate) fn into_session(self) -> (Session, tempfile::TempDir) {
        (self.session, self.dir)
    }

    pub(crate) fn open(&self) -> Result<Opener, Error> {
        let (header, seal) = verify::pieces(&self.summary)?;
        let record = ReceivedRecord {
            transfer: self.summary.transfer,
            hh: Hash::from_bytes(header.hash()),
            opening: OpeningId::from_bytes([1; 16]),
            progress: Stage::Opened,
            receipt: None,
        };
        let attempt = Attempt {
            session: &self.session,
            summary: &self.summary,
            header,
            seal,
            record,
            note: None,
        };
        attempt
            .open_envelope(&self.opened, &self.manifest_box)
            .map(|(opener, _)| opener)
    }

    /// What the blocking thread does with a payload that has arrived.
    fn unpack(&self, keep: Option<&KeepSealed>) -> Result<Vec<PathBuf>, Error> {
        let opener = self.open()?;
        let target = self.dir.path().join("out");
        let mut staging = Staging::create(&target, &self.summary.transfer, false)?;
        let envelope = opener.envelope().envelope();
        let mut container = keep.map(|keep| ContainerWriter::create(keep, envelope)).transpose()?;
        let pool = BufferPool::new(2);
        let (parts, taken) = tokio::sync::mpsc::channel(1);
        let payload = opener.payload(&self.leaf_list)?;
        let files = &opener.manifest().files;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for part in self.payload.chunks(PART_LEN) {
                    let mut buffer = pool.take();
                    buffer.clear();
                    buffer.extend_from_slice(part);
                    if parts.blocking_send(buffer).is_err() {
                        return;
                    }
                }
            });
            let unpacking = download::Unpacking {
                unpacker: Unpacker::new(opener.manifest(), payload.layout()),
                payload: &payload,
                first: 0,
                staging: &mut staging,
                container: container.as_mut(),
                recorder: None,
                progress: &Silent,
            };
            unpacking.run(taken)
        })?;
        staging.finish(files)?;
        let names = staging.names(files, None);
        let paths = staging.place(files, &names)?;
        if let Some(container) = container {
            container.finish(envelope, opener.secrets().share())?;
        }
        Ok(paths)
    }

    fn files_left(&self) -> usize {
        fs::read_dir(self.dir.path().join("out")).map_or(0, Iterator::count)
    }
}

#[test]
fn files_of_all_sizes_arrive_as_they_were() {
    for lengths in [&[][..], &[0], &[1, 0, 262_144], &[PART_LEN + 5, 3, 0, 300_000]] {
        let sealed = sealed(lengths);
        let paths = sealed.unpack(None).unwrap();
        assert_eq!(paths.len(), lengths.len());
        for (number, path) in paths.iter().enumerate() {
            let original = sealed.dir.path().join(format!("file {number}.bin"));
            assert_eq!(
                fs::read(path).unwrap(),
                fs::read(original).unwrap(),
                "{lengths:?}, file {number}"
            );
        }
    }
}

#[test]
fn an_altered_payload_leaves_nothing_behind() {
    let mut sealed = sealed(&[PART_LEN, 10]);
    let last = sealed.payload.len() - 1;
    for at in [0, PART_LEN + 1, last] {
        sealed.payload[at] ^= 1;
        let refused = sealed.unpack(None);
        assert!(matches!(refused, Err(Error::Rejected(Reason::Segment))), "{refused:?}");
        assert_eq!(sealed.files_left(), 0);
        sealed.payload[at] ^= 1;
    }
}

#[test]
fn what_was_swapped_is_named_by_its_check() {
    let reason = |change: &dyn Fn(&mut Sealed)| {
        let mut sealed = sealed(&[10]);
        change(&mut sealed);
        match sealed.unpack(None) {
            Err(Error::Rejected(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason(&|s| s.opened.share = None), Reason::Share);
    assert_eq!(reason(&|s| s.opened.share = Some(Base64(vec![7; 32]))), Reason::Share);
    assert_eq!(reason(&|s| s.manifest_box[40] ^= 1), Reason::Manifest);
    assert_eq!(reason(&|s| s.leaf_list[0] ^= 1), Reason::Leaves);
    assert_eq!(reason(&|s| *s.summary.seal.0.last_mut().unwrap() ^= 1), Reason::Seal);
    assert_eq!(reason(&|s| s.opened.block.0.truncate(4)), Reason::Format);
    assert_eq!(
        reason(&|s| s.summary.transfer = TransferId::from_bytes([9; 16])),
        Reason::Format
    );
    let stranger = |s: &mut Sealed| {
        let (account, statements, _) = invited();
        s.session.mirror = mirror_of(&account, &statements);
    };
    assert_eq!(reason(&stranger), Reason::Sender);
}

#[test]
fn a_kept_container_opens_with_key_and_share_alone() {
    let sealed = sealed(&[400_000, 5]);
    let keep = KeepSealed {
        path: sealed.dir.path().join("kept.sealed"),
        with_share: true,
    };
    keep.check_free().unwrap();
    sealed.unpack(Some(&keep)).unwrap();
    assert!(keep.check_free().is_err(), "nothing is replaced");
    let share = read_share(&keep.share_path()).unwrap();
    let mut container = ContainerFile::open(&keep.path).unwrap();
    container.check_seal(&keep.path).unwrap();
    let (account, mirror) = (&sealed.session.account, &sealed.session.mirror);
    assert_eq!(
        container.check_sender(Some(mirror)),
        SenderCheck::Confirmed(account.label())
    );
    assert_eq!(container.check_sender(None), SenderCheck::Unknown);
    let manifest = container.open_all(&keep.path, account, mirror, Some(&share)).unwrap();
    assert_eq!(manifest.note.as_deref(), Some("a note"));
    let without = container.open_all(&keep.path, account, mirror, None);
    assert!(matches!(without, Err(Error::Rejected(Reason::Share))));
}

#[test]
fn an_accepted_receipt_is_about_this_seal_and_this_directory() {
    let sealed = sealed(&[1]);
    let (session, summary) = (&sealed.session, &sealed.summary);
    let (_, seal) = verify::pieces(summary).unwrap();
    let at = &session.account.at;
    let check = |text: &str, seal: &Seal| verify::accepted(text, at, seal, &session.mirror);
    assert_eq!(
        check(&summary.receipt, &seal).unwrap().directory_size,
        session.mirror.size()
    );
    let mut other_seal = seal;
    other_seal.body.sealed_at += 1;
    assert!(check(&summary.receipt, &other_seal).is_err());
    let forked = accepted(session, &seal, Hash::from_bytes([9; 32]));
    assert!(check(&forked, &seal).is_err());
    let unsigned = summary.receipt.replace("kind accepted", "kind expired-unopened");
    assert!(check(&unsigned, &seal).is_err());
}

/// A *verified* receipt of this person, signed by `device` and perhaps by the gateway.
pub(crate) fn verified_by(account: &Account, device: &SigningKey, seal: &Seal, countersigned: bool) -> String {
    let signer = Signer {
        identity: account.identity.public(),
        device: device.public(),
        client: crate::CLIENT.into(),
        assurance: Assurance::Member,
    };
    let receipt = Receipt {
        facts: Facts::of(&seal.body, Env::system().now()),
        kind: Kind::Verified(signer),
    };
    let mut note = receipt.note().unwrap();
    note.sign_as("dk", device);
    let mut signed = SignedReceipt::try_from(note).unwrap();
    if countersigned {
        signed.countersign(&account.at.gateway, &SigningKey::from_seed(&LOG_SEED));
    }
    signed.to_string()
}

#[test]
fn a_recipients_receipt_needs_both_signatures_and_a_known_device() {
    let sealed = sealed(&[1]);
    let (session, account) = (&sealed.session, &sealed.session.account);
    let (_, seal) = verify::pieces(&sealed.summary).unwrap();
    let receipt = |device: &SigningKey, countersigned| verified_by(account, device, &seal, countersigned);
    let check = |text: &str| verify::recipients(text, &account.at, &seal, session.mirror.directory());
    let verdict = check(&receipt(&account.device, true)).unwrap();
    assert_eq!((verdict.label, verdict.rejected), (account.label(), None));
    assert!(
        check(&receipt(&account.device, false)).is_err(),
        "the gateway did not countersign"
    );
    assert!(
        check(&receipt(&SigningKey::from_seed(&[5; 32]), true)).is_err(),
        "nobody's device"
    );
    assert!(
        check(&sealed.summary.receipt).is_err(),
        "the gateway's own receipt proves no delivery"
    );
}

#[test]
fn records_are_kept_for_what_was_received() {
    let sealed = sealed(&[1]);
    let state = &sealed.session.state;
    let (header, _) = verify::pieces(&sealed.summary).unwrap();
    let hh = Hash::from_bytes(header.hash());
    assert!(!is_received(&sealed.session, &hh).unwrap());
    let mut record = ReceivedRecord {
        transfer: sealed.summary.transfer,
        hh,
        opening: OpeningId::from_bytes([1; 16]),
        progress: Stage::Opened,
        receipt: None,
    };
    record.put(state, &sealed.session.env).unwrap();
    assert!(!is_received(&sealed.session, &hh).unwrap());
    record.progress = Stage::Placed;
    record.put(state, &sealed.session.env).unwrap();
    assert!(is_received(&sealed.session, &hh).unwrap());
}

#[test]
fn an_accepted_receipt_names_neither_more_nor_less_of_the_directory() {
    let sealed = sealed(&[1]);
    let session = &sealed.session;
    let (_, seal) = verify::pieces(&sealed.summary).unwrap();
    let (at, size) = (&session.account.at, session.mirror.size());
    let read = |size, root| Accepted::read(&accepted_at(session, &seal, size, root, 1), at, &seal).unwrap();
    let head = |size| session.mirror.head_at(size).unwrap();
    assert!(read(size, head(size)).check_not_before(size).is_ok());
    // What the sender has seen when sealing must count, also when the receipt is about a true beginning of the directory.
    let older = read(size - 1, head(size - 1));
    assert!(older.check_directory(&session.mirror).is_ok());
    assert!(matches!(older.check_not_before(size), Err(Error::Receipt(_))));
    // A size that the gateway does not show cannot be checked by anybody.
    let larger = read(size + 1, head(size));
    assert!(matches!(
        larger.check_directory(&session.mirror),
        Err(Error::Receipt(_))
    ));
    assert!(matches!(
        read(size, head(size - 1)).check_directory(&session.mirror),
        Err(Error::Receipt(_))
    ));
}

#[test]
fn a_transfer_without_a_good_accepted_receipt_is_not_opened() {
    let mut sealed = sealed(&[1]);
    let (_, seal) = verify::pieces(&sealed.summary).unwrap();
    sealed.summary.receipt = accepted(&sealed.session, &seal, Hash::from_bytes([9; 32]));
    let refused = sealed.unpack(None);
    assert!(matches!(refused, Err(Error::Receipt(_))), "{refused:?}");
    assert_eq!(sealed.files_left(), 0);
}

#[test]
fn a_clock_that_differs_is_named() {
    let sealed = sealed(&[1]);
    let (session, at) = (&sealed.session, &sealed.session.account.at);
    let (_, seal) = verify::pieces(&sealed.summary).unwrap();
    let sealed_at = seal.body.sealed_at;
    for (time, word) in [
        (sealed_at, None),
        (sealed_at + 600, None),
        (sealed_at - 600, None),
        (sealed_at + 601, Some("late")),
        (sealed_at - 601, Some("early")),
    ] {
        let text = accepted_at(session, &seal, session.mirror.size(), session.mirror.head(), time);
        let accepted = verify::accepted(&text, at, &seal, &session.mirror).unwrap();
        assert_eq!(accepted.lateness(sealed_at).map(verify::Lateness::word), word, "{time}");
    }
}

/// Until there are file requests, a transfer without a sender is never valid, whoever offers it.
#[test]
fn a_transfer_without_a_sender_is_refused() {
    let mut sealed = sealed(&[1]);
    let (mut header, mut seal) = verify::pieces(&sealed.summary).unwrap();
    header.sender_identity = None;
    seal.body.header_hash = header.hash();
    let seal = seal.body.sign(&sealed.session.account.device);
    sealed.summary.header = Base64(header.to_bytes().to_vec());
    sealed.summary.seal = Base64(seal.to_bytes().to_vec());
    sealed.summary.receipt = accepted(&sealed.session, &seal, sealed.session.mirror.head());
    let (session, summary) = (&sealed.session, &sealed.summary);
    let shown = verify::overview(summary, &session.account.at, &session.mirror);
    assert!(matches!(shown, Err(Error::Anonymous)), "{shown:?}");
    let options = Options {
        target: sealed.dir.path().join("out"),
        again: false,
        keep_sealed: None,
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let received = runtime.block_on(receive(session, summary, &options, Arc::new(Silent)));
    assert!(matches!(received, Err(Error::Anonymous)), "{received:?}");
}
