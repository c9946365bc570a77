//! The live feed over the routes: what is replayed, what follows, what moves, how many there may be, and when one ends.

use axum::body::BodyDataStream;
use futures_util::{FutureExt as _, StreamExt as _};
use sealpost_proto::encoding::Base64;
use serde_json::{Value, json};

use super::links::sent_with;
use super::revoking::lose_share;
use super::*;

fn numbered(n: u8) -> TransferId {
    TransferId::from_bytes([n; 16])
}

/// A feed as a client reads it.
struct Reader {
    body: BodyDataStream,
    text: String,
}

/// Name, id and data of an event.
type Event = (String, Option<u64>, Value);

impl Reader {
    /// The next event, which is there already; a comment is one without a name.
    fn now(&mut self) -> Option<Event> {
        if !self.text.contains("\n\n") {
            let frame = self.body.next().now_or_never()??;
            self.text.push_str(std::str::from_utf8(&frame.unwrap()).unwrap());
        }
        let (event, rest) = self.text.split_once("\n\n").unwrap();
        let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let data = field("data").map_or(Value::Null, |data| serde_json::from_str(data).unwrap());
        let event = (
            field("event").unwrap_or_default().to_owned(),
            field("id").map(|id| id.parse().unwrap()),
            data,
        );
        self.text = rest.to_owned();
        Some(event)
    }

    /// Cursor and transfer of the next event, which is of the inbox.
    fn inbox(&mut self) -> (u64, TransferId) {
        let (name, id, data) = self.now().expect("an event");
        assert_eq!(name, "inbox");
        assert_eq!(data["cursor"].as_u64(), id, "the id of the event is its cursor");
        (id.unwrap(), data["transfer"].as_str().unwrap().parse().unwrap())
    }

    fn head(&mut self) -> u64 {
        let (name, _, data) = self.now().expect("an event");
        assert_eq!(name, "head");
        data["cursor"].as_u64().unwrap()
    }

    async fn has_ended(&mut self) -> bool {
        self.text.is_empty() && self.body.next().await.is_none()
    }
}

impl House {
    async fn feed(&self, by: &Person, after: Option<u64>) -> Reader {
        let query = after.map_or("", |after| format!("after={after}").leak());
        let request = self.signed(
            &by.device,
            &Ask {
                query,
                ..get("/v1/feed")
            },
        );
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        Reader {
            body: answer.into_body().into_data_stream(),
            text: String::new(),
        }
    }

    async fn inbox_after(&self, by: &Person, query: &'static str) -> TransfersResponse {
        let (status, body) = self
            .ask(
                by,
                Ask {
                    query,
                    ..get("/v1/inbox")
                },
            )
            .await;
        assert_eq!(status, StatusCode::OK, "{body:?}");
        serde_json::from_slice(&body).unwrap()
    }
}

#[tokio::test]
async fn a_feed_replays_what_is_behind_its_cursor_and_goes_on() {
    let house = house().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    for n in 1..=3 {
        sent_with(&house, numbered(n), &[], true).await;
    }
    let mut whole = house.feed(provider, Some(0)).await;
    let mut others = house.feed(&house.third, Some(0)).await;
    assert_eq!(whole.head(), 0);
    let told: Vec<_> = (0..3).map(|_| whole.inbox()).collect();
    assert!(told.is_sorted());
    assert_eq!(
        told.iter().map(|(_, id)| *id).collect::<Vec<_>>(),
        [1, 2, 3].map(numbered)
    );
    assert_eq!(whole.now(), None);
    let mut from_now = house.feed(provider, None).await;
    assert_eq!(from_now.head(), told[2].0, "the newest there is");
    assert_eq!(from_now.now(), None);

    sent_with(&house, numbered(4), &[], true).await;
    let (cursor, id) = whole.inbox();
    assert!(cursor > told[2].0 && id == numbered(4));
    assert_eq!(from_now.inbox(), (cursor, id));
    assert_eq!((whole.now(), from_now.now()), (None, None), "once");
    drop((whole, from_now));
    let mut later = house.feed(provider, Some(told[1].0)).await;
    assert_eq!(later.head(), told[1].0);
    assert_eq!([later.inbox(), later.inbox()], [told[2], (cursor, id)]);
    assert_eq!(later.now(), None);
    assert_eq!(others.head(), 0);
    assert_eq!(others.now(), None, "not theirs");

    // The sender hears that something changed, and not what.
    let mut sender = house.feed(admin, None).await;
    sender.head();
    house
        .ask(
            admin,
            Ask {
                method: "DELETE",
                ..get(format!("/v1/transfers/{}", numbered(2)))
            },
        )
        .await;
    let (name, id, data) = sender.now().unwrap();
    assert_eq!(
        (name.as_str(), id, data),
        ("sent", None, json!({ "transfer": numbered(2) }))
    );
}

#[tokio::test]
async fn pages_of_the_inbox_go_on_behind_a_cursor() {
    let house = house().await;
    let provider = &house.clinic.provider;
    for n in 1..=3 {
        sent_with(&house, numbered(n), &[], true).await;
    }
    let page = house.inbox_after(provider, "after=0&limit=2").await;
    let ids = |page: &TransfersResponse| page.transfers.iter().map(|t| t.transfer).collect::<Vec<_>>();
    assert_eq!(ids(&page), [numbered(1), numbered(2)]);
    assert_eq!(page.next, page.transfers[1].position);
    let query = format!("after={}&limit=2", page.next.unwrap()).leak();
    let rest = house.inbox_after(provider, query).await;
    assert_eq!((ids(&rest), rest.next), (vec![numbered(3)], None));
    let newest = house.inbox_after(provider, "limit=1").await;
    assert_eq!((ids(&newest), newest.transfers[0].position), (vec![numbered(3)], None));
    assert_eq!(
        ids(&house.inbox_after(provider, "after=999999").await).len(),
        3,
        "of records that are not here"
    );
    let both = Ask {
        query: "after=1&before=9",
        ..get("/v1/inbox")
    };
    assert_eq!(house.refusal(provider, both).await, ProblemKind::BadRequest);
}

#[tokio::test]
async fn what_was_held_comes_again_when_it_is_armed() {
    let house = house().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    sent_with(&house, numbered(1), &[], true).await;
    lose_share(&house, numbered(1)).await;
    sent_with(&house, numbered(2), &[], true).await;
    let mut feed = house.feed(provider, Some(0)).await;
    feed.head();
    assert_eq!(feed.inbox().1, numbered(1));
    let (cursor, last) = feed.inbox();
    assert_eq!((last, feed.now()), (numbered(2), None));
    let body = json!({ "share": Base64(SHARE.to_vec()) }).to_string();
    let rearm = post(format!("/v1/transfers/{}/rearm", numbered(1)), body);
    assert_eq!(house.ask(admin, rearm).await.0, StatusCode::OK);
    let (armed, id) = feed.inbox();
    assert!(id == numbered(1) && armed > cursor, "behind all that was told");
    assert_eq!(feed.now(), None);
    let mut later = house.feed(provider, Some(cursor)).await;
    later.head();
    assert_eq!(later.inbox(), (armed, numbered(1)), "also for those who were away");
    let all = house.inbox_after(provider, "after=0").await;
    assert_eq!(all.transfers.len(), 2, "it stands there once");
}

#[tokio::test]
async fn one_person_has_so_many_feeds_and_strangers_none() {
    let house = house().await;
    let provider = &house.clinic.provider;
    let first = house.feed(provider, None).await;
    let _second = house.feed(provider, None).await;
    assert_eq!(
        house.refusal(provider, get("/v1/feed")).await,
        ProblemKind::TooManyRequests
    );
    let _third = house.feed(&house.clinic.admin, None).await;
    assert_eq!(
        house.refusal(&house.third, get("/v1/feed")).await,
        ProblemKind::Unavailable,
        "all together"
    );
    drop(first);
    let _again = house.feed(provider, None).await;
    let stranger = Person::new(99);
    assert_eq!(
        house.refusal(&stranger, get("/v1/feed")).await,
        ProblemKind::Unauthenticated
    );
    let odd = Ask {
        query: "before=1",
        ..get("/v1/feed")
    };
    assert_eq!(house.refusal(provider, odd).await, ProblemKind::BadRequest);
}

async fn revoke_device(house: &House, person: &Person) {
    let text = house.clinic.revoked_device(person).to_string();
    let decide = move |_: &_, _| {
        let changes = vec![Change::StatementTaken { text: text.clone() }];
        (
            (),
            Effects {
                changes,
                leaves: Vec::new(),
            },
        )
    };
    transact(house.ledger.as_ref(), vec![Key::Organisation], decide)
        .await
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_feed_says_that_it_lives_and_ends_when_its_device_is_revoked() {
    let house = house().await;
    let provider = &house.clinic.provider;
    let mut feed = house.feed(provider, None).await;
    feed.head();
    let begun = tokio::time::Instant::now();
    let comment = feed.body.next().await.unwrap().unwrap();
    assert_eq!((&comment[..], begun.elapsed().as_secs()), (&b":\n\n"[..], 15));
    revoke_device(&house, provider).await;
    let begun = tokio::time::Instant::now();
    assert!(feed.has_ended().await);
    assert!(begun.elapsed() <= Duration::from_secs(15));
}

#[tokio::test]
async fn nothing_is_told_after_the_device_is_revoked() {
    let house = house().await;
    let provider = &house.clinic.provider;
    let mut feed = house.feed(provider, None).await;
    feed.head();
    revoke_device(&house, provider).await;
    sent_with(&house, numbered(1), &[], true).await;
    assert!(feed.has_ended().await, "not even what came first");
}
