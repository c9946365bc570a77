//! Health of the real gateway, on the listener of its own.

use std::io::{Read, Write};
use std::net::TcpStream;

use sealpost_tests::gateway::Gateway;

/// The address in the line that says where health is told.
fn address(gateway: &Gateway) -> String {
    let log = gateway.log();
    let (_, rest) = log.split_once("Health is told at http://").expect("the line");
    rest.split_once('/').expect("a path").0.to_owned()
}

fn ask(address: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(address).expect("a listener");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_gateway_tells_that_it_lives_and_can_serve() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = Gateway::start(folder.path(), "warn").expect("a gateway");
    let at = address(&gateway);
    assert!(ask(&at, "/healthz").starts_with("HTTP/1.1 200"));
    let ready = ask(&at, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 200"), "{ready}");
    for told in [
        "\"ready\":true",
        "\"ledger\":\"writable\"",
        "\"sweep\":\"ok\"",
        "\"stopping\":false",
    ] {
        assert!(ready.contains(told), "{told} is missing: {ready}");
    }
    assert!(
        ask(&at, "/v1/info").starts_with("HTTP/1.1 404"),
        "nothing else is there"
    );
    gateway.pause().expect("a clean end");
    assert!(TcpStream::connect(&at).is_err(), "it ends with the gateway");
}
