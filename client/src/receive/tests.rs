//! From files to files without a network: the sending thread's output through every check of the receiving side.

use std::fs;

use sealpost_proto::api::TransferState;
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::encoding::Base64;
use sealpost_proto::sealed::PART_LEN;
use sealpost_sealed::FileDigests;

use super::*;
use crate::account::Account;
use crate::api::Api;
use crate::directory::tests::mirror_of;
use crate::enrolment::tests::invited;
use crate::env::Env;
use crate::home::Home;
use crate::inspect::{ContainerFile, SenderCheck, read_share};
use crate::progress::Silent;
use crate::send::{Draft, Input, work};

/// The seed of the log key that test accounts are enrolled with.
const LOG_SEED: [u8; 32] = [2; 32];

struct Sealed {
    session: Session,
    dir: tempfile::TempDir,
    summary: TransferSummary,
    opened: OpenResponse,
    manifest_box: Vec<u8>,
    leaf_list: Vec<u8>,
    payload: Vec<u8>,
}

fn session(account: Account, statements: &[String], dir: &Path) -> Session {
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
fn sealed(lengths: &[usize]) -> Sealed {
    let dir = tempfile::tempdir().unwrap();
    let (account, statements, _) = invited();
    let session = session(account, &statements, dir.path());
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
    };
    let (sealer, input) = crate::send::prepare(&session, draft).unwrap();
    let (parts, mut taken) = tokio::sync::mpsc::channel(1);
    let (sealed_payload, payload) = std::thread::scope(|scope| {
        let (sealer, rng) = (&sealer, session.env.rng());
        let worker = scope.spawn(move || work::seal_payload(sealer, input, rng, &parts, 2).unwrap());
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
        },
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
    let receipt = Receipt {
        facts: verify::facts(seal, session.env.now()),
        kind: Kind::Accepted {
            directory_size: session.mirror.size(),
            directory_root: root,
        },
    };
    let mut signed = SignedReceipt::try_from(receipt.note().unwrap()).unwrap();
    signed.countersign(&session.account.at.gateway, &SigningKey::from_seed(&LOG_SEED));
    signed.to_string()
}

impl Sealed {
    fn open(&self) -> Result<Opener, Error> {
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
        };
        attempt.open_envelope(&self.opened, &self.manifest_box)
    }

    /// What the blocking thread does with a payload that has arrived.
    fn unpack(&self, keep: Option<&KeepSealed>) -> Result<Vec<PathBuf>, Error> {
        let opener = self.open()?;
        let target = self.dir.path().join("out");
        let mut staging = Staging::create(&target, &self.summary.transfer)?;
        let envelope = opener.envelope().envelope();
        let mut container = keep.map(|keep| ContainerWriter::create(keep, envelope)).transpose()?;
        let pool = BufferPool::new(2);
        let (parts, taken) = tokio::sync::mpsc::channel(1);
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
            download::unpack(
                &opener,
                &self.leaf_list,
                taken,
                &mut staging,
                container.as_mut(),
                &Silent,
            )
        })?;
        let paths = staging.place(&opener.manifest().files)?;
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
    assert_eq!(check(&summary.receipt, &seal).unwrap(), session.mirror.size());
    let mut other_seal = seal;
    other_seal.body.sealed_at += 1;
    assert!(check(&summary.receipt, &other_seal).is_err());
    let forked = accepted(session, &seal, Hash::from_bytes([9; 32]));
    assert!(check(&forked, &seal).is_err());
    let unsigned = summary.receipt.replace("kind accepted", "kind expired-unopened");
    assert!(check(&unsigned, &seal).is_err());
}

#[test]
fn a_recipients_receipt_needs_both_signatures_and_a_known_device() {
    let sealed = sealed(&[1]);
    let (session, account) = (&sealed.session, &sealed.session.account);
    let (_, seal) = verify::pieces(&sealed.summary).unwrap();
    let receipt = |device: &SigningKey, countersigned: bool| {
        let signer = Signer {
            identity: account.identity.public(),
            device: device.public(),
            client: crate::CLIENT.into(),
            assurance: Assurance::Member,
        };
        let receipt = Receipt {
            facts: verify::facts(&seal, session.env.now()),
            kind: Kind::Verified(signer),
        };
        let mut note = receipt.note().unwrap();
        note.sign_as("dk", device);
        let mut signed = SignedReceipt::try_from(note).unwrap();
        if countersigned {
            signed.countersign(&account.at.gateway, &SigningKey::from_seed(&LOG_SEED));
        }
        signed.to_string()
    };
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
