//! Statements, read: the lines of each type, in their order, once each and nothing else.

use super::service::ServiceLimits;
use super::statement::{
    Body, EncryptionPublicKey, PREFIX, RevokedKey, Statement, StatementError, StatementType, Validity, XWING,
    check_name,
};
use crate::crypto;
use crate::encoding::{decimal, unbase64_array};
use crate::id::{Hash, PublicKey};
use crate::lines::Lines;

/// Reads the text of a statement.
pub(super) fn parse(text: &str) -> Result<Statement, StatementError> {
    let mut lines = Fields(Lines::new(text));
    let kind = lines.kind()?;
    let org = lines.value("org")?.parse().map_err(|_| StatementError::Form)?;
    let label = match kind {
        StatementType::Org => None,
        _ => Some(lines.value("label")?.parse().map_err(|_| StatementError::Form)?),
    };
    let seq = number(lines.value("seq")?)?;
    let prev = match seq {
        0 => return Err(StatementError::Form),
        1 => None,
        _ => Some(Hash::from_bytes(bytes(lines.value("prev")?)?)),
    };
    let body = lines.body(kind)?;
    lines.0.end()?;
    Ok(Statement {
        org,
        label,
        seq,
        prev,
        body,
    })
}

/// The lines of a statement.
struct Fields<'a>(Lines<'a>);

impl<'a> Fields<'a> {
    fn kind(&mut self) -> Result<StatementType, StatementError> {
        match self.0.line()?.strip_prefix(PREFIX) {
            Some("org") => Ok(StatementType::Org),
            Some("registrar") => Ok(StatementType::Registrar),
            Some("member") => Ok(StatementType::Member),
            Some("device") => Ok(StatementType::Device),
            Some("revoke") => Ok(StatementType::Revoke),
            Some("service") => Ok(StatementType::Service),
            _ => Err(StatementError::Form),
        }
    }

    fn value(&mut self, name: &str) -> Result<&'a str, StatementError> {
        Ok(self.0.value(name)?)
    }

    fn key(&mut self, name: &str) -> Result<PublicKey, StatementError> {
        public_key(self.value(name)?)
    }

    fn valid(&mut self) -> Result<Validity, StatementError> {
        let (from, to) = self.0.pair("valid")?;
        let valid = Validity {
            not_before: number(from)?,
            not_after: number(to)?,
        };
        if valid.not_before > valid.not_after {
            return Err(StatementError::Form);
        }
        Ok(valid)
    }

    fn body(&mut self, kind: StatementType) -> Result<Body, StatementError> {
        match kind {
            StatementType::Org => {
                let root = self.key("or")?;
                let name = self.value("name")?.to_owned();
                check_name(&name)?;
                Ok(Body::Org { root, name })
            }
            StatementType::Registrar => Ok(Body::Registrar {
                key: self.key("rk")?,
                valid: self.valid()?,
            }),
            StatementType::Member => self.member(),
            StatementType::Device => Ok(Body::Device {
                identity: self.key("ik")?,
                key: self.key("dk")?,
                encryption: xwing(self.value("dek")?)?,
                valid: self.valid()?,
            }),
            StatementType::Service => self.service(),
            StatementType::Revoke => {
                let (kind, key) = self.0.pair("key")?;
                let key = public_key(key)?;
                let key = match kind {
                    "rk" => RevokedKey::Registrar(key),
                    "ik" => RevokedKey::Identity(key),
                    "dk" => RevokedKey::Device(key),
                    _ => return Err(StatementError::Form),
                };
                Ok(Body::Revoke {
                    key,
                    time: number(self.value("time")?)?,
                })
            }
        }
    }

    fn service(&mut self) -> Result<Body, StatementError> {
        Ok(Body::Service(ServiceLimits {
            scopes: self.value("scopes")?.parse().map_err(|_| StatementError::Form)?,
            networks: self.value("networks")?.parse().map_err(|_| StatementError::Form)?,
            valid: self.valid()?,
        }))
    }

    fn member(&mut self) -> Result<Body, StatementError> {
        let identity = self.key("ik")?;
        let ek = self
            .value("ek")?
            .strip_prefix(XWING)
            .and_then(|rest| rest.strip_prefix(' '));
        let (epoch, ek) = ek.and_then(|rest| rest.split_once(' ')).ok_or(StatementError::Form)?;
        let epoch = number(epoch)?;
        if epoch == 0 {
            return Err(StatementError::Form);
        }
        let encryption = EncryptionPublicKey::from_bytes(bytes(ek)?)?;
        let valid = self.valid()?;
        let bundle = self.0.optional("bundle")?.map(number).transpose()?;
        Ok(Body::Member {
            identity,
            epoch,
            encryption,
            valid,
            bundle,
        })
    }
}

fn xwing(value: &str) -> Result<EncryptionPublicKey, StatementError> {
    let key = value.strip_prefix(XWING).and_then(|rest| rest.strip_prefix(' '));
    EncryptionPublicKey::from_bytes(bytes(key.ok_or(StatementError::Form)?)?)
}

fn public_key(text: &str) -> Result<PublicKey, StatementError> {
    let key = PublicKey::from_bytes(bytes(text)?);
    crypto::check_public_key(&key).map_err(|_| StatementError::Key)?;
    Ok(key)
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], StatementError> {
    unbase64_array(text).map_err(|_| StatementError::Form)
}

fn number(text: &str) -> Result<u64, StatementError> {
    decimal(text).map_err(|_| StatementError::Form)
}
