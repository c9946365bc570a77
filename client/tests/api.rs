//! The client's requests against a server whose answers the test decides: pin, retries, refusals.

#![cfg(test)]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sealpost_client::Env;
use sealpost_client::api::{Api, ApiError, Trust};
use sealpost_proto::api::OrgRequest;
use sealpost_proto::crypto::{SigningKey, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::enrolment::GatewayAddress;
use sealpost_proto::http_signature::content_digest_matches;
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::problem::{Problem, ProblemKind};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// A request as it arrived.
struct Seen {
    method: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

#[derive(Default)]
struct Script {
    answers: Mutex<VecDeque<Response<Full<Bytes>>>>,
    seen: Mutex<Vec<Seen>>,
}

struct Server {
    at: GatewayAddress,
    script: Arc<Script>,
}

impl Server {
    /// A server whose certificate is for `certified`, and which signs the handshake with `signing`.
    async fn start_with(certified: &KeyPair, signing: &KeyPair, answers: Vec<Response<Full<Bytes>>>) -> Self {
        let params = rcgen::CertificateParams::new(vec!["anything.example".to_owned()]).unwrap();
        let certificate = params.self_signed(certified).unwrap().der().clone();
        Self::start_as(certificate, certified, signing, answers).await
    }

    /// A server with this certificate.
    async fn start_as(
        certificate: CertificateDer<'static>,
        certified: &KeyPair,
        signing: &KeyPair,
        answers: Vec<Response<Full<Bytes>>>,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing.serialize_der()));
        let key = provider.key_provider.load_private_key(key).unwrap();
        let resolver = rustls::sign::SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = GatewayAddress {
            url: format!("https://127.0.0.1:{}", listener.local_addr().unwrap().port()),
            gateway: "gw".parse().unwrap(),
            pin: sha256(&[&certified.subject_public_key_info()]),
            log: SigningKey::from_seed(&[2; 32]).public(),
        };
        let script = Arc::new(Script {
            answers: Mutex::new(answers.into()),
            seen: Mutex::default(),
        });
        tokio::spawn(serve(listener, acceptor, Arc::clone(&script)));
        Self { at, script }
    }

    async fn start(answers: Vec<Response<Full<Bytes>>>) -> Self {
        let key = KeyPair::generate().unwrap();
        Self::start_with(&key, &key, answers).await
    }

    fn api(&self) -> Api {
        Api::new(self.at.clone(), SigningKey::from_seed(&[7; 32]), Env::system()).unwrap()
    }

    fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.script.seen.lock().unwrap())
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, script: Arc<Script>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, script) = (acceptor.clone(), Arc::clone(&script));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = hyper::service::service_fn(move |request| answer(request, Arc::clone(&script)));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that hangs up ends the connection.
            let _ = connection.await;
        });
    }
}

async fn answer(request: Request<Incoming>, script: Arc<Script>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let seen = Seen {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        headers: head.headers,
        body: body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default(),
    };
    script.seen.lock().unwrap().push(seen);
    let next = script.answers.lock().unwrap().pop_front();
    Ok(next.unwrap_or_else(|| plain(404, "")))
}

fn plain(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn problem(kind: ProblemKind, time: Option<u64>) -> Response<Full<Bytes>> {
    let mut problem = Problem::new(kind, "request-1".into());
    problem.time = time;
    plain(kind.status(), &serde_json::to_string(&problem).unwrap())
}

fn me() -> Response<Full<Bytes>> {
    let label = "00".repeat(32);
    plain(
        200,
        &format!(r#"{{"label":"{label}","address":"a@b","registrar":false,"auditor":false,"newer":1}}"#),
    )
}

#[tokio::test]
async fn the_pinned_key_is_enough_and_newer_members_are_ignored() {
    let server = Server::start(vec![me()]).await;
    assert_eq!(server.api().me().await.unwrap().address.as_str(), "a@b");
    let seen = server.seen();
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("GET", "/v1/me"));
    let empty = "gw/directory 0 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(seen[0].header("sealpost-seen"), empty);
}

#[tokio::test]
async fn another_key_is_refused_at_once() {
    let server = Server::start(vec![me()]).await;
    let mut at = server.at.clone();
    at.pin[0] ^= 1;
    let api = Api::new(at, SigningKey::from_seed(&[7; 32]), Env::system()).unwrap();
    assert!(matches!(api.me().await, Err(ApiError::WrongKey)));
    assert!(server.seen().is_empty(), "nothing was sent to it");
}

/// What a security program does that opens connections: it shows a certificate of its own making for the gateway's name.
#[tokio::test]
async fn a_proxy_that_opens_connections_is_named() {
    let (authority, leaf) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut issuer = rcgen::CertificateParams::new(Vec::new()).unwrap();
    issuer.distinguished_name = rcgen::DistinguishedName::new();
    issuer
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Clinic Web Inspection\u{202e}");
    let issuer = rcgen::Issuer::new(issuer, &authority);
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&leaf, &issuer).unwrap().der().clone();
    let server = Server::start_as(certificate, &leaf, &leaf, vec![me()]).await;
    let mut at = server.at.clone();
    at.pin[0] ^= 1;
    let api = Api::new(at.clone(), SigningKey::from_seed(&[7; 32]), Env::system()).unwrap();
    let refused = api.me().await.unwrap_err();
    assert!(matches!(refused, ApiError::Intercepted(_)), "{refused}");
    let shown = refused.to_string();
    assert!(
        shown.contains("Clinic Web Inspection") && shown.contains("proxy"),
        "{shown}"
    );
    assert!(
        !shown.contains('\u{202e}'),
        "names of others cannot steer the terminal: {shown}"
    );

    // Somebody without a pin trusts the authorities of the computer, of which this is none.
    let api = Api::trusting(Trust::SystemRoots, at, SigningKey::from_seed(&[7; 32]), Env::system()).unwrap();
    let refused = api.me().await.unwrap_err();
    assert!(matches!(refused, ApiError::Untrusted(_)), "{refused}");
    assert!(refused.to_string().contains("Clinic Web Inspection"), "{refused}");
    assert!(server.seen().is_empty(), "nothing was sent to it");
}

#[tokio::test]
async fn a_pinned_certificate_in_other_hands_is_refused() {
    let (certified, thief) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let server = Server::start_with(&certified, &thief, vec![me()]).await;
    assert!(matches!(server.api().me().await, Err(ApiError::WrongKey)));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_post_is_repeated_under_its_key_and_signed_anew() {
    let answers = vec![
        problem(ProblemKind::Unavailable, None),
        problem(ProblemKind::InFlight, None),
        plain(200, r#"{"size":5}"#),
    ];
    let server = Server::start(answers).await;
    assert_eq!(server.api().post_statements(vec!["x".into()]).await.unwrap().size, 5);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let distinct = |name: &str| {
        let values: std::collections::BTreeSet<&str> = seen.iter().map(|request| request.header(name)).collect();
        values.len()
    };
    assert_eq!(distinct("idempotency-key"), 1);
    assert_eq!(distinct("signature-input"), 3, "each attempt has a nonce of its own");
    assert_eq!(
        uuid::Uuid::parse_str(seen[0].header("idempotency-key"))
            .unwrap()
            .get_version_num(),
        4
    );
    assert!(
        seen.iter()
            .all(|request| content_digest_matches(request.header("content-digest"), &request.body))
    );
}

#[tokio::test]
async fn a_refusal_is_not_repeated() {
    let server = Server::start(vec![problem(ProblemKind::ClockSkew, Some(1_000)), me()]).await;
    let error = server.api().me().await.unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::ClockSkew));
    assert!(error.is_definite_refusal());
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_organisation_that_exists_may_be_the_one_just_founded() {
    let answers = vec![plain(502, "lost"), problem(ProblemKind::AlreadyFounded, None)];
    let server = Server::start(answers).await;
    let request = OrgRequest {
        auth: Base64(vec![1; 32]),
        address: "desk@clinic.example".parse().unwrap(),
        statements: Vec::new(),
    };
    let error = server.api().found_org(&request).await.unwrap_err();
    assert_eq!(error.kind(), Some(ProblemKind::AlreadyFounded));
    assert!(!error.is_definite_refusal(), "or the only keys would be removed");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_part_is_sent_whole_again() {
    let server = Server::start(vec![plain(502, "bad gateway"), plain(201, "")]).await;
    let part = Bytes::from(vec![5; 600_000]);
    let id = TransferId::from_bytes([1; 16]);
    server
        .api()
        .put_part(&id, 3, Hash::from_bytes([2; 32]), part.clone())
        .await
        .unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!(request.method, "PUT");
        assert_eq!(request.path, format!("/v1/transfers/{id}/parts/3"));
        assert_eq!(request.body, part);
        assert_eq!(request.header("content-length"), "600000");
        assert!(request.header("sealpost-part-root").starts_with(':'));
    }
}

#[tokio::test]
async fn a_range_must_be_answered_as_asked() {
    let id = TransferId::from_bytes([1; 16]);
    let ask = async |answer| {
        let server = Server::start(vec![answer]).await;
        let mut bytes = Vec::new();
        let result = server.api().payload(&id, 10..14, &mut bytes).await.map(|()| bytes);
        (result, server.seen()[0].header("range").to_owned())
    };
    let (good, range) = ask(plain(206, "abcd")).await;
    assert_eq!((good.unwrap(), range.as_str()), (b"abcd".to_vec(), "bytes=10-13"));
    for bad in [plain(200, "abcd"), plain(206, "abc"), plain(206, "abcde")] {
        assert!(matches!(ask(bad).await.0, Err(ApiError::Answer(_))));
    }
}

#[tokio::test]
async fn other_answers_are_no_answers() {
    let server = Server::start(vec![plain(200, "<html>"), plain(200, "a\nb"), plain(418, "<html>")]).await;
    let api = server.api();
    assert!(matches!(api.me().await, Err(ApiError::Answer(_))));
    assert!(
        matches!(api.leaves("audit", 0).await, Err(ApiError::Answer(_))),
        "a line without its end"
    );
    let error = api.me().await.unwrap_err();
    assert_eq!(error.kind(), None);
    assert!(error.to_string().contains("418"));
}

#[tokio::test]
async fn lists_and_answers_without_an_end_are_given_up() {
    use sealpost_client::Error;
    use sealpost_client::transfers::List;
    let page = |next: u64| {
        let body = format!(r#"{{"transfers":[],"next":{next}}}"#);
        Response::new(Full::new(Bytes::from(body)))
    };
    for next in [9, 10] {
        let server = Server::start(vec![page(9), page(next)]).await;
        let listed = List::In.list(&server.api(), usize::MAX).await;
        assert!(matches!(listed, Err(Error::Api(ApiError::Answer(_)))), "{listed:?}");
        assert_eq!(server.seen().len(), 2);
    }
    let endless = Response::new(Full::new(Bytes::from(vec![b' '; (64 << 10) + 1])));
    let server = Server::start(vec![endless]).await;
    let answer = server.api().info().await;
    assert!(matches!(answer, Err(ApiError::Answer("it is too long"))), "{answer:?}");
}
