//! What goes when its time is over, and what does not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_proto::sealed::MAX_LIFETIME;
use sealpost_sealed::Manifest;

use super::*;
use crate::env::{Clock, Env, SystemRandom};
use crate::platform;
use crate::receive::Options;
use crate::receive::state::{Placing, Pulled, ReceivingRecord};
use crate::receive::tests::{Sealed, sealed};
use crate::records::{Progress, ReceivedRecord, SentRecord};
use crate::send::state::{KeptPart, KeptSeal, Sending, SendingRecord};

const EXPIRY: u64 = 1_800_000_000;
const ID: TransferId = TransferId::from_bytes([7; 16]);
const HH: Hash = Hash::from_bytes([8; 32]);

#[derive(Debug)]
struct At(u64);

impl Clock for At {
    fn now(&self) -> u64 {
        self.0
    }
}

fn set(session: &mut Session, now: u64) {
    session.env = Env::new(Arc::new(At(now)), Arc::new(SystemRandom));
}

fn begin_sending(session: &Session, first: &SendingRecord) -> Sending {
    let head = SendingHead {
        transfer: ID,
        hh: HH,
        recipients: Vec::new(),
        files: 1,
        total: 1,
        begun_at: EXPIRY - 10,
        expires_at: EXPIRY,
        link: None,
    };
    send::state::begin(&session.state, &session.env, head, first).unwrap()
}

fn part() -> SendingRecord {
    SendingRecord::Part(KeptPart::new(0, &[[1; 32]], &[[2; 32]]))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn an_unfinished_send_goes_when_it_has_expired_and_the_clocks_had_their_leeway() {
    let mut session = sealed(&[1]).session;
    let folder = session.home.path().join(SENDING);
    drop(begin_sending(&session, &part()));
    set(&mut session, EXPIRY + EXPIRY_GRACE);
    assert_eq!((remove_expired(&session), files_in(&folder).len()), (0, 2));
    set(&mut session, EXPIRY + EXPIRY_GRACE + 1);
    assert_eq!((remove_expired(&session), files_in(&folder).len()), (1, 0));
    assert_eq!(remove_expired(&session), 0);

    let busy = begin_sending(&session, &part());
    assert_eq!(remove_expired(&session), 0, "a process is working on it");
    drop(busy);
    assert_eq!(remove_expired(&session), 1);
}

#[test]
fn what_was_handed_over_is_still_remembered_as_sent() {
    let mut session = sealed(&[1]).session;
    let record = SentRecord {
        transfer: ID,
        hh: HH,
        recipients: Vec::new(),
        directory_size: 0,
        files: Vec::new(),
        expires_at: EXPIRY,
        accepted: None,
        verified: std::collections::BTreeMap::new(),
        links: Vec::new(),
        share: None,
    };
    record.put(&session.state, &session.env).unwrap();
    let seal = KeptSeal {
        body: Base64(vec![1]),
        idempotency_key: "k".to_owned(),
    };
    drop(begin_sending(&session, &SendingRecord::Seal(seal)));
    set(&mut session, EXPIRY + EXPIRY_GRACE + 1);
    assert_eq!(remove_expired(&session), 1);
    assert!(SentRecord::get(&session.state, &ID).unwrap().is_some());
}

/// Two files that are being received, each of which is staged or has its name already.
struct Half {
    session: Session,
    target: PathBuf,
    manifest: Manifest,
    hh: Hash,
    _sealed: tempfile::TempDir,
}

impl Half {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sealed: Sealed = sealed(&[10, 20]);
        let opener = sealed.open().unwrap();
        let header = &opener.envelope().envelope().header;
        let (manifest, hh) = (opener.manifest().clone(), Hash::from_bytes(header.hash()));
        let mut session = sealed.session;
        set(&mut session, EXPIRY - 10);
        // The session's own folder went with the sealed transfer.
        session.home = crate::Home::new(folder.path().join("home"));
        session.state = session.home.state(&session.account);
        Self {
            target: folder.path().join("target"),
            session,
            manifest,
            hh,
            _sealed: folder,
        }
    }

    fn staging(&self) -> PathBuf {
        self.target.join(format!(".sealpost-{ID}"))
    }

    /// Receiving stopped when so many files had their names, or before any name was written down.
    fn stop(&self, named: Option<usize>) {
        self.stop_of(named, None);
    }

    fn stop_of(&self, named: Option<usize>, pulled: Option<Pulled>) {
        let options = Options {
            target: self.target.clone(),
            again: false,
            keep_sealed: None,
        };
        let opening = OpeningId::from_bytes([1; 16]);
        let head = ReceivingHead::new(ID, self.hh, opening, &options, EXPIRY - 10, EXPIRY).unwrap();
        let head = head.of_puller(pulled);
        let (state, env) = (&self.session.state, &self.session.env);
        let mut receiving = receive::state::begin(state, env, &self.hh.to_string(), head).unwrap();
        fs::create_dir(&self.target).unwrap();
        platform::own_private_dir(&self.staging()).unwrap();
        for (number, entry) in self.manifest.files.iter().enumerate() {
            let contents: Vec<u8> = (0..=250_u8)
                .cycle()
                .skip(number)
                .take(usize::try_from(entry.len).unwrap())
                .collect();
            let is_named = named.is_some_and(|named| number < named);
            let staged = self.staging().join(number.to_string());
            let path = if is_named {
                self.target.join(&entry.name)
            } else {
                staged
            };
            fs::write(path, contents).unwrap();
        }
        if named.is_some() {
            let placing = Placing {
                manifest: self.manifest.clone(),
                names: self.manifest.files.iter().map(|file| file.name.clone()).collect(),
                by_links: false,
            };
            receiving
                .append(&ReceivingRecord::Placing(Box::new(placing)), env)
                .unwrap();
        }
    }

    fn expire(&mut self) {
        set(&mut self.session, EXPIRY + EXPIRY_GRACE);
        assert_eq!(remove_expired(&self.session), 0);
        assert!(self.staging().exists());
        set(&mut self.session, EXPIRY + EXPIRY_GRACE + 1);
        assert_eq!(remove_expired(&self.session), 1);
        assert!(!self.staging().exists(), "no plaintext is staged");
        assert_eq!(files_in(&self.session.home.path().join(RECEIVING)).len(), 0);
    }

    fn progress(&self) -> Progress {
        let record = ReceivedRecord::get(&self.session.state, &self.hh).unwrap();
        record.unwrap().progress
    }
}

#[test]
fn plaintext_that_has_no_name_yet_goes() {
    for named in [None, Some(0)] {
        let mut half = Half::new();
        half.stop(named);
        half.expire();
        assert_eq!(files_in(&half.target).len(), 0, "{named:?}");
        assert_eq!(half.progress(), Progress::Opened, "{named:?}");
    }
}

#[test]
fn what_was_delivered_stays_and_its_receipt_is_still_to_be_sent() {
    for named in [1, 2] {
        let mut half = Half::new();
        half.stop(Some(named));
        half.expire();
        assert_eq!(files_in(&half.target).len(), 2, "{named}");
        assert_eq!(half.progress(), Progress::Placed, "{named}");
        let waiting = ReceivedRecord::without_receipt(&half.session.state).unwrap();
        assert_eq!((waiting.len(), waiting[0].transfer), (1, ID));
    }
}

/// As a puller begins it.
fn pulled() -> Option<Pulled> {
    Some(Pulled::new(&sealed(&[1]).summary, None))
}

#[test]
fn what_a_puller_half_delivered_is_left_to_it() {
    for named in [1, 2] {
        let mut half = Half::new();
        half.stop_of(Some(named), pulled());
        set(&mut half.session, EXPIRY + EXPIRY_GRACE + 1);
        assert_eq!(remove_expired(&half.session), 0, "{named}");
        assert_eq!(files_in(&half.session.home.path().join(RECEIVING)).len(), 2, "{named}");
        assert!(ReceivedRecord::get(&half.session.state, &half.hh).unwrap().is_none());
    }
}

#[test]
fn what_a_puller_delivered_nothing_of_goes_like_any_other() {
    let mut half = Half::new();
    half.stop_of(Some(0), pulled());
    half.expire();
    assert_eq!(files_in(&half.target).len(), 0);
}

#[test]
fn what_a_puller_began_is_not_finished_by_resume() {
    let half = Half::new();
    half.stop_of(Some(1), pulled());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let resuming = receive::resume(&half.session, &half.hh, Arc::new(crate::progress::Silent));
    let resumed = runtime.block_on(resuming);
    let Err(refused @ crate::Error::Input(_)) = resumed else {
        panic!("it is the puller's: {resumed:?}");
    };
    assert!(refused.to_string().contains("sealpost pull"), "{refused}");
    receive::discard(&half.session, &half.hh).unwrap();
    assert_eq!(files_in(&half.session.home.path().join(RECEIVING)).len(), 0);
}

#[test]
fn what_an_earlier_version_began_is_kept_for_the_longest_life_of_a_transfer() {
    let options = Options {
        target: PathBuf::from("target"),
        again: false,
        keep_sealed: None,
    };
    let head = ReceivingHead::new(ID, HH, OpeningId::from_bytes([1; 16]), &options, 5, EXPIRY).unwrap();
    assert_eq!(head.expires_at(), EXPIRY);
    let json = serde_json::to_string(&head).unwrap();
    let earlier = json.replace(&format!(r#","expires_at":{EXPIRY}"#), "");
    assert_ne!(earlier, json);
    let head: ReceivingHead = serde_json::from_str(&earlier).unwrap();
    assert_eq!(head.expires_at(), 5 + MAX_LIFETIME);
}
