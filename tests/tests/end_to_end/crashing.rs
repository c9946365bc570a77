//! The crash matrix of security.md 9.4, row by row: the real gateway dies at a named point, as by `kill -9`, is started again, and must
//! be as the row says. `docs/RELIABILITY.md` has the rows with the names of their tests.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use sealpost_client::api::{Api, ApiError};
use sealpost_client::{Env, Session};
use sealpost_gateway::store::embedded::EmbeddedHeads;
use sealpost_gateway::store::folder::PrivateFolder;
use sealpost_gateway::store::ledger::heads::VouchedHeads as _;
use sealpost_proto::api::{LinkState, OpenRequest, TransferState};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::{Hash, OpeningId, PublicKey};
use sealpost_proto::log::Checkpoint;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Header;
use sealpost_tests::person::Person;
use sealpost_tests::samples;
use serde_json::Value;

use crate::support::by_hand::ByHand;
use crate::support::in_process::InProcess;
use crate::support::inside::{WRAPPED_SHARE, rows_and_keys, session_of};
use crate::support::{PROVIDER, World, ask, delivery, files_below, names_in, receive, run, send};

/// Exit code of docs/cli.md.
const OVER: i32 = 7;
const HOUR: u64 = 3_600;
const FILE: &str = "scan.dcm";

/// A gateway, the desk that sends and the provider who receives, and a transfer that has been announced.
struct Scene {
    world: World,
    desk: Session,
    provider: Person,
    bytes: Vec<u8>,
    transfer: ByHand,
}

impl Scene {
    async fn new() -> Self {
        Self::allowing(None).await
    }

    async fn allowing(openings: Option<u32>) -> Self {
        let world = World::new();
        let provider = world.provider();
        let desk = session_of(&world.desk());
        let bytes = samples::noise(200_000);
        let transfer = ByHand::new(&desk, &session_of(&provider), FILE, &bytes, openings);
        transfer.announce(&desk).await;
        Self {
            world,
            desk,
            provider,
            bytes,
            transfer,
        }
    }

    /// With its part uploaded and recorded.
    async fn uploaded(openings: Option<u32>) -> Self {
        let scene = Self::allowing(openings).await;
        scene.transfer.put_part(&scene.desk).await.expect("a part");
        scene
    }

    /// Has the gateway die at `point` while `request` is under way, and starts it again.
    async fn dies_at<T>(&mut self, point: &str, request: impl AsyncFn(&ByHand, &Session) -> Result<T, ApiError>) {
        self.world.gateway.restart_to_die_at(point).expect("a start");
        let Err(error) = request(&self.transfer, &self.desk).await else {
            panic!("there is an answer although the gateway should have died at {point}");
        };
        assert!(matches!(error, ApiError::Unreachable(_)), "{error}");
        self.world.gateway.wait_for_death().expect("a death");
    }

    fn restart(&mut self) {
        self.world.gateway.restart().expect("a restart");
    }

    /// Names of the files below a folder of the gateway's data.
    fn data(&self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        names_below(&self.world.gateway.data().join(folder), &mut names);
        names
    }

    fn has_share(&self) -> bool {
        has_share(self.world.folder.path())
    }

    /// Nobody sees the transfer.
    async fn is_unsealed(&self) -> bool {
        let inbox = ask(&self.provider, &[&"inbox"]);
        let answer = self.desk.api.transfer(&self.transfer.id).await;
        list(&inbox, "/transfers").is_empty() && answer.is_err_and(|e| e.kind() == Some(ProblemKind::NotFound))
    }

    /// The provider receives what was sent, and the log has its story once.
    fn arrives(&self) {
        let target = self.world.empty("provider");
        receive(&self.provider, &self.transfer.id.to_string(), &target);
        assert!(
            fs::read(target.join(FILE)).expect("the file") == self.bytes,
            "other bytes"
        );
        assert_eq!(self.leaves("transfer.sealed").len(), 1);
        assert_eq!(self.leaves("transfer.opened").len(), 1);
    }

    /// Leaves of a type about the transfer, of what was not refused.
    fn leaves(&self, event: &str) -> Vec<Value> {
        let audit = ask(&self.world.desk(), &[&"audit", &"list"]);
        let id = self.transfer.id.to_string();
        let is_meant = |leaf: &&Value| {
            let at = |pointer| leaf.pointer(pointer).and_then(Value::as_str);
            let is_done = at("/event/outcome") == Some("ok");
            is_done && at("/event/type") == Some(event) && at("/event/object/id") == Some(&id)
        };
        list(&audit, "/events").iter().filter(is_meant).cloned().collect()
    }
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list at {pointer} in {value}"))
}

/// Names of all files below a folder, of which some may be removed at this moment.
fn names_below(folder: &Path, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names_below(&path, names);
        } else {
            names.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
}

fn has_share(folder: &Path) -> bool {
    rows_and_keys(folder).iter().any(|(what, _)| *what == WRAPPED_SHARE)
}

#[tokio::test]
async fn during_a_parts_body_nothing_of_it_stays() {
    let mut scene = Scene::new().await;
    scene.dies_at("part-body", ByHand::put_part).await;
    assert_eq!(scene.data("tmp").len(), 1, "what had come");
    scene.restart();
    assert_eq!(scene.data("tmp"), Vec::<String>::new());
    assert_eq!(scene.data("blobs"), Vec::<String>::new());
    assert_eq!(scene.transfer.listed(&scene.desk).await, []);
    scene.transfer.put_part(&scene.desk).await.expect("the part");
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.arrives();
}

#[tokio::test]
async fn a_part_without_its_record_is_adopted_by_the_same_part() {
    let mut scene = Scene::new().await;
    scene.dies_at("part-kept", ByHand::put_part).await;
    scene.restart();
    let kept = scene.data("blobs");
    assert_eq!(kept.len(), 2, "part and leaves");
    assert_eq!(scene.transfer.listed(&scene.desk).await, []);
    scene.transfer.put_part(&scene.desk).await.expect("the part");
    assert_eq!(scene.transfer.listed(&scene.desk).await, [scene.transfer.root()]);
    assert_eq!(scene.data("blobs"), kept, "the same files");
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.arrives();
}

#[tokio::test]
async fn a_part_without_its_record_goes_after_two_days() {
    let mut scene = Scene::new().await;
    scene.dies_at("part-kept", ByHand::put_part).await;
    let orphans = scene.data("blobs");
    scene.restart();
    let recipient = session_of(&scene.provider);
    scene.transfer = scene.transfer.again(&scene.desk, &recipient, FILE, &scene.bytes);
    scene.transfer.put_part(&scene.desk).await.expect("another part");
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    let all = scene.data("blobs");
    assert!(orphans.iter().all(|orphan| all.contains(orphan)));
    let (port, folder) = (scene.world.gateway.port(), scene.world.folder.path().to_path_buf());
    scene.world.gateway.pause().expect("an end");

    let gateway = InProcess::start(&folder, port, 47 * HOUR);
    gateway.stop();
    assert_eq!(scene.data("blobs"), all, "not before");
    let gateway = InProcess::start(&folder, port, 49 * HOUR);
    while orphans.iter().any(|orphan| scene.data("blobs").contains(orphan)) {
        tokio::task::yield_now().await;
    }
    gateway.stop();
    assert_eq!(scene.data("blobs").len(), all.len() - orphans.len(), "and nothing else");
    scene.restart();
    scene.arrives();
}

#[tokio::test]
async fn a_recorded_part_is_listed_and_may_come_again() {
    let mut scene = Scene::new().await;
    scene.dies_at("part-recorded", ByHand::put_part).await;
    scene.restart();
    assert_eq!(scene.transfer.listed(&scene.desk).await, [scene.transfer.root()]);
    scene.transfer.put_part(&scene.desk).await.expect("a repetition");
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.arrives();
}

#[tokio::test]
async fn a_seal_without_its_share_is_none_and_the_same_request_completes_it() {
    let mut scene = Scene::uploaded(None).await;
    scene.dies_at("seal-envelope-kept", ByHand::seal).await;
    assert!(!scene.has_share());
    scene.restart();
    assert!(scene.is_unsealed().await);
    assert!(scene.data("blobs").iter().any(|name| name.contains("envelope")));
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.arrives();
}

#[tokio::test]
async fn a_seal_without_its_record_is_none_and_the_same_request_completes_it() {
    let mut scene = Scene::uploaded(None).await;
    scene.dies_at("seal-share-kept", ByHand::seal).await;
    assert!(scene.has_share());
    scene.restart();
    assert!(scene.is_unsealed().await);
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.arrives();
    let rows = rows_and_keys(scene.world.folder.path());
    let shares = rows.iter().filter(|(what, _)| *what == WRAPPED_SHARE);
    assert_eq!(shares.count(), 1, "the share is there once");
}

#[tokio::test]
async fn a_recorded_seal_counts_once_and_the_same_request_has_the_same_answer() {
    let mut scene = Scene::uploaded(None).await;
    scene.dies_at("seal-recorded", ByHand::seal).await;
    scene.restart();
    assert!(!scene.is_unsealed().await);
    let receipt = scene.transfer.seal(&scene.desk).await.expect("a receipt");
    assert_eq!(scene.transfer.seal(&scene.desk).await.expect("a receipt"), receipt);
    let data = scene.leaves("transfer.sealed")[0]
        .pointer("/event/data/receipt")
        .cloned();
    assert!(data.is_some(), "the leaf names the receipt");
    scene.arrives();
}

#[tokio::test]
async fn a_recorded_opening_counts_once_and_its_device_may_ask_again() {
    let mut scene = Scene::uploaded(Some(1)).await;
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    let recipient = session_of(&scene.provider);
    let summary = recipient.api.transfer(&scene.transfer.id).await.expect("a summary");
    let hh = Hash::from_bytes(Header::parse(&summary.header.0).expect("a header").hash());
    let open = |opening| OpenRequest {
        hh,
        opening: OpeningId::from_bytes([opening; 16]),
    };
    scene
        .dies_at("open-recorded", async |transfer, _| {
            recipient.api.open(&transfer.id, &open(1)).await
        })
        .await;
    scene.restart();

    assert_eq!(scene.leaves("transfer.opened").len(), 1, "it was written down");
    let used = async || {
        let summary = scene.desk.api.transfer(&scene.transfer.id).await.expect("a summary");
        summary.recipients[0].openings_used
    };
    assert_eq!(used().await, 1);
    let another = recipient.api.open(&scene.transfer.id, &open(2)).await;
    assert_eq!(another.expect_err("a refusal").kind(), Some(ProblemKind::LimitReached));
    let again = recipient.api.open(&scene.transfer.id, &open(1)).await;
    assert!(again.expect("the same opening").share.is_some());
    assert_eq!(used().await, 1);
    assert_eq!(scene.leaves("transfer.opened").len(), 1);
}

#[tokio::test]
async fn a_recorded_opening_of_a_link_counts_once_and_its_visitor_may_ask_again() {
    let mut scene = Scene::uploaded(None).await;
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    let visitor = |seed| {
        let device = SigningKey::from_seed(&[seed; 32]);
        Api::new(scene.desk.account.at.clone(), device, Env::system()).expect("a visitor")
    };
    let (someone, another) = (visitor(1), visitor(2));
    let opening = |number| OpeningId::from_bytes([number; 16]);
    scene
        .dies_at("redeem-recorded", async |transfer, _| {
            transfer.redeem(&someone, opening(1)).await
        })
        .await;
    scene.restart();
    let refused = scene.transfer.redeem(&another, opening(2)).await;
    assert_eq!(refused.expect_err("a refusal").kind(), Some(ProblemKind::LimitReached));
    let again = scene
        .transfer
        .redeem(&someone, opening(1))
        .await
        .expect("the same opening");
    assert!(again.opened.share.is_some());
    let summary = scene.desk.api.transfer(&scene.transfer.id).await.expect("a summary");
    assert_eq!(summary.links[0].openings_used, 1);
}

#[tokio::test]
async fn a_link_whose_end_is_recorded_is_burned() {
    let mut scene = Scene::uploaded(None).await;
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.dies_at("link-change-recorded", ByHand::burn).await;
    scene.restart();
    let summary = scene.desk.api.transfer(&scene.transfer.id).await.expect("a summary");
    assert_eq!(summary.links[0].state, LinkState::Burned);
    scene.transfer.burn(&scene.desk).await.expect("once more");
    scene.arrives();
}

#[tokio::test]
async fn a_share_that_came_again_without_its_record_leaves_the_transfer_held() {
    let mut scene = Scene::uploaded(None).await;
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.world.gateway.pause().expect("an end");
    // As after a restore: no backup has the shares.
    fs::remove_dir_all(scene.world.gateway.data().join("shares")).expect("the shares");
    scene.restart();
    let state = async |scene: &Scene| {
        let summary = scene.desk.api.transfer(&scene.transfer.id).await.expect("a summary");
        summary.state
    };
    assert_eq!(state(&scene).await, TransferState::Held);
    scene.dies_at("rearm-share-kept", ByHand::rearm).await;
    assert!(scene.has_share());
    scene.restart();
    assert_eq!(state(&scene).await, TransferState::Held);
    let armed = scene.transfer.rearm(&scene.desk).await.expect("an answer");
    assert_eq!(armed, TransferState::Available);
    scene.arrives();
}

#[tokio::test]
async fn a_recorded_revocation_is_carried_out_before_anything_is_served() {
    let mut scene = Scene::uploaded(None).await;
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene
        .dies_at("revoke-recorded", async |transfer, desk| {
            desk.api.revoke(&transfer.id).await
        })
        .await;
    assert!(scene.has_share(), "the row is still there");
    scene
        .world
        .gateway
        .die_while_starting("share-destroyed")
        .expect("a death");
    assert!(!scene.has_share());
    scene.restart();
    let again = scene.desk.api.revoke(&scene.transfer.id).await.expect("an answer");
    assert_eq!(again.state, TransferState::Revoked);
    assert_eq!(scene.leaves("transfer.shredded").len(), 1);
    assert_eq!(scene.leaves("transfer.revoked").len(), 1);
}

/// A transfer of one opening is received, which uses it up, and the gateway dies at `point` on the way to destroying its share.
fn dies_while_shredding(point: &str) -> (World, Person, String) {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("once.txt", b"for your eyes, once");
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    world.gateway.restart_to_die_at(point).expect("a start");
    receive(&provider, &transfer, &world.empty("provider"));
    world.gateway.wait_for_death().expect("a death");
    (world, provider, transfer)
}

fn shredded_leaves(desk: &Person, transfer: &str) -> usize {
    let audit = ask(desk, &[&"audit", &"list"]);
    let is_meant = |leaf: &&Value| {
        let at = |pointer| leaf.pointer(pointer).and_then(Value::as_str);
        at("/event/type") == Some("transfer.shredded") && at("/event/object/id") == Some(transfer)
    };
    list(&audit, "/events").iter().filter(is_meant).count()
}

#[test]
fn a_share_whose_end_is_recorded_is_destroyed_before_anything_is_served() {
    let (mut world, _, transfer) = dies_while_shredding("shred-recorded");
    let desk = world.desk();
    assert!(has_share(world.folder.path()), "the row is still there");
    // The next start destroys it, and dies before it listens: so it is gone before anybody is served.
    world.gateway.die_while_starting("share-destroyed").expect("a death");
    assert!(!has_share(world.folder.path()));
    world.gateway.restart().expect("a restart");
    assert_eq!(shredded_leaves(&desk, &transfer), 1);
    assert_eq!(delivery(&desk, &transfer), "verified");
}

#[test]
fn a_destroyed_share_whose_destruction_is_not_recorded_stays_destroyed() {
    let (mut world, provider, transfer) = dies_while_shredding("share-destroyed");
    let desk = world.desk();
    assert!(!has_share(world.folder.path()));
    world.gateway.restart().expect("a restart");
    assert_eq!(shredded_leaves(&desk, &transfer), 1);
    assert!(!has_share(world.folder.path()));
    let target = world.empty("again");
    let words: [&dyn AsRef<std::ffi::OsStr>; 5] = [&"receive", &transfer, &"--again", &"--into", &target];
    assert_eq!(run(&provider, &words).code, OVER);
    assert_eq!(names_in(&target), Vec::<String>::new());
}

#[tokio::test]
async fn a_checkpoint_that_was_signed_and_not_published_is_published_again() {
    let mut world = World::new();
    let desk = session_of(&world.desk());
    world.member("other", "other@lab.example");
    let origin = desk.account.at.gateway.directory_origin();
    world.gateway.restart_to_die_at("checkpoint-signed").expect("a start");
    let answer = desk.api.checkpoint("directory").await;
    assert!(matches!(answer, Err(ApiError::Unreachable(_))), "{answer:?}");
    world.gateway.wait_for_death().expect("a death");
    let signed = {
        let ring = PrivateFolder::open(&world.gateway.ring()).expect("a folder that nobody else has");
        let heads = Arc::new(EmbeddedHeads::open(&ring).expect("the memory"));
        heads.last(&origin).await.expect("a read").expect("a head")
    };
    world.gateway.restart().expect("a restart");
    let published = desk.api.checkpoint("directory").await.expect("a checkpoint");
    assert_eq!(
        head_of(&published, &origin, &desk.account.at.log),
        (signed.size, signed.root)
    );
    assert_eq!(desk.api.checkpoint("directory").await.expect("again"), published);
}

/// Size and root in a checkpoint's text.
fn head_of(text: &str, origin: &str, log: &PublicKey) -> (u64, Hash) {
    let checkpoint = Checkpoint::verify(text, origin, log).expect("a checkpoint");
    (checkpoint.size, checkpoint.root)
}

#[tokio::test]
async fn views_that_were_half_written_are_checked_or_made_again() {
    let mut scene = Scene::new().await;
    // The first pass is the mark of the start, the second the first drain.
    scene
        .world
        .gateway
        .restart_to_die_at("views-applied:2")
        .expect("a start");
    let is_acknowledged = scene.transfer.put_part(&scene.desk).await.is_ok();
    scene.world.gateway.wait_for_death().expect("a death");
    scene.restart();
    let log = scene.world.gateway.log();
    assert!(log.contains("comparing them with the journal"), "{log}");
    let listed = scene.transfer.listed(&scene.desk).await;
    assert!(!is_acknowledged || listed == [scene.transfer.root()], "{listed:?}");
    scene.transfer.put_part(&scene.desk).await.expect("the part");
    scene.transfer.seal(&scene.desk).await.expect("a receipt");
    scene.world.gateway.pause().expect("an end");
    fs::write(scene.world.gateway.data().join("views/db"), b"not a tree any more").expect("a file");
    scene.restart();
    let log = scene.world.gateway.log();
    assert!(log.contains("making them again"), "{log}");
    scene.arrives();
}

#[test]
fn every_test_that_the_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let page = fs::read_to_string(root.join("docs/RELIABILITY.md")).expect("the page");
    let (_, section) = page.split_once("## Crash matrix").expect("the section");
    let section = section.split("\n## ").next().expect("a section");
    let named: Vec<(&str, &str)> = section
        .split('`')
        .skip(1)
        .step_by(2)
        .filter_map(|word| word.rsplit_once("::"))
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for (place, test) in &named {
        let file = match *place {
            "crashing" => "tests/tests/end_to_end/crashing.rs",
            "packages" => "tests/tests/architecture/packages.rs",
            "resuming" => "tests/tests/end_to_end/resuming.rs",
            path => path,
        };
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}(")), "{place}::{test} is not there");
    }
    // Every point of the gateway has a row.
    let sources = files_below(&root.join("gateway/src"));
    let texts = sources.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes));
    let reached: Vec<String> = texts
        .flat_map(|text| {
            let after = text.split("failpoint::reach(\"").skip(1).map(str::to_owned);
            after.collect::<Vec<_>>()
        })
        .filter_map(|rest| rest.split('"').next().map(str::to_owned))
        .collect();
    assert!(reached.len() > 10, "{reached:?}");
    for point in reached {
        assert!(section.contains(&format!("`{point}`")), "{point} has no row");
    }
}
