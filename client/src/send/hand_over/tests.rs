use sealpost_proto::problem::Problem;

use super::*;
use crate::receive::tests::{Sealed, sealed};
use crate::resume::begun::Found;
use crate::send::state::{self, SendingHead};

fn refusal(kind: ProblemKind) -> ApiError {
    ApiError::Refused {
        problem: Box::new(Problem::new(kind, "r".into())),
        local_time: 0,
        retry_after: None,
    }
}

/// What the gateway says of the caller or of the moment.
const MAY_CHANGE: [ProblemKind; 9] = [
    ProblemKind::ClockSkew,
    ProblemKind::Unauthenticated,
    ProblemKind::Unconfirmed,
    ProblemKind::Disabled,
    ProblemKind::Forbidden,
    ProblemKind::ServiceOver,
    ProblemKind::ServiceElsewhere,
    ProblemKind::Replayed,
    ProblemKind::TooManyRequests,
];

/// A send whose request is kept, as it is before the first attempt.
struct Handed {
    sealed: Sealed,
    sending: Sending,
    record: SentRecord,
}

fn handed() -> Handed {
    let sealed = sealed(&[1]);
    let (header, _) = verify::pieces(&sealed.summary).unwrap();
    let (session, transfer, hh) = (&sealed.session, header.transfer_id, Hash::from_bytes(header.hash()));
    let record = SentRecord {
        transfer,
        hh,
        recipients: sealed.sent_to.clone(),
        directory_size: session.mirror.size(),
        files: Vec::new(),
        expires_at: header.expires_at,
        accepted: None,
        verified: BTreeMap::new(),
        links: Vec::new(),
        share: None,
    };
    record.put(&session.state, &session.env).unwrap();
    let head = SendingHead {
        transfer,
        hh,
        recipients: Vec::new(),
        files: 1,
        total: 1,
        begun_at: header.created_at,
        expires_at: header.expires_at,
        link: None,
    };
    let seal = SendingRecord::Seal(KeptSeal {
        body: Base64(vec![1]),
        idempotency_key: "k".into(),
    });
    let sending = state::begin(&session.state, &session.env, head, &seal).unwrap();
    Handed {
        sealed,
        sending,
        record,
    }
}

/// Whether the record of sending and the unfinished send are still there.
fn is_kept(session: &Session, transfer: &TransferId) -> (bool, bool) {
    let record = SentRecord::get(&session.state, transfer).unwrap();
    let sending = state::open(&session.state, transfer).unwrap();
    (record.is_some(), matches!(sending, Some((Found::Free(_), _))))
}

#[test]
fn no_refusal_ends_a_transfer_of_which_the_gateway_does_not_say_that_it_has_none() {
    let unanswered = [
        ApiError::Unreachable("gone".into()),
        ApiError::Answer("odd"),
        ApiError::WrongKey,
        refusal(ProblemKind::Forbidden),
        refusal(ProblemKind::ServiceElsewhere),
        refusal(ProblemKind::Internal),
    ];
    for kind in ProblemKind::ALL {
        for asked in &unanswered {
            let settled = Settled::of(&refusal(*kind), Err(asked.clone()));
            assert!(matches!(settled, Settled::Unknown), "{kind:?}, {asked}");
        }
    }
}

#[test]
fn what_the_gateway_does_not_have_is_over_unless_it_may_take_it_yet() {
    for kind in ProblemKind::ALL {
        let settled = Settled::of(&refusal(*kind), Err(refusal(ProblemKind::NotFound)));
        let stays = MAY_CHANGE.contains(kind) || kind.status() >= 500;
        let stays = stays || [ProblemKind::InFlight, ProblemKind::AlreadyFounded].contains(kind);
        assert_eq!(matches!(settled, Settled::Open), stays, "{kind:?}");
        assert_eq!(matches!(settled, Settled::Over), !stays, "{kind:?}");
    }
}

#[test]
fn what_is_refused_for_good_and_unknown_is_forgotten() {
    let Handed {
        sealed,
        sending,
        record,
    } = handed();
    let (session, transfer) = (&sealed.session, record.transfer);
    let error = refusal(ProblemKind::SealRefused);
    let ended = end(session, sending, record, error, Settled::Over).unwrap_err();
    assert!(matches!(ended, Error::Api(_)), "{ended}");
    assert_eq!(is_kept(session, &transfer), (false, false));
}

#[test]
fn what_may_be_taken_is_kept_and_not_called_refused() {
    for (settled, told) in [(Settled::Unknown, "is not known yet"), (Settled::Open, "unfinished")] {
        let Handed {
            sealed,
            sending,
            record,
        } = handed();
        let (session, transfer) = (&sealed.session, record.transfer);
        let error = refusal(ProblemKind::ServiceElsewhere);
        let ended = end(session, sending, record, error, settled).unwrap_err().to_string();
        assert!(ended.contains(told) && ended.contains("sealpost resume"), "{ended}");
        assert_eq!(is_kept(session, &transfer), (true, true), "{told}");
    }
}

#[test]
fn what_the_gateway_shows_was_taken_whatever_it_refused() {
    let Handed {
        sealed,
        sending,
        record,
    } = handed();
    let (session, transfer) = (&sealed.session, record.transfer);
    for kind in ProblemKind::ALL {
        let settled = Settled::of(&refusal(*kind), Ok(sealed.summary.clone()));
        assert!(matches!(settled, Settled::Shown(_)), "{kind:?}");
    }
    let shown = Settled::Shown(Box::new(sealed.summary.clone()));
    let taken = end(session, sending, record, refusal(ProblemKind::Expired), shown).unwrap();
    assert_eq!(taken.sent.transfer, transfer);
    assert_eq!(is_kept(session, &transfer), (true, false), "nothing is unfinished");
    let record = SentRecord::get(&session.state, &transfer).unwrap().unwrap();
    assert_eq!(record.accepted, Some(sealed.summary.receipt));
}

#[test]
fn of_another_header_under_the_same_id_nothing_is_forgotten() {
    let Handed {
        sealed,
        sending,
        mut record,
    } = handed();
    let (session, transfer) = (&sealed.session, record.transfer);
    record.hh = Hash::from_bytes([9; 32]);
    let shown = Settled::Shown(Box::new(sealed.summary.clone()));
    let error = refusal(ProblemKind::AlreadySealed);
    let ended = end(session, sending, record, error, shown).unwrap_err();
    assert!(matches!(ended, Error::Receipt(_)), "{ended}");
    assert_eq!(is_kept(session, &transfer), (true, true));
}
