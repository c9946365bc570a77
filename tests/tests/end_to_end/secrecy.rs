//! What somebody finds who has the gateway's disk, ring and keys, or reads its log.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use sealpost_client::Session;
use sealpost_proto::sealed::Reason;
use sealpost_sealed::{ContainerReader, FAST, OpenWith, Opener, unwrap_secret};
use sealpost_tests::disk;
use sealpost_tests::person::Person;
use sealpost_tests::samples;
use sealpost_tests::search::Needles;

use crate::support::inside::{DAY_KEY, WRAPPED_SHARE, rows_and_keys, session_of, shares_on_disk};
use crate::support::links::{Made, Visitor, send_link};
use crate::support::{DESK, PROVIDER, World, ask, delivery, receive_kept, run, send, text};

/// Exit codes of docs/cli.md.
const OVER: i32 = 7;
const WRONG_WORDS: i32 = 17;
const PATIENT: &str = "Ann Example";
const REFERENCE: &str = "SYN-000417";
const SYSTEM: &str = "urn:oid:2.999.417";
const NOTE: &str = "the opacity in the left upper lobe is new; please call the patient";
const SUBJECT: &str = "Referral of a lady from the practice";

/// Sends the samples with everything that can go beside them.
fn send_samples(world: &World, files: &[samples::Sample], openings: &str) -> String {
    let paths: Vec<_> = files.iter().map(|file| world.file(&file.name, &file.bytes)).collect();
    let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();
    let note = world.file("note-to-the-provider.txt", NOTE.as_bytes());
    let patient = format!("{SYSTEM}|{REFERENCE}");
    let note = note.to_str().expect("a path in UTF-8");
    let options = [
        "--note-file",
        note,
        "--subject",
        SUBJECT,
        "--patient",
        &patient,
        "--openings",
        openings,
    ];
    send(&world.desk(), PROVIDER, &paths, &options)
}

fn needles(files: &[samples::Sample]) -> Needles {
    disk::needles(files)
        .text("the patient", PATIENT)
        .text("the reference", REFERENCE)
        .text("its system", SYSTEM)
        .contents("the note", NOTE.as_bytes())
        .contents("the subject", SUBJECT.as_bytes())
}

#[test]
fn the_disk_holds_nothing_of_what_was_sent_and_no_share_after_its_destruction() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let files = samples::referral(PATIENT);
    let transfer = send_samples(&world, &files, "1");
    let needles = needles(&files);
    let control = needles.search(&[&world.folder.path().join("files")]).expect("a search");
    for file in &files {
        let found = |what: &str| {
            control
                .findings
                .iter()
                .any(|finding| finding.what == format!("{what} {}", file.name))
        };
        assert!(
            found("the name") && found("contents of"),
            "the search does not find {}",
            file.name
        );
    }
    let places = [world.gateway.data().to_path_buf(), world.gateway.ring()];
    let places = [places[0].as_path(), places[1].as_path()];
    assert_eq!(
        needles.search(&places).expect("a search").findings,
        vec![],
        "before it was opened"
    );
    let row = wrapped_share(&world);
    let wrapped = Needles::default().contents(WRAPPED_SHARE, &row);
    let before = wrapped.search(&places).expect("a search").findings;
    assert!(
        !before.is_empty(),
        "the search does not find the wrapped share while it is there"
    );

    let target = world.empty("provider");
    let (_, share) = receive_kept(&provider, &transfer, &target);
    assert_eq!(delivery(&desk, &transfer), "verified");
    // A restart finishes what is due before it serves: the only opening is used, so the share is destroyed.
    world.gateway.restart().expect("a restart");
    assert_eq!(share.len(), 32);
    let needles = needles.contents("the share", &share).contents(WRAPPED_SHARE, &row);
    let report = needles.search(&places).expect("a search");
    assert_eq!(report.findings, vec![], "after its destruction");
    assert!(report.files > 5 && report.bytes > 300_000, "{report:?}");
    assert_eq!(shredded(&ask(&desk, &[&"audit", &"list"])), ["used"]);
}

/// The only share on the gateway's disk, as it stands there.
fn wrapped_share(world: &World) -> Vec<u8> {
    let mut rows: Vec<_> = rows_and_keys(world.folder.path())
        .into_iter()
        .filter(|(what, _)| *what == WRAPPED_SHARE)
        .collect();
    assert_eq!(rows.len(), 1);
    rows.remove(0).1
}

/// Somebody who has the container, the recipient's key and the whole of the gateway's disk and ring is one share short.
#[test]
fn once_its_share_is_destroyed_a_transfer_opens_for_nobody() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let transfer = send_samples(&world, &samples::referral(PATIENT), "1");
    world.gateway.pause().expect("an end");
    let there: Vec<_> = shares_on_disk(world.folder.path())
        .iter()
        .map(|share| share.transfer.to_string())
        .collect();
    assert_eq!(there, [transfer.as_str()], "what is destroyed later is there now");
    world.gateway.restart().expect("a start");

    let target = world.empty("provider");
    let (kept, share) = receive_kept(&provider, &transfer, &target);
    assert_eq!(delivery(&desk, &transfer), "verified");
    world.gateway.restart().expect("a restart");
    let again = run(
        &provider,
        &[&"receive", &transfer, &"--again", &"--into", &world.empty("again")],
    );
    assert_eq!(again.code, OVER, "{}", again.stderr);

    world.gateway.pause().expect("an end");
    assert_eq!(
        shares_on_disk(world.folder.path()),
        vec![],
        "for the gateway's own code"
    );
    let (sender, recipient) = (session_of(&desk), session_of(&provider));
    assert_eq!(
        opens(&kept, &sender, &recipient, Some(&share)),
        Ok(()),
        "the key is the right one"
    );
    assert_eq!(opens(&kept, &sender, &recipient, None), Err(Reason::Share));
    let keys = rows_and_keys(world.folder.path());
    assert!(!keys.is_empty(), "the ring still holds the day's key");
    for (what, left) in keys {
        assert_eq!(what, DAY_KEY, "no row is left that it could unwrap");
        assert_eq!(opens(&kept, &sender, &recipient, Some(&left)), Err(Reason::Share));
    }
}

/// Opens the manifest of a kept container with the recipient's key and this share.
fn opens(container: &Path, sender: &Session, recipient: &Session, share: Option<&[u8]>) -> Result<(), Reason> {
    let reader = ContainerReader::new(fs::File::open(container).expect("a container")).expect("its pieces");
    let audience = recipient.account.at.gateway.audience();
    let identity = sender.account.identity.public();
    let envelope = reader
        .envelope()
        .clone()
        .verify(&audience, recipient.env.now(), |_| Some(identity))?;
    let key = &recipient.account.newest_encryption().expect("a key").key;
    let secret = unwrap_secret(FAST, &envelope, OpenWith::Key(key), None)?;
    Opener::new(FAST, envelope, secret, share).map(drop)
}

/// Causes of the destructions that the audit log tells.
fn shredded(audit: &serde_json::Value) -> Vec<String> {
    let events = audit
        .pointer("/events")
        .and_then(|events| events.as_array())
        .expect("events");
    let of_kind = events
        .iter()
        .filter(|event| text(event, "/event/type") == "transfer.shredded");
    of_kind.map(|event| text(event, "/event/data/cause")).collect()
}

/// N78: nothing that identifies a person, no contents and no secret in what the gateway keeps, in its log at its most talkative, or in
/// what clients say beside their answers; of a link neither words nor secret.
#[test]
fn the_log_at_its_most_talkative_names_nobody_and_nothing() {
    let world = World::logging("trace");
    let (desk, provider) = (world.desk(), world.provider());
    let files = samples::referral(PATIENT);
    let transfer = send_samples(&world, &files, "3");
    let target = world.empty("provider");
    let (kept, share) = receive_kept(&provider, &transfer, &target);
    let inspected = run(
        &provider,
        &[&"inspect", &kept, &"--share", &target.join("kept.sealed.share")],
    );
    assert_eq!(inspected.code, 0, "{}", inspected.stderr);
    let again = run(&provider, &[&"receive", &transfer, &"--again", &"--into", &target]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    let paths: Vec<_> = files.iter().map(|file| world.file(&file.name, &file.bytes)).collect();
    let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
    let links = links_of_foreign_words(&world, &desk, &paths);
    let visitor = Visitor::new(&world, "patient");
    let (mut to_members, mut to_visitors) = (inspected.stderr + &again.stderr, String::new());
    for made in &links {
        to_members += &made.stderr;
        to_visitors += &opened(&visitor, made);
    }
    let invitation = fs::read_to_string(world.organisation.invite("late@x.example").expect("an invitation"));
    let invitation = invitation.expect("the string");
    let secret = invitation.trim().rsplit_once(";s=").expect("a secret").1;
    let passphrase = fs::read_to_string(provider.passphrase_file()).expect("a passphrase");
    let ring = fs::read(world.gateway.ring().join("ring")).expect("the ring");
    let log_key = fs::read(world.gateway.data().join("keys/log-key")).expect("the log key");
    let mut everywhere = needles(&files)
        .text("a passphrase", passphrase.trim())
        .text("an enrolment secret", secret);
    for made in &links {
        everywhere = everywhere.contents("a link's words", made.words.as_bytes());
        if let Some(digits) = made.secret() {
            let bytes = data_encoding::BASE64URL_NOPAD
                .decode(digits.as_bytes())
                .expect("a secret");
            everywhere = everywhere.contents("a link's secret", &bytes).text("its text", digits);
        }
    }
    let kept = everywhere.search(&[world.gateway.data(), &world.gateway.ring()]);
    assert_eq!(kept.expect("a search").findings, vec![], "in what the gateway keeps");

    let logged = everywhere
        .text("the recipient", PROVIDER)
        .contents("the share", &share)
        .contents("the ring", &ring)
        .contents("the log key", log_key.trim_ascii());
    // A visitor is told who sends: nobody else can tell them whose words they are.
    let told = logged.find(to_visitors.as_bytes());
    assert_eq!(told, vec![], "on a visitor's standard error:\n{to_visitors}");
    let logged = logged.text("the sender", DESK);
    let log = world.gateway.log();
    // Libraries are kept at warnings, whatever the level: sled would tell every key and value of the views.
    assert!(
        log.lines().count() > 20 && log.contains("answered") && !log.contains(" TRACE sled"),
        "it is talkative:\n{log}"
    );
    assert_eq!(logged.find(log.as_bytes()), vec![], "in the gateway's log");
    let told = logged.find(to_members.as_bytes());
    assert_eq!(told, vec![], "on members' standard error:\n{to_members}");
    for (place, text) in [
        ("the gateway's log", &log),
        ("a client's standard error", &(to_members + &to_visitors)),
    ] {
        let found = links
            .iter()
            .flat_map(|made| made.words.split(' '))
            .find(|word| tokens(text).contains(*word));
        assert_eq!(found, None, "a word of a link in {place}");
    }
}

/// What a visitor is told who first has the words in a wrong order and then opens the link.
fn opened(visitor: &Visitor, made: &Made) -> String {
    let wrong = visitor.open(made, &made.wrong_words());
    assert_eq!(wrong.code, WRONG_WORDS, "{}", wrong.stderr);
    let right = visitor.open(made, &made.words);
    assert_eq!(right.code, 0, "{}", right.stderr);
    wrong.stderr + &right.stderr
}

/// A link with and one without a secret, of words that stand in no message: other links, which went the same way, tell which
/// words messages are made of.
fn links_of_foreign_words(world: &World, desk: &Person, paths: &[&Path]) -> [Made; 2] {
    let visitor = Visitor::new(world, "first");
    let kinds: [&[&str]; 2] = [&[], &["--link-secret"]];
    let mut known = String::new();
    for options in kinds {
        let made = send_link(desk, paths, options);
        known += &made.stderr;
        known += &opened(&visitor, &made);
    }
    known += &world.gateway.log();
    let known = tokens(&known);
    kinds.map(|options| {
        let mut drawn = std::iter::repeat_with(|| send_link(desk, paths, options));
        let is_foreign = |made: &Made| made.words.split(' ').all(|word| !known.contains(word));
        drawn.find(is_foreign).expect("one of any number")
    })
}

/// The words of a text, in lower case.
fn tokens(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphabetic());
    words.map(str::to_ascii_lowercase).collect()
}
