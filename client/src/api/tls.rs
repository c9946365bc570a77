//! TLS to a gateway that is recognised by the pin of its certificate's key, and by nothing else.
//!
//! No name, date or authority is looked at: the pin came with the enrolment string, outside the gateway. That the server holds
//! the pinned key is proved by the handshake's signature, which is verified as always.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, SignatureScheme};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// TLS 1.3 alone, to the server whose certificate's SubjectPublicKeyInfo has this SHA-256.
///
/// # Errors
/// When the provider does not offer TLS 1.3.
pub(super) fn config(pin: [u8; 32]) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Arc::new(PinVerifier {
        pin,
        provider: Arc::clone(&provider),
    });
    Ok(ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth())
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
struct PinVerifier {
    pin: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (rest, certificate) = X509Certificate::from_der(end_entity).map_err(|_| CertificateError::BadEncoding)?;
        let is_pinned = constant_time_eq(&sha256(&[certificate.public_key().raw]), &self.pin);
        if is_pinned && rest.is_empty() {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
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
        let verifier = PinVerifier {
            pin: [0; 32],
            provider: Arc::new(aws_lc_rs::default_provider()),
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
