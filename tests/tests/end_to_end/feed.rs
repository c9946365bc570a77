//! The live feed of the real gateway: what comes, what comes again after a restart, and when it ends.

use sealpost_client::Session;
use sealpost_client::api::{Api, ApiError};
use sealpost_client::feed::{Feed, FeedEvent};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::TransferId;
use sealpost_proto::key::{Body, RevokedKey, Statement};
use sealpost_proto::problem::ProblemKind;
use sealpost_tests::person::Person;

use crate::support::inside::session_of;
use crate::support::{PROVIDER, World, ask, receive, send};

/// Feeds of one person that a gateway has by default.
const MOST: usize = 16;

async fn opened(session: &Session, after: Option<u64>) -> (Feed, u64) {
    let mut feed = Feed::open(&session.api, after).await.expect("a feed");
    match feed.next().await.expect("a head") {
        FeedEvent::Head { cursor } => (feed, cursor),
        other => panic!("a feed begins with {other:?}"),
    }
}

async fn inbox(feed: &mut Feed) -> (u64, String) {
    match feed.next().await.expect("an event") {
        FeedEvent::Inbox { cursor, transfer } => (cursor, transfer.to_string()),
        other => panic!("{other:?} is not of the inbox"),
    }
}

/// Commands of people wait for processes, as feeds must not.
async fn apart<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(act).await.expect("no panic")
}

async fn sent(desk: &Person, file: &std::path::Path) -> String {
    let (desk, file) = (desk.clone(), file.to_path_buf());
    apart(move || send(&desk, PROVIDER, &[&file], &[])).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_tells_both_sides_and_goes_on_behind_its_cursor_after_a_restart() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"to be fed");
    let before = sent(&desk, &file).await;
    let (recipient, sender) = (session_of(&provider), session_of(&desk));
    let (mut hears, from_now) = opened(&recipient, None).await;
    let (mut told, _) = opened(&sender, None).await;
    let (mut replayed, begin) = opened(&recipient, Some(0)).await;
    assert_eq!((begin, inbox(&mut replayed).await), (0, (from_now, before.clone())));

    let first = sent(&desk, &file).await;
    let (cursor, id) = inbox(&mut hears).await;
    assert!(id == first && cursor > from_now);
    assert_eq!(inbox(&mut replayed).await, (cursor, first.clone()));
    let (target, wanted) = (world.empty("provider"), first.clone());
    apart(move || receive(&provider, &wanted, &target)).await;
    let changed: TransferId = first.parse().expect("an id");
    assert_eq!(
        told.next().await.expect("a hint"),
        FeedEvent::Sent { transfer: changed }
    );

    // A feed does not hold a gateway up that stops, and what comes meanwhile is not lost.
    let mut world = apart(move || {
        world.gateway.pause().expect("a clean end");
        world
    })
    .await;
    assert!(
        !world.gateway.log().contains("cutting off"),
        "it ended before its deadline"
    );
    assert!(matches!(hears.next().await, Err(ApiError::Unreachable(_))));
    let world = apart(move || {
        world.gateway.restart().expect("a start");
        world
    })
    .await;
    let second = sent(&desk, &file).await;
    let (mut later, begin) = opened(&recipient, Some(cursor)).await;
    assert_eq!(begin, cursor);
    let (last, id) = inbox(&mut later).await;
    assert!(id == second && last > cursor);

    let page = recipient.api.inbox_after(from_now, 10).await.expect("a page");
    let places: Vec<_> = page
        .transfers
        .iter()
        .map(|t| (t.position, t.transfer.to_string()))
        .collect();
    assert_eq!(places, [(Some(cursor), first), (Some(last), second)]);
    drop(world);
}

fn revocation(desk: &Session, device: &Session) -> String {
    let statement = Statement {
        org: desk.account.org,
        label: Some(device.account.label()),
        seq: 1,
        prev: None,
        body: Body::Revoke {
            key: RevokedKey::Device(device.account.device.public()),
            time: desk.env.now(),
        },
    };
    let mut note = statement.note().expect("a statement");
    note.sign_as("rk", desk.account.registrar.as_ref().expect("a registrar"));
    note.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_with_its_device_and_tells_it_nothing_more() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"not for you any more");
    let (sender, recipient) = (session_of(&desk), session_of(&provider));
    let (mut quiet, _) = opened(&recipient, None).await;
    let (mut busy, _) = opened(&sender, None).await;
    sender
        .api
        .post_statements(vec![revocation(&sender, &recipient)])
        .await
        .expect("a revocation");
    let own = world.file("own.txt", b"to myself");
    let to_self = apart({
        let desk = desk.clone();
        move || send(&desk, crate::support::DESK, &[&own], &[])
    })
    .await;
    assert_eq!(inbox(&mut busy).await.1, to_self);
    // Whether or not the desk's client sends to somebody without a device: this one is not told.
    apart(move || desk.run(&[&"send", &"--to", &PROVIDER, &file]).map(drop))
        .await
        .expect("a run");
    assert!(matches!(quiet.next().await, Err(ApiError::Unreachable(_))), "it ends");
    let again = Feed::open(&recipient.api, None).await;
    assert_eq!(again.expect_err("a refusal").kind(), Some(ProblemKind::Disabled));
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_have_no_feed_and_members_have_so_many() {
    let world = World::new();
    let desk = session_of(&world.desk());
    let stranger = SigningKey::from_seed(&[9; 32]);
    let unknown = Api::new(desk.api.at().clone(), stranger, desk.env.clone()).expect("an API");
    let refused = Feed::open(&unknown, None).await.expect_err("a refusal");
    assert_eq!(refused.kind(), Some(ProblemKind::Unauthenticated));
    let mut feeds = Vec::new();
    for _ in 0..MOST {
        feeds.push(opened(&desk, None).await.0);
    }
    let full = Feed::open(&desk.api, None).await.expect_err("a refusal");
    assert_eq!(full.kind(), Some(ProblemKind::TooManyRequests));
    assert!(ask(&world.desk(), &[&"inbox"]).is_object(), "all else is served");
}
