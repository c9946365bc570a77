//! Through a proxy: all of it, or none; and the gateway's key counts behind it as well.

use std::ffi::OsStr;

use sealpost_tests::gateway::Gateway;
use sealpost_tests::person::{Person, Run, Words, finish};
use sealpost_tests::proxy::{Answer, Proxy};

use super::{UNREACHABLE, WRONG_GATEWAY, inbox};
use crate::support::{PROVIDER, World, ask, receive, text};

/// Runs a command in an environment that says nothing of proxies but this.
fn run(person: &Person, words: &Words<'_>, environment: &[(&str, &str)]) -> Run {
    let mut command = person.command(words);
    for name in [
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    finish(command, b"").expect("a run")
}

#[test]
fn everything_goes_through_the_proxy() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let proxy = Proxy::start(Answer::Tunnel).expect("a proxy");
    let url = format!("http://{}", proxy.address());
    let file = world.file("scan.dcm", b"pixels");
    let words: [&dyn AsRef<OsStr>; 5] = [&"send", &"--to", &PROVIDER, &file, &"--json"];
    let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    for (round, name) in names.iter().enumerate() {
        let before = proxy.asked().len();
        let sent = run(&desk, &words, &[(name, &url)]).json("send").expect("a document");
        let asked = proxy.asked();
        assert!(asked.len() > before, "{name}: it went another way");
        let gateway = format!("CONNECT localhost:{} HTTP/1.1", world.gateway.port());
        assert!(asked.iter().all(|head| head.starts_with(&gateway)), "{asked:?}");
        receive(&provider, &text(&sent, "/transfer"), &world.empty(&round.to_string()));
    }
    let before = proxy.asked().len();
    for no in ["localhost", "*", "example.org, localhost"] {
        let run = run(&desk, &words, &[("HTTPS_PROXY", &url), ("NO_PROXY", no)]);
        assert_eq!(run.code, 0, "{no}: {}", run.stderr);
    }
    assert_eq!(proxy.asked().len(), before, "NO_PROXY names the gateway");
    assert_eq!(inbox(&provider).len(), names.len() + 3);
}

#[test]
fn a_proxy_that_refuses_is_named_and_its_password_is_not() {
    let world = World::new();
    let desk = world.desk();
    let words: [&dyn AsRef<OsStr>; 1] = [&"whoami"];
    for (status, why) in [
        ("407 Proxy Authentication Required", "name and a password"),
        ("403 Forbidden", "refuses to connect"),
    ] {
        let proxy = Proxy::start(Answer::Refusal(status)).expect("a proxy");
        let url = format!("http://somebody:opensesame@{}", proxy.address());
        let run = run(&desk, &[&"directory", &"list"], &[("HTTPS_PROXY", &url)]);
        assert_eq!(run.code, UNREACHABLE, "{}", run.stderr);
        assert!(
            run.stderr.contains(why) && run.stderr.contains(&proxy.address()),
            "{}",
            run.stderr
        );
        let said = format!("{}{}", run.stderr, String::from_utf8_lossy(&run.stdout));
        assert!(!said.contains("opensesame") && !said.contains("somebody"), "{said}");
        let asked = proxy.asked();
        let asked = asked.first().expect("a request");
        // "somebody:opensesame" in base64, as the standard of HTTP wants it.
        assert!(asked.contains("c29tZWJvZHk6b3BlbnNlc2FtZQ=="), "{asked}");
    }
    let away = run(
        &desk,
        &[&"directory", &"list"],
        &[("HTTPS_PROXY", "http://127.0.0.1:1")],
    );
    assert_eq!(away.code, UNREACHABLE);
    assert!(
        away.stderr.contains("the proxy 127.0.0.1:1 cannot be reached"),
        "{}",
        away.stderr
    );
    let odd = run(&desk, &[&"directory", &"list"], &[("HTTPS_PROXY", "gopher://proxy")]);
    assert_eq!(odd.code, UNREACHABLE);
    assert!(odd.stderr.contains("HTTPS_PROXY"), "{}", odd.stderr);
    let _ = ask(&desk, &words);
}

#[test]
fn a_proxy_that_leads_to_somebody_else_is_refused() {
    let world = World::new();
    let desk = world.desk();
    let folder = tempfile::tempdir().expect("a folder");
    let other = Gateway::start(folder.path(), "info").expect("a gateway");
    let proxy = Proxy::start(Answer::Elsewhere(other.port())).expect("a proxy");
    let url = format!("http://{}", proxy.address());
    let run = run(&desk, &[&"directory", &"list"], &[("HTTPS_PROXY", &url)]);
    assert_eq!(run.code, WRONG_GATEWAY, "{}", run.stderr);
    assert!(!proxy.asked().is_empty());
}
