//! Joining: enrolment strings that were altered, keys without a proof, people whom nobody confirmed.

use std::fs;
use std::net::TcpListener;

use sealpost_client::account::Account;
use sealpost_client::api::Api;
use sealpost_client::founding::{device_statement, member_statement};
use sealpost_client::{Env, Home};
use sealpost_proto::api::RedeemRequest;
use sealpost_proto::encoding::Base64;
use sealpost_proto::enrolment::EnrolmentString;
use sealpost_tests::person::Person;
use serde_json::Value;

use crate::support::{PROVIDER, World, ask, run, text};

/// Exit codes of docs/cli.md.
const WRONG_GATEWAY: i32 = 4;
const NOT_VALID: i32 = 5;
const REFUSED: i32 = 8;
const NO_RECIPIENT: i32 = 11;

fn state_of_invitation(admin: &Person) -> String {
    text(&ask(admin, &[&"admin", &"list"]), "/invites/0/state")
}

/// The string with the value of one field changed into another possible one.
fn altered(string: &str, field: &str) -> String {
    let (kind, fields) = string.trim().split_once(';').expect("fields");
    let fields = fields
        .split(';')
        .map(|pair| match pair.split_once('=').expect("a field") {
            (name, value) if name == field => format!("{name}={}", other_value(name, value)),
            _ => pair.to_owned(),
        });
    let altered = format!("{kind};{}", fields.collect::<Vec<_>>().join(";"));
    assert_ne!(altered, string.trim(), "{field}");
    altered
}

fn other_value(name: &str, value: &str) -> String {
    match name {
        // A port on which nobody listens: it is free again when the listener is dropped.
        "url" => {
            let free = TcpListener::bind("127.0.0.1:0")
                .and_then(|socket| socket.local_addr())
                .expect("a port");
            format!("https://localhost:{}", free.port())
        }
        "gw" | "to" => format!("{value}x"),
        // The first digit holds six or four whole bits in base64url and hex, so any other digit is another value.
        _ => format!("{}{}", if value.starts_with('a') { 'b' } else { 'a' }, &value[1..]),
    }
}

#[test]
fn an_enrolment_string_that_was_altered_anywhere_is_refused() {
    let world = World::new();
    let file = world.organisation.invite(PROVIDER).expect("an invitation");
    let string = fs::read_to_string(&file).expect("the string");
    for field in ["url", "gw", "pin", "log", "org", "dir", "to", "inv", "s"] {
        let person = Person::new(world.folder.path(), field).expect("a person");
        let other = world.file(&format!("{field}.enrolment"), altered(&string, field).as_bytes());
        let outcome = run(&person, &[&"enrol", &other]);
        assert_ne!(outcome.code, 0, "{field} was not checked");
        assert!(!outcome.stderr.is_empty(), "{field}: no reason was given");
        if field == "pin" {
            assert_eq!(outcome.code, WRONG_GATEWAY, "{}", outcome.stderr);
        }
        assert_eq!(
            state_of_invitation(&world.desk()),
            "open",
            "{field} was posted all the same"
        );
    }
}

#[test]
fn the_true_string_enrols_once() {
    let world = World::new();
    let string = world.organisation.invite(PROVIDER).expect("an invitation");
    let provider = Person::new(world.folder.path(), "provider").expect("a person");
    ask(&provider, &[&"enrol", &string]);
    assert_eq!(state_of_invitation(&world.desk()), "posted");
    let second = Person::new(world.folder.path(), "second").expect("a person");
    assert_ne!(
        run(&second, &[&"enrol", &string]).code,
        0,
        "an invitation is for one person"
    );
    world.organisation.confirm(PROVIDER).expect("a confirmation");
    assert_eq!(text(&ask(&provider, &[&"whoami"]), "/state"), "confirmed");
}

#[test]
fn a_setup_string_founds_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = sealpost_tests::gateway::Gateway::start(folder.path(), "info").expect("a gateway");
    let copy = folder.path().join("copy");
    fs::copy(gateway.setup_string(), &copy).expect("a copy");
    crate::support::found(&gateway.setup_string(), folder.path());
    assert!(!gateway.setup_string().exists(), "the string is removed after its use");
    let thief = Person::new(folder.path(), "thief").expect("a person");
    let root = folder.path().join("thief-root.spk");
    let outcome = run(
        &thief,
        &[
            &"org",
            &"init",
            &"--name",
            &"T",
            &"--address",
            &"t@t.example",
            &"--root-key",
            &root,
            &"--setup",
            &copy,
        ],
    );
    assert_eq!(outcome.code, REFUSED, "{}", outcome.stderr);
}

/// N104: whoever has the gateway's side of an invitation, but not its secret, cannot make the MAC.
#[test]
fn keys_without_the_invitees_proof_are_not_confirmed() {
    let world = World::new();
    let (desk, file) = (
        world.desk(),
        world.organisation.invite(PROVIDER).expect("an invitation"),
    );
    let string: EnrolmentString = fs::read_to_string(file)
        .expect("the string")
        .trim()
        .parse()
        .expect("a string");
    let home = Home::new(world.folder.path().join("planted"));
    let passphrase = fs::read_to_string(desk.passphrase_file()).expect("a passphrase");
    plant(&string, &home, passphrase.trim());
    assert_eq!(state_of_invitation(&desk), "posted");

    let confirmed = run(&desk, &[&"--json", &"admin", &"confirm", &PROVIDER, &"--yes"]);
    assert_eq!(confirmed.code, NOT_VALID, "{}", confirmed.stderr);
    let answer: Value = serde_json::from_slice(&confirmed.stdout).expect("JSON");
    assert_eq!(answer.pointer("/confirmed"), Some(&Value::Array(Vec::new())));
    assert_eq!(state_of_invitation(&desk), "posted");
    let note = world.file("note.txt", b"for the provider alone");
    let sent = run(&desk, &[&"send", &"--to", &PROVIDER, &note]);
    assert_eq!(
        sent.code, NO_RECIPIENT,
        "nobody sends to keys that are not confirmed: {}",
        sent.stderr
    );
}

/// Posts keys of our own with a MAC that was made without the invitation's secret.
fn plant(string: &EnrolmentString, home: &Home, passphrase: &str) {
    let env = Env::system();
    let account = Account::generate(
        string.at.clone(),
        string.org,
        string.directory_key.clone(),
        string.to.clone(),
        &env,
    );
    let account = account.expect("an account");
    home.prepare().expect("a home");
    home.create_key_file(&account, passphrase, &env).expect("a key file");
    let request = RedeemRequest {
        invite: string.invite,
        auth: Base64(string.secret.invite_auth(&string.invite).to_vec()),
        member: member_statement(&account, env.now()).expect("a statement").to_string(),
        device: device_statement(&account, env.now()).expect("a statement").to_string(),
        mac: Base64(vec![0x5A; 32]),
    };
    let api = Api::new(string.at.clone(), account.device.clone(), env).expect("an API");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime
        .block_on(api.redeem(&request))
        .expect("the gateway cannot know better");
}

#[test]
fn who_is_not_confirmed_neither_sends_nor_is_sent_to() {
    let world = World::new();
    let newcomer = world.organisation.newcomer("newcomer", PROVIDER).expect("a newcomer");
    assert_eq!(text(&ask(&newcomer, &[&"whoami"]), "/state"), "unconfirmed");
    let note = world.file("note.txt", b"too early");
    let sent = run(&newcomer, &[&"send", &"--to", &crate::support::DESK, &note]);
    assert_eq!(sent.code, REFUSED, "{}", sent.stderr);
    assert!(
        sent.stderr.contains("admin confirm"),
        "it says what to do: {}",
        sent.stderr
    );
    let sent = run(&world.desk(), &[&"send", &"--to", &PROVIDER, &note]);
    assert_eq!(sent.code, NO_RECIPIENT, "{}", sent.stderr);
}

#[test]
fn only_a_registrar_invites_and_confirms() {
    let world = World::new();
    let provider = world.provider();
    for words in [
        ["admin", "invite", "friend@x.example"],
        ["admin", "confirm", "--yes"],
        ["admin", "list", "--json"],
    ] {
        let outcome = run(&provider, &[&words[0], &words[1], &words[2]]);
        assert_eq!(outcome.code, REFUSED, "{words:?}: {}", outcome.stderr);
    }
    assert_eq!(
        run(&provider, &[&"audit", &"verify"]).code,
        REFUSED,
        "the audit log is for auditors"
    );
}
