//! Service accounts: what limits do at the real gateway, keys without a person, and several accounts of one.

mod unattended;

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;

use sealpost_client::Session;
use sealpost_client::admin::services;
use sealpost_client::api::ApiError;
use sealpost_client::feed::{Feed, FeedEvent};
use sealpost_proto::api::InviteRequest;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, InviteId};
use sealpost_proto::key::{Body, ServiceLimits, SignedStatement, Statement, Validity};
use sealpost_proto::problem::ProblemKind;
use sealpost_tests::organisation::Organisation;
use sealpost_tests::person::{Person, finish};
use sealpost_tests::proxy::{Answer, Proxy};
use serde_json::Value;

use crate::support::in_process::Clocked;
use crate::support::inside::session_of;
use crate::support::{DESK, PROVIDER, World, ask, names_in, receive, run, send, text};

const ROBOT: &str = "claims@billing.example";
const HERE: &str = "127.0.0.1";
const ELSEWHERE: &str = "10.0.0.0/8";

/// Exit codes of docs/cli.md.
const USAGE: i32 = 2;
const REFUSED: i32 = 8;
const KEY_FILE: i32 = 10;
const NO_RECIPIENT: i32 = 11;

/// Runs `sealpost` with words that are all texts.
fn admin(desk: &Person, words: &[&str]) -> Value {
    let words: Vec<&dyn AsRef<OsStr>> = words.iter().map(|word| word as &dyn AsRef<OsStr>).collect();
    ask(desk, &words)
}

/// Invites a service account and returns the file with its enrolment string.
fn invitation(organisation: &Organisation, scopes: &[&str], network: &str) -> PathBuf {
    let file = organisation.folder.join("robot.enrolment");
    let mut words = vec!["admin", "invite", ROBOT, "--service", "--network", network];
    for scope in scopes {
        words.extend(["--scope", scope]);
    }
    words.extend(["--out", file.to_str().expect("a text")]);
    admin(&organisation.admin, &words);
    file
}

/// A service account that is invited, enrolled and confirmed.
fn robot(organisation: &Organisation, scopes: &[&str], network: &str) -> Person {
    let robot = Person::new(&organisation.folder, "robot").expect("a person");
    let string = invitation(organisation, scopes, network);
    ask(&robot, &[&"enrol", &string]);
    let confirmed = admin(&organisation.admin, &["admin", "confirm", ROBOT, "--yes"]);
    assert_eq!(text(&confirmed, "/confirmed/0/service/scopes/0"), scopes[0]);
    robot
}

#[test]
fn scopes_say_what_a_service_may_do_until_they_are_changed() {
    let world = World::new();
    let (desk, file) = (world.desk(), world.file("claim.txt", b"837"));
    let robot = robot(&world.organisation, &["receive"], HERE);
    let transfer = send(&desk, ROBOT, &[&file], &[]);
    let target = world.empty("robot");
    receive(&robot, &transfer, &target);
    assert_eq!(names_in(&target), ["claim.txt"]);
    let refused = run(&robot, &[&"send", &"--to", &DESK, &file]);
    assert_eq!(refused.code, REFUSED, "{}", refused.stderr);

    let who = ask(&robot, &[&"whoami"]);
    assert_eq!(who.pointer("/service/scopes"), Some(&Value::from(vec!["receive"])));
    assert_eq!(text(&who, "/service/networks/0"), "127.0.0.1/32");
    let listed = ask(&desk, &[&"directory", &"list"]);
    let people = listed["people"].as_array().expect("people").iter();
    let services: Vec<&Value> = people.filter(|person| !person["service"].is_null()).collect();
    assert_eq!((services.len(), text(services[0], "/address")), (1, ROBOT.to_owned()));

    let changed = admin(&desk, &["admin", "service", ROBOT, "--scope", "send"]);
    assert_eq!(text(&changed, "/before/scopes/0"), "receive");
    assert_eq!(changed.pointer("/service/scopes"), Some(&Value::from(vec!["send"])));
    assert_eq!(
        text(&changed, "/service/networks/0"),
        "127.0.0.1/32",
        "what is not named stays"
    );
    let refused = run(&desk, &[&"send", &"--to", &ROBOT, &file]);
    assert_eq!(refused.code, NO_RECIPIENT, "{}", refused.stderr);
    assert!(refused.stderr.contains("service account"), "{}", refused.stderr);
    send(&robot, DESK, &[&file], &[]);
    let refused = run(&robot, &[&"receive", &transfer, &"--again", &"--into", &target]);
    assert_eq!(refused.code, REFUSED, "{}", refused.stderr);

    let with_link: [&dyn AsRef<OsStr>; 3] = [&"send", &"--link", &file];
    let refused = run(&robot, &with_link);
    assert_eq!(refused.code, REFUSED, "{}", refused.stderr);
    admin(
        &desk,
        &["admin", "service", ROBOT, "--scope", "send", "--scope", "link"],
    );
    ask(&robot, &with_link);

    let audit = ask(&desk, &[&"audit", &"list"]);
    let events = audit["events"].as_array().expect("events");
    let denied = |kind: &str| {
        let of_kind = events.iter().filter(|event| text(event, "/event/type") == kind);
        of_kind.filter(|event| event.to_string().contains("forbidden")).count()
    };
    assert!(
        denied("transfer.created") + denied("transfer.sealed") >= 2 && denied("transfer.opened") >= 1,
        "{audit}"
    );
    let limits = events
        .iter()
        .filter(|event| text(event, "/event/type") == "key.service");
    assert_eq!(limits.count(), 3);
}

#[test]
fn networks_say_from_where_and_a_change_counts_at_once() {
    let world = World::new();
    let desk = world.desk();
    let robot = robot(&world.organisation, &["receive", "send"], ELSEWHERE);
    let refused = run(&robot, &[&"whoami"]);
    assert_eq!(refused.code, REFUSED);
    assert!(refused.stderr.contains("network address"), "{}", refused.stderr);
    admin(
        &desk,
        &[
            "admin",
            "service",
            ROBOT,
            "--network",
            ELSEWHERE,
            "--network",
            "127.0.0.0/8",
        ],
    );
    ask(&robot, &[&"whoami"]);
    admin(&desk, &["admin", "service", ROBOT, "--network", ELSEWHERE]);
    assert_eq!(run(&robot, &[&"inbox"]).code, REFUSED);
    admin(&desk, &["admin", "service", ROBOT, "--network", "any"]);
    ask(&robot, &[&"inbox"]);
}

/// Puts itself between clients and the gateway at `port`, and says of all that they come from `source`.
fn speaking_for(source: Ipv4Addr, port: u16) -> u16 {
    let listener = TcpListener::bind((HERE, 0)).expect("a port");
    let own = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let mut gateway = TcpStream::connect((HERE, port)).expect("a gateway");
            let head = [
                &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..],
                &source.octets(),
                &[127, 0, 0, 1, 1, 1, 1, 1],
            ];
            gateway.write_all(&head.concat()).expect("a header");
            let both = [
                client.try_clone().expect("a socket"),
                gateway.try_clone().expect("a socket"),
            ];
            let [mut up, mut down] = both;
            let (mut to_gateway, mut to_client) = (gateway, client);
            std::thread::spawn(move || io::copy(&mut up, &mut to_gateway));
            std::thread::spawn(move || io::copy(&mut down, &mut to_client));
        }
    });
    own
}

#[test]
fn behind_a_proxy_the_address_that_it_states_counts() {
    let mut world = Clocked::new();
    let robot = robot(&world.organisation, &["receive"], "any");
    admin(&world.desk(), &["admin", "service", ROBOT, "--network", ELSEWHERE]);
    assert_eq!(run(&robot, &[&"whoami"]).code, REFUSED, "not from here");
    world.restart_behind(HERE);
    for (source, code) in [(Ipv4Addr::new(10, 9, 8, 7), 0), (Ipv4Addr::new(192, 0, 2, 1), REFUSED)] {
        let way = Proxy::start(Answer::Elsewhere(speaking_for(source, world.port()))).expect("a proxy");
        let mut command = robot.command(&[&"whoami"]);
        command.env("HTTPS_PROXY", format!("http://{}", way.address()));
        let outcome = finish(command, b"").expect("a run");
        assert_eq!(outcome.code, code, "{source}: {}", outcome.stderr);
    }
    world.stop();
}

async fn set(desk: &mut Session, not_before: u64, not_after: u64) {
    let limits = ServiceLimits {
        scopes: "receive send".parse().expect("scopes"),
        networks: "any".parse().expect("networks"),
        valid: Validity { not_before, not_after },
    };
    let robot = ROBOT.parse().expect("an address");
    services::set(desk, &robot, limits).await.expect("limits");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_ends_with_its_time() {
    let world = World::new();
    let robot = robot(&world.organisation, &["receive"], HERE);
    let (person, mut desk) = (world.desk(), session_of(&world.desk()));
    let (now, file) = (desk.env.now(), world.file("claim.txt", b"837"));
    for (not_before, not_after) in [(now - 600, now - 60), (now + 600, now + 900)] {
        set(&mut desk, not_before, not_after).await;
        let outcome = run(&robot, &[&"inbox"]);
        assert_eq!(outcome.code, REFUSED, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("ask a registrar"), "{}", outcome.stderr);
        let sent = run(&person, &[&"send", &"--to", &ROBOT, &file]);
        assert_eq!(sent.code, NO_RECIPIENT, "{}", sent.stderr);
    }
    set(&mut desk, now - 600, now - 60).await;
    let kept = run(&person, &[&"admin", &"service", &ROBOT, &"--scope", &"send"]);
    assert_eq!(kept.code, USAGE, "a time that is over is not kept: {}", kept.stderr);
    admin(&person, &["admin", "service", ROBOT, "--valid", "30d"]);
    ask(&robot, &[&"inbox"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_ends_when_its_account_is_narrowed() {
    let world = World::new();
    let robot = robot(&world.organisation, &["receive"], HERE);
    let hears = session_of(&robot);
    let mut feed = Feed::open(&hears.api, None).await.expect("a feed");
    assert!(matches!(feed.next().await, Ok(FeedEvent::Head { .. })));
    let file = world.file("claim.txt", b"837");
    let desk = world.desk();
    let narrowed = tokio::task::spawn_blocking(move || {
        send(&desk, ROBOT, &[&file], &[]);
        admin(&desk, &["admin", "service", ROBOT, "--network", ELSEWHERE]);
        send(&desk, ROBOT, &[&file], &[]);
    });
    assert!(
        matches!(feed.next().await, Ok(FeedEvent::Inbox { .. })),
        "what came before"
    );
    narrowed.await.expect("no panic");
    let ended = feed.next().await.expect_err("nothing after it");
    assert!(matches!(ended, ApiError::Unreachable(_)), "{ended:?}");
    let again = Feed::open(&hears.api, None)
        .await
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(again, Err(Some(ProblemKind::ServiceElsewhere)));
}

/// A statement of limits for `who`, signed by the desk's registrar's key.
fn limits_for(desk: &Session, who: &Session) -> SignedStatement {
    let now = desk.env.now();
    let statement = Statement {
        org: desk.account.org,
        label: Some(who.account.label()),
        seq: 1,
        prev: None,
        body: Body::Service(ServiceLimits {
            scopes: "receive send link".parse().expect("scopes"),
            networks: "any".parse().expect("networks"),
            valid: Validity {
                not_before: now - 60,
                not_after: now + 600,
            },
        }),
    };
    let mut note = statement.note().expect("a note");
    note.sign_as("rk", desk.account.registrar.as_ref().expect("a registrar"));
    SignedStatement::try_from(note).expect("a statement")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_invites_nobody_reads_no_audit_log_and_changes_no_directory() {
    let world = World::new();
    let robot = session_of(&robot(&world.organisation, &["receive", "send", "link"], "any"));
    let provider = session_of(&world.provider());
    let desk = session_of(&world.desk());
    let request = InviteRequest {
        invite: InviteId::from_bytes([1; 16]),
        label: robot.account.label_of(&"friend@x.example".parse().expect("an address")),
        address: "friend@x.example".parse().expect("an address"),
        expires_at: desk.env.now() + 3600,
        auth_sha256: Hash::from_bytes([1; 32]),
        secret_box: Base64(vec![1; 80]),
    };
    assert_eq!(
        robot.api.invite(&request).await.map_err(|error| error.kind()),
        Err(Some(ProblemKind::Forbidden))
    );
    let invites = robot.api.invites().await.map(drop).map_err(|error| error.kind());
    assert_eq!(invites, Err(Some(ProblemKind::Forbidden)));
    let audit = robot.api.checkpoint("audit").await.map_err(|error| error.kind());
    assert_eq!(audit, Err(Some(ProblemKind::Forbidden)));
    let wider = limits_for(&desk, &robot).to_string();
    let posted = robot
        .api
        .post_statements(vec![wider])
        .await
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(posted, Err(Some(ProblemKind::Forbidden)), "no statement at all");
    let limits = limits_for(&desk, &provider).to_string();
    let posted = provider
        .api
        .post_statements(vec![limits])
        .await
        .map(drop)
        .map_err(|error| error.kind());
    assert_eq!(
        posted,
        Err(Some(ProblemKind::Forbidden)),
        "a member posts no limits, signed or not"
    );
    provider.api.me().await.expect("a member as before");
}

#[test]
fn a_person_is_made_no_service_and_limits_need_a_service() {
    let world = World::new();
    world.provider();
    let desk = world.desk();
    let invite: [&dyn AsRef<OsStr>; 7] = [
        &"admin",
        &"invite",
        &PROVIDER,
        &"--service",
        &"--scope=send",
        &"--network=any",
        &"--valid=30d",
    ];
    assert_eq!(run(&desk, &invite).code, REFUSED);
    assert_eq!(
        run(&desk, &[&"admin", &"service", &PROVIDER, &"--scope=send"]).code,
        REFUSED
    );
    let new = "x@billing.example";
    for words in [
        vec!["--scope=send"],
        vec!["--service"],
        vec!["--service", "--scope=send"],
        vec!["--service", "--scope=all", "--network=any"],
        vec!["--service", "--scope=send", "--network=10.0.0.1/8"],
        vec!["--service", "--scope=send", "--network=any", "--network=10.0.0.0/8"],
        vec!["--service", "--scope=send", "--network=any", "--valid=366d"],
    ] {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"admin", &"invite", &new];
        all.extend(words.iter().map(|word| word as &dyn AsRef<OsStr>));
        assert_eq!(run(&desk, &all).code, USAGE, "{words:?}");
    }
    let people = ask(&desk, &[&"directory", &"list"]);
    assert!(
        !people.to_string().contains("\"scopes\""),
        "nothing was posted: {people}"
    );
}
