//! TLS to a gateway that is recognised by the pin of its certificate's key, and by nothing else.
//!
//! No name, date or authority is looked at: the pin came with the enrolment string, outside the gateway. Whoever was given nothing
//! but a link has no pin: then, and only then, the system's authorities vouch for the gateway's name. That the server holds the
//! key is proved by the handshake's signature, which is verified as always.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, RootCertStore, SignatureScheme,
};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::ApiError;

/// Longest name of an issuer that is shown, in characters.
const MAX_ISSUER: usize = 100;

/// By what the gateway is recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// The SHA-256 of its certificate's SubjectPublicKeyInfo, and nothing else.
    Pin([u8; 32]),
    /// The authorities that this computer trusts (`SSL_CERT_FILE` may name others), its name and the date: for somebody who
    /// was given nothing but a link.
    SystemRoots,
}

/// Why the last server was refused; the handshake's own error cannot carry it.
pub(super) type Refused = Arc<Mutex<Option<ApiError>>>;

/// TLS 1.3 alone, to a server that `trust` recognises.
///
/// # Errors
/// When the provider does not offer TLS 1.3.
pub(super) fn config(trust: Trust) -> Result<(ClientConfig, Refused), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let refused = Refused::default();
    let judge = match trust {
        Trust::Pin(pin) => Judge::Pin(pin),
        Trust::SystemRoots => Judge::Roots(system_roots(&provider)),
    };
    let verifier = Arc::new(Verifier {
        judge,
        provider: Arc::clone(&provider),
        refused: Arc::clone(&refused),
    });
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok((config, refused))
}

/// The system's own verifier; none where it knows no authority at all.
fn system_roots(provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    // One authority that cannot be read is no reason to do without the others.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
        .build()
        .ok()
}

/// Whether `error`, or anything that caused it, is the refusal of a server with another key.
pub(super) fn is_wrong_key(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(inner) = inner {
            next = Some(inner);
            continue;
        }
        if let Some(Error::InvalidCertificate(_)) = error.downcast_ref::<Error>() {
            return true;
        }
        next = error.source();
    }
    false
}

#[derive(Debug)]
enum Judge {
    Pin([u8; 32]),
    Roots(Option<Arc<WebPkiServerVerifier>>),
}

#[derive(Debug)]
struct Verifier {
    judge: Judge,
    provider: Arc<CryptoProvider>,
    refused: Refused,
}

impl Verifier {
    fn refuse(&self, why: ApiError) -> Error {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        CertificateError::ApplicationVerificationFailure.into()
    }
}

/// Who issued a certificate, if that is somebody else than its owner; for people.
fn issuer(certificate: &X509Certificate<'_>) -> Option<String> {
    if certificate.issuer() == certificate.subject() {
        return None;
    }
    let name = crate::text::line(&certificate.issuer().to_string());
    Some(format!("\"{}\"", name.chars().take(MAX_ISSUER).collect::<String>()))
}

/// What is wrong with a certificate that the system's authorities do not vouch for.
fn fault(error: &Error, issuer: Option<String>) -> String {
    let made_by = issuer.map_or_else(
        || "it is self-made".to_owned(),
        |name| format!("it is issued by {name}"),
    );
    let Error::InvalidCertificate(fault) = error else {
        return made_by;
    };
    let why = match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it is not valid yet, or this computer's clock is wrong"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "it is for another name",
        _ => return made_by,
    };
    format!("{why}; {made_by}")
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (rest, certificate) = X509Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        match &self.judge {
            Judge::Pin(pin) => {
                let is_pinned = constant_time_eq(&sha256(&[certificate.public_key().raw]), pin);
                if is_pinned && rest.is_empty() {
                    return Ok(ServerCertVerified::assertion());
                }
                Err(self.refuse(issuer(&certificate).map_or(ApiError::WrongKey, ApiError::Intercepted)))
            }
            Judge::Roots(None) => {
                let why = "this computer has no list of authorities";
                Err(self.refuse(ApiError::Untrusted(why.to_owned())))
            }
            Judge::Roots(Some(roots)) => roots
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| self.refuse(ApiError::Untrusted(fault(&error, issuer(&certificate))))),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_refused_key_behind_other_errors() {
        let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let wrapped = std::io::Error::other(std::io::Error::other(refused));
        assert!(is_wrong_key(&wrapped));
        let other = std::io::Error::other(Error::HandshakeNotComplete);
        assert!(!is_wrong_key(&other));
    }

    #[test]
    fn refuses_what_is_no_certificate() {
        let verifier = Verifier {
            judge: Judge::Pin([0; 32]),
            provider: Arc::new(aws_lc_rs::default_provider()),
            refused: Refused::default(),
        };
        let name = ServerName::try_from("gw.example").unwrap();
        let result = verifier.verify_server_cert(
            &CertificateDer::from(vec![0x30, 0]),
            &[],
            &name,
            &[],
            UnixTime::since_unix_epoch(std::time::Duration::ZERO),
        );
        assert!(result.is_err());
    }
}
