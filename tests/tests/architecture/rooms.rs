//! Who may use whom inside the gateway, and what the pure rooms may not touch. `docs/ARCHITECTURE.md` says why.

use std::path::Path;

use super::uses::{Named, of_crate, of_source};
use super::workspace;

/// A room of the gateway and the modules of its own crate that it may name, beside itself.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
}

/// The ports of the store, without the adapters behind them.
const PORTS: [&str; 5] = [
    "store::blob",
    "store::ledger",
    "store::share",
    "store::views",
    "store::StoreError",
];

/// Every folder and file directly below `gateway/src`; what is not here is refused, whatever it names.
const ROOMS: [Room; 17] = [
    room("domain", &[]),
    room("access", &["domain", "PORTS", "clock"]),
    room(
        "service",
        &[
            "access::Action",
            "access::Grant",
            "domain",
            "PORTS",
            "clock",
            "random",
            "failpoint",
        ],
    ),
    room("http", &["access", "service", "clock"]),
    room("audit", &["domain", "PORTS", "clock", "failpoint"]),
    room("worker", &["domain", "PORTS", "clock", "failpoint"]),
    room("store", &["domain", "clock", "random", "failpoint"]),
    room(
        "identity",
        &["service::Identity", "service::SetupDoor", "store::durable", "random"],
    ),
    room("tls", &["config", "store::durable"]),
    room("logging", &["config"]),
    room("config", &[]),
    room("clock", &[]),
    room("failpoint", &[]),
    room("random", &[]),
    room("app", &["EVERYTHING"]),
    room("main", &["app", "config"]),
    room("lib", &[]),
];

const fn room(name: &'static str, may_use: &'static [&'static str]) -> Room {
    Room { name, may_use }
}

/// What the rules, which are pure, may not name of the world: executors, sockets, files, clocks, randomness.
const WORLD: [&str; 18] = [
    "axum",
    "http",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio",
    "getrandom",
    "rand_core",
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::SystemTime",
    "std::time::Instant",
    "tracing",
    "config",
];

fn complaint(named: &Named, rule: &str) -> String {
    format!("{}:{}: `{}`: {rule}", named.file.display(), named.line, named.text())
}

fn is_within(path: &str, module: &str) -> bool {
    path == module || path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::"))
}

fn room_of(file: &Path) -> String {
    let first = file
        .iter()
        .next()
        .map(|part| part.to_string_lossy().into_owned())
        .unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

/// Complaints about one path that a file of the gateway names.
fn judge(named: &Named) -> Option<String> {
    let room = room_of(&named.file);
    let Some(rules) = ROOMS.iter().find(|known| known.name == room) else {
        return Some(complaint(named, &format!("`{room}` is in no row of the table")));
    };
    let path = named.text();
    let Some(own) = path
        .strip_prefix("crate::")
        .or_else(|| path.strip_prefix("sealpost_gateway::"))
    else {
        let world = room == "domain" && WORLD.iter().any(|forbidden| is_within(&path, forbidden));
        return world.then(|| complaint(named, "the rules are pure; what they need is a parameter"));
    };
    let allowed = is_within(own, rules.name)
        || rules.may_use.iter().any(|module| match *module {
            "EVERYTHING" => true,
            "PORTS" => PORTS.iter().any(|port| is_within(own, port)),
            module => is_within(own, module),
        });
    (!allowed).then(|| complaint(named, &format!("`{room}` may not use this")))
}

/// Complaints about an adapter that names another adapter.
fn judge_adapter(named: &Named) -> Option<String> {
    const ADAPTERS: [&str; 2] = ["embedded", "fs"];
    let mut parts = named.file.iter().map(|part| part.to_string_lossy());
    let adapter = (parts.next()? == "store")
        .then(|| parts.next())
        .flatten()?
        .trim_end_matches(".rs")
        .to_owned();
    let other = ADAPTERS
        .iter()
        .find(|other| **other != adapter && is_within(&named.text(), &format!("crate::store::{other}")))?;
    ADAPTERS
        .contains(&adapter.as_str())
        .then(|| complaint(named, &format!("adapter `{adapter}` names adapter `{other}`")))
}

#[test]
fn no_room_of_the_gateway_uses_a_room_it_may_not() {
    let named = of_crate(&workspace().join("gateway/src"));
    assert!(named.len() > 500, "only {} paths were read", named.len());
    let complaints: Vec<String> = named
        .iter()
        .filter_map(judge)
        .chain(named.iter().filter_map(judge_adapter))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_room_has_a_row_in_the_table_and_on_the_page() {
    let page = std::fs::read_to_string(workspace().join("docs/ARCHITECTURE.md")).expect("the document");
    let rows: String = page.lines().filter(|line| line.starts_with("| ")).collect();
    for entry in std::fs::read_dir(workspace().join("gateway/src")).expect("a folder") {
        let room = room_of(Path::new(&entry.expect("an entry").file_name()));
        assert!(ROOMS.iter().any(|known| known.name == room), "`{room}` has no row");
    }
    for Room { name, .. } in &ROOMS {
        assert!(
            rows.contains(&format!("`{name}`")),
            "`{name}` has no row in docs/ARCHITECTURE.md"
        );
    }
}

/// What of `std::net` opens nothing and asks nobody: an address is data, as the networks of a service account are.
const ADDRESSES: [&str; 3] = ["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr"];

/// Whether a path that the wire crate names leads to files, a clock, a network or randomness.
fn touches_world(path: &str) -> bool {
    let is_address = ADDRESSES.iter().any(|address| is_within(path, address));
    let touches =
        |forbidden: &&str| !["http", "std::io", "rand_core"].contains(forbidden) && is_within(path, forbidden);
    !is_address && WORLD.iter().any(touches)
}

#[test]
fn addresses_are_data_and_sockets_are_not() {
    for path in ["std::net::IpAddr", "std::net::IpAddr::V6", "std::net::Ipv4Addr"] {
        assert!(!touches_world(path), "{path}");
    }
    for path in [
        "std::net",
        "std::net::TcpStream",
        "std::net::ToSocketAddrs",
        "std::net::SocketAddr",
        "std::net::IpAddress",
        "std::fs::File",
    ] {
        assert!(touches_world(path), "{path}");
    }
}

#[test]
fn the_wire_crate_has_no_files_clock_network_or_randomness() {
    let named = of_crate(&workspace().join("proto/src"));
    assert!(named.len() > 300, "only {} paths were read", named.len());
    let complaints: Vec<String> = named
        .iter()
        .filter(|named| touches_world(&named.text()))
        .map(|named| complaint(named, "the wire crate is pure"))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn only_the_composition_root_names_an_adapter() {
    let named = of_crate(&workspace().join("gateway/src"));
    let adapters = ["crate::store::embedded", "crate::store::fs"];
    let complaints: Vec<String> = named
        .iter()
        .filter(|named| !["app", "store"].contains(&room_of(&named.file).as_str()))
        .filter(|named| adapters.iter().any(|adapter| is_within(&named.text(), adapter)))
        .map(|named| complaint(named, "only `app` names a concrete adapter"))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Complaints about a text as if it were the file of that name.
fn judged(file: &str, text: &str) -> Vec<String> {
    let named = of_source(Path::new(file), text);
    named
        .iter()
        .filter_map(judge)
        .chain(named.iter().filter_map(judge_adapter))
        .collect()
}

#[test]
fn forbidden_uses_are_seen_in_every_form() {
    let forbidden = [
        ("http/inbox.rs", "use crate::store::views::Views;"),
        ("http/inbox.rs", "use crate::{service::inbox, store};"),
        ("http/inbox.rs", "use super::super::store::StoreError as E;"),
        ("http/inbox.rs", "fn f(l: &dyn crate::store::ledger::Ledger) {}"),
        ("http/inbox.rs", "fn f() { let x = vec![crate::domain::Key::All]; }"),
        ("http/mod.rs", "mod inner { use super::super::domain::*; }"),
        ("service/open.rs", "use crate::access::Caller;"),
        ("service/open.rs", "use crate::http::problem;"),
        ("service/open.rs", "use crate::store::fs::FileBlobs;"),
        ("domain/transfer.rs", "use crate::store::ledger::Stamp;"),
        ("domain/transfer.rs", "use tokio::sync::Mutex;"),
        (
            "domain/transfer.rs",
            "fn f() -> u64 { std::time::SystemTime::now(); 0 }",
        ),
        ("worker/expiry.rs", "use crate::http::Router;"),
        ("store/fs/blobs.rs", "use crate::service::seal;"),
        ("store/fs/blobs.rs", "use crate::store::embedded::Journal;"),
        ("main.rs", "use sealpost_gateway::store::fs::FileBlobs;"),
        ("identity.rs", "use crate::store::ledger::Ledger;"),
        ("tls.rs", "use crate::domain::Key;"),
        ("logging.rs", "fn f() { crate::app::run(); }"),
        ("config.rs", "use crate::store::StoreError;"),
        ("clock.rs", "use crate::random::Random;"),
        ("lib.rs", "pub use crate::store::fs::FileBlobs;"),
        ("metrics.rs", "use crate::domain::Key;"),
        ("metrics/mod.rs", "use std::collections::BTreeMap;"),
    ];
    for (file, text) in forbidden {
        assert_eq!(judged(file, text).len(), 1, "{file}: {text}");
    }
}

#[test]
fn permitted_uses_and_tests_pass() {
    let permitted = [
        (
            "http/inbox.rs",
            "use crate::service::inbox; use crate::access::Caller; use super::problem::Problem;",
        ),
        (
            "service/open.rs",
            "use crate::access::Grant; use crate::store::ledger::{Ledger, transact}; use crate::store::StoreError;",
        ),
        (
            "domain/transfer.rs",
            "use sealpost_proto::id::TransferId; use super::change::Change; use std::collections::BTreeMap;",
        ),
        ("store/fs/blobs.rs", "use super::super::blob::BlobStore; use tokio::fs;"),
        (
            "service/open.rs",
            "#[cfg(test)] mod tests { use crate::store::embedded::Journal; }",
        ),
        ("tls.rs", "use crate::config::Tls; use crate::store::durable;"),
        (
            "app.rs",
            "use crate::store::embedded::Journal; use crate::http; use crate::worker;",
        ),
    ];
    for (file, text) in permitted {
        assert_eq!(judged(file, text), Vec::<String>::new(), "{file}: {text}");
    }
}
