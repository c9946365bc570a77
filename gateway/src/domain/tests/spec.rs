//! The examples of the specifications are what the code makes and takes.

use sealpost_proto::crypto::SigningKey;
use sealpost_proto::http_signature::{ReceivedSignature, Request, content_digest};
use sealpost_proto::id::GatewayId;
use sealpost_proto::key::SignedStatement;
use sealpost_proto::log::{Checkpoint, Leaf};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::SignedReceipt;

const API: &str = include_str!("../../../../proto/spec/api.md");
const DIRECTORY: &str = include_str!("../../../../proto/spec/directory.md");
const LOG: &str = include_str!("../../../../proto/spec/log.md");
const RECEIPT: &str = include_str!("../../../../proto/spec/receipt.md");

/// The code blocks of a page.
fn blocks(page: &str) -> Vec<&str> {
    let fenced = page.split("```\n").skip(1).step_by(2);
    fenced.collect()
}

fn log_key() -> SigningKey {
    SigningKey::from_seed(&[1; 32])
}

#[test]
fn the_signed_request_verifies() {
    let [body, base, signature] = blocks(API)[..3] else {
        panic!("three blocks");
    };
    let (body, base) = (body.trim_end(), base.trim_end());
    let value = |name: &str| {
        let prefix = format!("\"{name}\": ");
        base.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap()
    };
    let digest = content_digest(body.as_bytes());
    let length = body.len().to_string();
    let request = Request {
        method: "POST",
        authority: value("@authority"),
        path: value("@path"),
        query: "",
        seen: Some(value("sealpost-seen")),
        content_digest: Some(&digest),
        content_length: Some(&length),
        idempotency_key: Some(value("idempotency-key")),
        part_root: None,
    };
    let input = format!("sp={}", value("@signature-params"));
    let received = ReceivedSignature::parse(&input, signature.trim_end()).unwrap();
    assert_eq!(received.verify(&request).unwrap(), base);
    serde_json::from_str::<sealpost_proto::api::AnnounceRequest>(body).unwrap();
}

#[test]
fn every_problem_is_listed_with_its_status() {
    for kind in ProblemKind::ALL {
        let name = format!("`{}`", kind.name());
        let status = kind.status().to_string();
        let is_listed = |line: &str| {
            let mut cells = line.split('|').skip(1);
            let (statuses, names) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
            statuses.contains(&status) && names.contains(&name)
        };
        assert!(API.lines().any(is_listed), "{name} {status}");
    }
}

#[test]
fn statement_leaf_and_checkpoint_fit_each_other() {
    let [statement, leaf, checkpoint] = blocks(DIRECTORY)[..3] else {
        panic!("three blocks");
    };
    let statement: SignedStatement = statement.parse().unwrap();
    assert_eq!(statement.leaf(), leaf.trim_end());
    let read = Checkpoint::verify(checkpoint, "gw.example/directory", &log_key().public()).unwrap();
    let head = sealpost_proto::tree::leaf_hash(leaf.trim_end().as_bytes());
    assert_eq!((read.size, *read.root.as_bytes()), (1, head));
}

#[test]
fn leaf_and_receipt_fit_each_other() {
    let line = blocks(LOG)[0].replace('\n', "");
    let leaf: Leaf = line.parse().unwrap();
    let receipt: SignedReceipt = blocks(RECEIPT)[0].parse().unwrap();
    let gateway: GatewayId = "gw.example".parse().unwrap();
    receipt.verify_gateway(&gateway, &log_key().public()).unwrap();
    receipt.verify_recipient().unwrap();
    assert_eq!(leaf.data.unwrap()["receipt"], receipt.text_hash().to_string());
    assert!(RECEIPT.contains(&receipt.text_hash().to_string()));
}
