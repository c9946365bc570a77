//! A look inside: a person's session, and the shares on a gateway's disk.

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use sealpost_client::{Env, Home, Session};
use sealpost_gateway::app::SystemRandom;
use sealpost_gateway::store::embedded::EmbeddedShares;
use sealpost_gateway::store::folder::PrivateFolder;
use sealpost_gateway::store::share::{ShareRef, ShareStore as _};
use sealpost_tests::person::Person;

use super::files_below;

/// A slot with a share in [`rows_and_keys`].
pub(crate) const WRAPPED_SHARE: &str = "a wrapped share";
/// A key in [`rows_and_keys`].
pub(crate) const DAY_KEY: &str = "the key of a day";

/// The account of a person, with its secrets.
pub(crate) fn session_of(person: &Person) -> Session {
    let passphrase = fs::read_to_string(person.passphrase_file()).expect("a passphrase");
    Session::open(Home::new(person.home()), passphrase.trim(), Env::system()).expect("a session")
}

/// Wrapped shares and keys of days, as `gateway/src/store/embedded/shares` lays them out: slots behind a header of 64 bytes.
/// `folder` is the one that holds `data` and `data-ring`.
pub(crate) fn rows_and_keys(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut found = Vec::new();
    let mut take = |what, file: &[u8], slot: usize, secret: Range<usize>| {
        let slots = file[64..]
            .chunks(slot)
            .filter(|slot| slot.iter().any(|byte| *byte != 0));
        found.extend(slots.map(|slot| (what, slot[secret.clone()].to_vec())));
    };
    for (_, file) in files_below(&folder.join("data/shares")) {
        take(WRAPPED_SHARE, &file, 128, 56..116);
    }
    let ring = fs::read(folder.join("data-ring/ring")).expect("the ring");
    take(DAY_KEY, &ring, 64, 16..48);
    found
}

/// The shares that the gateway's own code finds in data folder and ring of a gateway that does not run.
pub(crate) fn shares_on_disk(folder: &Path) -> Vec<ShareRef> {
    let open = |name| PrivateFolder::open(&folder.join(name)).expect("a folder that nobody else has");
    let shares = EmbeddedShares::open(&open("data"), &open("data-ring"), Arc::new(SystemRandom)).expect("the shares");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(shares.list()).expect("a list")
}
