//! The sender's chain as a visitor sees it.

use sealpost_proto::key::{Body, RevokedKey, Statement};

use super::*;
use crate::account::Account;
use crate::enrolment::tests::invited;
use crate::receive::tests::sealed_by;

fn revocation(of: &Account, key: RevokedKey) -> String {
    let statement = Statement {
        org: of.org,
        label: Some(of.label()),
        seq: 1,
        prev: None,
        body: Body::Revoke {
            key,
            time: Env::system().now(),
        },
    };
    let mut note = statement.note().unwrap();
    note.sign_as("ik", &of.identity);
    note.to_string()
}

#[test]
fn a_seal_by_a_device_that_was_revoked_is_refused() {
    let (account, statements, _) = invited();
    let revocations = [
        RevokedKey::Device(account.device.public()),
        RevokedKey::Identity(account.identity.public()),
    ]
    .map(|key| revocation(&account, key));
    let identity = account.identity.public();
    let sealed = sealed_by(account, &statements, &[1]);
    let (header, seal) = verify::pieces(&sealed.summary).unwrap();
    let seen = |statements: &[String]| {
        let directory = chain(statements, None).unwrap();
        sender(&directory, &header, &header.sender_device, &seal)
    };
    assert_eq!(seen(&statements), Some(identity));
    for revocation in revocations {
        let served = [&statements[..], &[revocation]].concat();
        assert_eq!(seen(&served), None, "{served:?}");
    }
}
