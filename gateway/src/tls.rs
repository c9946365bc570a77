//! TLS 1.3 alone, post-quantum key agreement first; the gateway's own certificate, or the operator's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{self, cipher_suite, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sealpost_proto::crypto::sha256;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config;
use crate::store::durable;

/// Why there is no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file is missing, or is not what it should be.
    #[error("the file {file} cannot be used for TLS: {why}. Check `tls` in the configuration.", file = file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The certificate cannot be made.
    #[error("a certificate cannot be made for `{0}`: check `public_url` in the configuration.")]
    Make(String),
    /// Certificate and key do not fit.
    #[error("certificate and private key cannot be used together: {0}. Check `tls` in the configuration.")]
    Pair(#[from] rustls::Error),
}

/// What is needed to serve TLS, and to recognise who serves it.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// Settings for connections.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the certificate's SubjectPublicKeyInfo.
    pub pin: [u8; 32],
}

/// The operator's certificate, or the gateway's own, which is made for `host` when `folder` holds none.
///
/// # Errors
/// [`TlsError`].
pub fn server_tls(settings: &config::Tls, folder: &Path, host: &str) -> Result<ServerTls, TlsError> {
    let (certificate, key) = match (&settings.certificate, &settings.private_key) {
        (Some(certificate), Some(key)) => (certificate.clone(), key.clone()),
        _ => own_files(folder, host)?,
    };
    let chain = read_chain(&certificate)?;
    let leaf = chain
        .first()
        .ok_or_else(|| bad(&certificate, "it holds no certificate"))?;
    let pin = pin_of(leaf).ok_or_else(|| bad(&certificate, "its first certificate cannot be read"))?;
    let key = PrivateKeyDer::from_pem_file(&key).map_err(|error| bad(&key, &error.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(ServerTls {
        config: Arc::new(config),
        pin,
    })
}

/// aws-lc-rs with the groups and suites of security.md 8, in that order.
fn provider() -> rustls::crypto::CryptoProvider {
    rustls::crypto::CryptoProvider {
        kx_groups: vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1],
        cipher_suites: vec![
            cipher_suite::TLS13_AES_256_GCM_SHA384,
            cipher_suite::TLS13_AES_128_GCM_SHA256,
            cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        ],
        ..aws_lc_rs::default_provider()
    }
}

/// The gateway's own certificate and key (ECDSA P-256), made at the first start and kept for as long as clients pin it.
fn own_files(folder: &Path, host: &str) -> Result<(PathBuf, PathBuf), TlsError> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("certificate-key.pem"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    let (certificate_pem, key_pem) = make(host).map_err(|_| TlsError::Make(host.to_owned()))?;
    // The key first: a certificate whose key is lost would be pinned in vain.
    durable::replace(&key, key_pem.as_bytes()).map_err(|error| bad(&key, &error.to_string()))?;
    durable::replace(&certificate, certificate_pem.as_bytes())
        .map_err(|error| bad(&certificate, &error.to_string()))?;
    Ok((certificate, key))
}

fn make(host: &str) -> Result<(String, zeroize::Zeroizing<String>), rcgen::Error> {
    let mut names = vec![host.to_owned()];
    for local in ["localhost", "127.0.0.1", "::1"] {
        if host != local {
            names.push(local.to_owned());
        }
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "Sealpost gateway");
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), zeroize::Zeroizing::new(key.serialize_pem())))
}

fn read_chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| bad(file, &error.to_string()))?;
    let chain: Result<_, _> = certificates.collect();
    chain.map_err(|error: rustls::pki_types::pem::Error| bad(file, &error.to_string()))
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo.
fn pin_of(certificate: &CertificateDer<'_>) -> Option<[u8; 32]> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(sha256(&[parsed.public_key().raw]))
}

fn bad(file: &Path, why: &str) -> TlsError {
    TlsError::File {
        file: file.to_owned(),
        why: why.to_owned(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use rustls::{ClientConfig, ClientConnection, NamedGroup, ProtocolVersion, RootCertStore, ServerConnection};

    use super::*;

    /// Settings of a client that trusts the certificate in `folder`.
    pub(crate) fn client_of(folder: &Path) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        for certificate in read_chain(&folder.join("certificate.pem")).unwrap() {
            roots.add(certificate).unwrap();
        }
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }

    #[test]
    fn the_handshake_is_post_quantum_and_tls_1_3() {
        let folder = tempfile::tempdir().unwrap();
        let tls = server_tls(&config::Tls::default(), folder.path(), "gw.example").unwrap();
        let mut server = ServerConnection::new(tls.config).unwrap();
        let name = "gw.example".try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(client_of(folder.path())), name).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut wire = Vec::new();
            client.write_tls(&mut wire).unwrap();
            server.read_tls(&mut wire.as_slice()).unwrap();
            server.process_new_packets().unwrap();
            let mut wire = Vec::new();
            server.write_tls(&mut wire).unwrap();
            client.read_tls(&mut wire.as_slice()).unwrap();
            client.process_new_packets().unwrap();
        }
        assert_eq!(server.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let group = server
            .negotiated_key_exchange_group()
            .map(rustls::crypto::SupportedKxGroup::name);
        assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
    }

    #[test]
    fn the_own_certificate_is_made_once_and_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let none = config::Tls::default();
        let first = server_tls(&none, folder.path(), "gw.example").unwrap();
        let again = server_tls(&none, folder.path(), "gw.example").unwrap();
        assert_eq!(first.pin, again.pin);
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(first.config.alpn_protocols, vec![b"h2".to_vec(), b"http/1.1".to_vec()]);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(server_tls(&none, other.path(), "gw.example").unwrap().pin, first.pin);
    }

    #[test]
    fn the_operators_files_are_used_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let own = server_tls(&config::Tls::default(), folder.path(), "gw.example").unwrap();
        let named = config::Tls {
            certificate: Some(folder.path().join("certificate.pem")),
            private_key: Some(folder.path().join("certificate-key.pem")),
        };
        let elsewhere = tempfile::tempdir().unwrap();
        assert_eq!(server_tls(&named, elsewhere.path(), "x").unwrap().pin, own.pin);
        let swapped = config::Tls {
            certificate: named.private_key.clone(),
            private_key: named.certificate,
        };
        let refused = server_tls(&swapped, elsewhere.path(), "x").unwrap_err();
        assert!(refused.to_string().contains("certificate-key.pem"), "{refused}");
    }
}
