//! What a client's key file holds: a person's keys, and how to recognise the gateway and the organisation.
//!
//! Contents alone; how they are sealed is [`crate::key_file`]'s business. Nothing here is ever written unsealed.

use sealpost_proto::crypto::SigningKey;
use sealpost_proto::encoding::{hex, unhex_array};
use sealpost_proto::enrolment::{GatewayAddress, Secret, is_gateway_url};
use sealpost_proto::id::{Address, GatewayId, Hash, Kid, Label, OrgId, PublicKey};
use sealpost_proto::key::fingerprint;
use sealpost_sealed::EncryptionKey;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::env::Env;
use crate::key_file::KeyFileError;

const CLIENT: &str = "client";
const ORGANISATION_ROOT: &str = "organisation-root";

/// An encryption key and its epoch.
#[derive(Debug, Clone)]
pub struct EpochKey {
    /// From 1, one more with every rotation.
    pub epoch: u64,
    /// The key.
    pub key: EncryptionKey,
}

/// A person's account on one device. Secrets are wiped when dropped; `Debug` shows none.
#[derive(Debug, Clone)]
pub struct Account {
    /// The gateway, with the pin of its certificate.
    pub at: GatewayAddress,
    /// The organisation whose root is trusted.
    pub org: OrgId,
    /// Key under which addresses become labels.
    pub directory_key: Secret,
    /// The person's address.
    pub address: Address,
    /// Identity key (IK).
    pub identity: SigningKey,
    /// Device key (DK).
    pub device: SigningKey,
    /// Device encryption key (DEK).
    pub device_encryption: EncryptionKey,
    /// Encryption keys (EK), oldest first; never empty.
    pub encryption: Vec<EpochKey>,
    /// Registrar key (RK), if this person enrols people.
    pub registrar: Option<SigningKey>,
    /// Seals the client's own state files.
    pub state_key: Secret,
    /// SHA-256 of the texts of all statements about the own label that this person signed.
    pub statements: Vec<Hash>,
}

impl Account {
    /// New keys for `address` in an organisation.
    ///
    /// # Errors
    /// [`KeyFileError::Failed`] when the cryptographic library fails.
    pub fn generate(
        at: GatewayAddress,
        org: OrgId,
        directory_key: Secret,
        address: Address,
        env: &Env,
    ) -> Result<Self, KeyFileError> {
        let encryption_key = || EncryptionKey::generate(&mut env.rng()).map_err(|_| KeyFileError::Failed);
        Ok(Self {
            at,
            org,
            directory_key,
            address,
            identity: signing_key(env),
            device: signing_key(env),
            device_encryption: encryption_key()?,
            encryption: vec![EpochKey {
                epoch: 1,
                key: encryption_key()?,
            }],
            registrar: None,
            state_key: Secret::from_bytes(env.draw()),
            statements: Vec::new(),
        })
    }

    /// The own label.
    #[must_use]
    pub fn label(&self) -> Label {
        self.address.label(self.directory_key.as_bytes())
    }

    /// The label of any address in the organisation.
    #[must_use]
    pub fn label_of(&self, address: &Address) -> Label {
        address.label(self.directory_key.as_bytes())
    }

    /// What the person and the administrator compare before the keys are signed.
    #[must_use]
    pub fn check_number(&self) -> String {
        check_number(&self.org, &self.identity.public())
    }

    /// The newest encryption key.
    ///
    /// # Errors
    /// [`KeyFileError::Form`] if there is none, which reading refuses.
    pub fn newest_encryption(&self) -> Result<&EpochKey, KeyFileError> {
        self.encryption.last().ok_or(KeyFileError::Form)
    }

    /// The encryption key with this id.
    #[must_use]
    pub fn encryption_by_kid(&self, kid: &Kid) -> Option<&EncryptionKey> {
        self.encryption
            .iter()
            .map(|epoch| &epoch.key)
            .find(|key| key.kid() == kid)
    }

    /// The contents of the key file.
    ///
    /// # Errors
    /// [`KeyFileError::Failed`].
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        let record = ClientRecord {
            v: 1,
            kind: CLIENT.to_owned(),
            url: self.at.url.clone(),
            gateway: self.at.gateway.clone(),
            pin: Hash::from_bytes(self.at.pin),
            log: self.at.log,
            org: self.org,
            directory_key: Hidden::new(self.directory_key.as_bytes()),
            address: self.address.clone(),
            identity: Hidden::new(&self.identity.seed()),
            device: Hidden::new(&self.device.seed()),
            device_encryption: Hidden::new(self.device_encryption.seed()),
            encryption: self.encryption.iter().map(EpochRecord::from).collect(),
            registrar: self.registrar.as_ref().map(|key| Hidden::new(&key.seed())),
            state_key: Hidden::new(self.state_key.as_bytes()),
            statements: self.statements.clone(),
        };
        to_json(&record)
    }

    /// Reads the contents of a key file.
    ///
    /// # Errors
    /// [`KeyFileError::Form`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyFileError> {
        let record: ClientRecord = from_json(bytes)?;
        if record.v != 1 || record.kind != CLIENT || record.encryption.is_empty() || !is_gateway_url(&record.url) {
            return Err(KeyFileError::Form);
        }
        let epochs: Result<Vec<EpochKey>, KeyFileError> = record.encryption.iter().map(EpochRecord::read).collect();
        Ok(Self {
            at: GatewayAddress {
                url: record.url,
                gateway: record.gateway,
                pin: *record.pin.as_bytes(),
                log: record.log,
            },
            org: record.org,
            directory_key: Secret::from_bytes(*record.directory_key.bytes()?),
            address: record.address,
            identity: record.identity.signing_key()?,
            device: record.device.signing_key()?,
            device_encryption: record.device_encryption.encryption_key()?,
            encryption: epochs?,
            registrar: record.registrar.map(|seed| seed.signing_key()).transpose()?,
            state_key: Secret::from_bytes(*record.state_key.bytes()?),
            statements: record.statements,
        })
    }
}

/// The safety number of a person and an organisation: both sides know both before anybody is signed in. The organisation's id,
/// which is a hash of its root key, stands where the second identity would.
#[must_use]
pub fn check_number(org: &OrgId, identity: &PublicKey) -> String {
    fingerprint::safety_number(&PublicKey::from_bytes(*org.as_bytes()), identity)
}

/// What the file of an organisation's root holds.
#[derive(Debug, Clone)]
pub struct RootKey {
    /// The organisation's name, to recognise the file by.
    pub name: String,
    /// Organisation root (OR).
    pub key: SigningKey,
}

impl RootKey {
    /// A new root.
    #[must_use]
    pub fn generate(name: &str, env: &Env) -> Self {
        Self {
            name: name.to_owned(),
            key: signing_key(env),
        }
    }

    /// The contents of the file.
    ///
    /// # Errors
    /// [`KeyFileError::Failed`].
    pub fn to_bytes(&self) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
        to_json(&RootRecord {
            v: 1,
            kind: ORGANISATION_ROOT.to_owned(),
            name: self.name.clone(),
            root: Hidden::new(&self.key.seed()),
        })
    }

    /// Reads the contents of the file.
    ///
    /// # Errors
    /// [`KeyFileError::Form`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyFileError> {
        let record: RootRecord = from_json(bytes)?;
        if record.v != 1 || record.kind != ORGANISATION_ROOT {
            return Err(KeyFileError::Form);
        }
        Ok(Self {
            name: record.name,
            key: record.root.signing_key()?,
        })
    }
}

/// A new signing key.
#[must_use]
pub fn signing_key(env: &Env) -> SigningKey {
    SigningKey::from_seed(&Zeroizing::new(env.draw()))
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientRecord {
    v: u8,
    kind: String,
    url: String,
    gateway: GatewayId,
    pin: Hash,
    log: PublicKey,
    org: OrgId,
    directory_key: Hidden,
    address: Address,
    identity: Hidden,
    device: Hidden,
    device_encryption: Hidden,
    encryption: Vec<EpochRecord>,
    registrar: Option<Hidden>,
    state_key: Hidden,
    statements: Vec<Hash>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochRecord {
    epoch: u64,
    seed: Hidden,
}

impl From<&EpochKey> for EpochRecord {
    fn from(epoch: &EpochKey) -> Self {
        Self {
            epoch: epoch.epoch,
            seed: Hidden::new(epoch.key.seed()),
        }
    }
}

impl EpochRecord {
    fn read(&self) -> Result<EpochKey, KeyFileError> {
        Ok(EpochKey {
            epoch: self.epoch,
            key: self.seed.encryption_key()?,
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootRecord {
    v: u8,
    kind: String,
    name: String,
    root: Hidden,
}

/// 32 secret bytes as hex digits; wiped when dropped, without `Debug`.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
struct Hidden(String);

impl Hidden {
    fn new(bytes: &[u8; 32]) -> Self {
        Self(hex(bytes))
    }

    fn bytes(&self) -> Result<Zeroizing<[u8; 32]>, KeyFileError> {
        unhex_array(&self.0).map(Zeroizing::new).map_err(|_| KeyFileError::Form)
    }

    fn signing_key(&self) -> Result<SigningKey, KeyFileError> {
        Ok(SigningKey::from_seed(&*self.bytes()?))
    }

    fn encryption_key(&self) -> Result<EncryptionKey, KeyFileError> {
        EncryptionKey::from_seed(&*self.bytes()?).map_err(|_| KeyFileError::Form)
    }
}

fn to_json(record: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, KeyFileError> {
    // Large enough from the start, so that growing leaves no unwiped copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(16 * 1024));
    serde_json::to_writer(&mut *bytes, record).map_err(|_| KeyFileError::Failed)?;
    Ok(bytes)
}

fn from_json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, KeyFileError> {
    serde_json::from_slice(bytes).map_err(|_| KeyFileError::Form)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An account with a registrar's key at a gateway that does not exist.
    pub(crate) fn account() -> Account {
        let env = Env::system();
        let at = GatewayAddress {
            url: "https://gw.example:8443".into(),
            gateway: "gw".parse().unwrap(),
            pin: [1; 32],
            log: SigningKey::from_seed(&[2; 32]).public(),
        };
        let org = OrgId::from_bytes([3; 32]);
        let directory_key = Secret::from_bytes([4; 32]);
        let address = "a@b.example".parse().unwrap();
        let mut account = Account::generate(at, org, directory_key, address, &env).unwrap();
        account.registrar = Some(signing_key(&env));
        account.statements.push(Hash::from_bytes([9; 32]));
        account
    }

    #[test]
    fn contents_round_trip() {
        let account = account();
        let bytes = account.to_bytes().unwrap();
        let read = Account::from_bytes(&bytes).unwrap();
        assert_eq!(*read.to_bytes().unwrap(), *bytes);
        assert_eq!(read.identity.public(), account.identity.public());
        assert_eq!(read.label(), account.label());
    }

    #[test]
    fn one_kind_of_file_is_not_read_as_the_other() {
        let root = RootKey::generate("Clinic", &Env::system()).to_bytes().unwrap();
        assert!(Account::from_bytes(&root).is_err());
        assert!(RootKey::from_bytes(&root).is_ok());
        assert!(RootKey::from_bytes(&account().to_bytes().unwrap()).is_err());
    }

    #[test]
    fn debug_shows_no_secret() {
        let account = account();
        let shown = format!("{account:?}");
        for secret in [
            *account.identity.seed(),
            *account.device.seed(),
            *account.state_key.as_bytes(),
        ] {
            assert!(!shown.contains(&hex(&secret)) && !shown.contains(&format!("{secret:?}")));
        }
    }
}
