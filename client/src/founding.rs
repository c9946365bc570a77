//! Founding an organisation: its root, the first registrar, and the first member's keys (security.md 7.1, `org init`).
//!
//! The root's seed goes where the administrator says and is needed again only for registrars and revocations by the root.

use std::path::Path;

use sealpost_proto::api::{Info, OrgRequest};
use sealpost_proto::encoding::Base64;
use sealpost_proto::enrolment::{GatewayAddress, Secret, SetupString};
use sealpost_proto::id::{Address, Hash, Label, OrgId};
use sealpost_proto::key::{Body, SignedStatement, Statement, Validity, fingerprint};

use crate::account::{Account, RootKey, signing_key};
use crate::api::{Api, ApiError};
use crate::env::Env;
use crate::error::Error;
use crate::home::{Home, write_key_file};

/// How long keys are valid: a year, after which they are rotated.
pub const VALID_SECONDS: u64 = 365 * 86_400;

/// Keys are valid from an hour before they are made, because clocks differ.
pub(crate) const EARLIER: u64 = 3_600;

/// A registrar's key from a day before: invitees' clocks differ too, and their keys must not be older than it.
const REGISTRAR_EARLIER: u64 = 86_400;

/// The keys of a new organisation's first member, and the statements that announce them.
#[derive(Debug)]
pub struct Founding {
    /// The account, registrar's key included.
    pub account: Account,
    /// `org`, `registrar`, `member` and `device`.
    pub statements: Vec<String>,
}

/// Draws all keys of a new organisation but its root, and signs its first statements.
///
/// # Errors
/// [`Error::Input`] for a name that a statement cannot carry, or [`Error::KeyFile`].
pub fn first_statements(root: &RootKey, at: GatewayAddress, address: Address, env: &Env) -> Result<Founding, Error> {
    let org = fingerprint::org_id(&root.key.public());
    let directory_key = Secret::from_bytes(env.draw());
    let mut account = Account::generate(at, org, directory_key, address, env)?;
    let registrar = signing_key(env);
    let now = env.now();

    let body = Body::Org {
        root: root.key.public(),
        name: root.name.clone(),
    };
    let mut org_statement = first(org, None, body)?;
    org_statement.note_mut().sign_as("or", &root.key);

    let body = Body::Registrar {
        key: registrar.public(),
        valid: validity(now, REGISTRAR_EARLIER),
    };
    let mut registrar_statement = first(org, Some(account.label()), body)?;
    registrar_statement.note_mut().sign_as("or", &root.key);

    let mut member = member_statement(&account, now)?;
    member.note_mut().sign_as("rk", &registrar);
    let device = device_statement(&account, now)?;

    account.registrar = Some(registrar);
    account.statements = [&registrar_statement, &member, &device].map(text_hash).to_vec();
    let statements = [org_statement, registrar_statement, member, device];
    Ok(Founding {
        account,
        statements: statements.iter().map(ToString::to_string).collect(),
    })
}

/// The first `member` statement of an account, signed by its identity.
///
/// # Errors
/// [`Error::KeyFile`] or [`Error::Internal`].
pub fn member_statement(account: &Account, now: u64) -> Result<SignedStatement, Error> {
    let newest = account.newest_encryption()?;
    let body = Body::Member {
        identity: account.identity.public(),
        epoch: newest.epoch,
        encryption: newest.key.public().clone(),
        valid: validity(now, EARLIER),
        bundle: None,
    };
    let mut statement = first(account.org, Some(account.label()), body)?;
    statement.note_mut().sign_as("ik", &account.identity);
    Ok(statement)
}

/// The first `device` statement of an account, signed by its identity.
///
/// # Errors
/// [`Error::KeyFile`] or [`Error::Internal`].
pub fn device_statement(account: &Account, now: u64) -> Result<SignedStatement, Error> {
    let body = Body::Device {
        identity: account.identity.public(),
        key: account.device.public(),
        encryption: account.device_encryption.public().clone(),
        valid: validity(now, EARLIER),
    };
    let mut statement = first(account.org, Some(account.label()), body)?;
    statement.note_mut().sign_as("ik", &account.identity);
    Ok(statement)
}

/// Hash of a statement's text: what self-monitoring compares, since others add their signatures later.
#[must_use]
pub fn text_hash(statement: &SignedStatement) -> Hash {
    Hash::from_bytes(statement.note().text_hash())
}

fn first(org: OrgId, label: Option<Label>, body: Body) -> Result<SignedStatement, Error> {
    let statement = Statement {
        org,
        label,
        seq: 1,
        prev: None,
        body,
    };
    let unfit = |_| {
        Error::Input(
            "The organisation's name must be one line of 1 to 255 bytes without spaces at its ends; choose another."
                .to_owned(),
        )
    };
    SignedStatement::try_from(statement.note().map_err(unfit)?).map_err(unfit)
}

fn validity(now: u64, earlier: u64) -> Validity {
    Validity {
        not_before: now.saturating_sub(earlier),
        not_after: now + VALID_SECONDS,
    }
}

/// Founds the organisation: checks the gateway, writes both key files, hands over the statements. A definite refusal takes the
/// files away again; after anything else they stay, because the gateway may have taken the statements.
///
/// # Errors
/// [`Error`].
pub async fn found(
    setup: &SetupString,
    root: &RootKey,
    files: &FoundingFiles<'_>,
    address: Address,
    env: &Env,
) -> Result<Account, Error> {
    let Founding { account, statements } = first_statements(root, setup.at.clone(), address, env)?;
    let api = Api::new(setup.at.clone(), account.device.clone(), env.clone())?;
    check_gateway(&api.info().await?, &setup.at)?;
    files.home.prepare()?;
    write_key_file(files.root_key, &root.to_bytes()?, files.root_passphrase, env)?;
    files.home.create_key_file(&account, files.passphrase, env)?;
    let request = OrgRequest {
        auth: Base64(setup.secret.setup_auth(&setup.at.gateway).to_vec()),
        address: account.address.clone(),
        statements,
    };
    match api.found_org(&request).await {
        Ok(()) => Ok(account),
        Err(error) => {
            files.withdraw_after(&error);
            Err(error.into())
        }
    }
}

/// Where a founder's keys go, and under which passphrases.
#[derive(Clone, Copy)]
pub struct FoundingFiles<'a> {
    /// The client's folder.
    pub home: &'a Home,
    /// Passphrase of the client's key file.
    pub passphrase: &'a str,
    /// The root's file.
    pub root_key: &'a Path,
    /// Its passphrase.
    pub root_passphrase: &'a str,
}

impl std::fmt::Debug for FoundingFiles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("FoundingFiles");
        shown
            .field("home", self.home)
            .field("root_key", &self.root_key)
            .finish_non_exhaustive()
    }
}

impl FoundingFiles<'_> {
    fn withdraw_after(&self, error: &ApiError) {
        if error.is_definite_refusal() {
            // Files that nobody's statements name. If one cannot be removed, the next run says that it exists.
            let _ = std::fs::remove_file(self.root_key);
            let _ = std::fs::remove_file(self.home.key_file());
        }
    }
}

/// Whether the gateway is the one that a string names.
///
/// # Errors
/// [`Error::Mismatch`].
pub fn check_gateway(info: &Info, at: &GatewayAddress) -> Result<(), Error> {
    if info.gateway != at.gateway {
        return Err(Error::Mismatch("its name"));
    }
    if info.log != at.log {
        return Err(Error::Mismatch("its log key"));
    }
    if !info.versions.iter().any(|version| version == "v1") {
        return Err(Error::Mismatch("it does not speak version 1 of the API"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_organisation_needs_a_name_that_fits_on_a_line() {
        let env = Env::system();
        let at = crate::account::tests::account().at;
        let address: Address = "a@b.example".parse().unwrap();
        for name in ["", " Clinic", "a\nb", &"x".repeat(256)] {
            let root = RootKey::generate(name, &env);
            let refused = first_statements(&root, at.clone(), address.clone(), &env);
            assert!(matches!(refused, Err(Error::Input(_))), "{name:?}");
        }
    }

    #[test]
    fn the_gateway_must_be_the_named_one() {
        let at = crate::account::tests::account().at;
        let info = Info {
            gateway: at.gateway.clone(),
            versions: vec!["v1".into()],
            software: "x".into(),
            time: 0,
            log: at.log,
        };
        check_gateway(&info, &at).unwrap();
        let other = Info {
            gateway: "other".parse().unwrap(),
            ..info.clone()
        };
        assert!(matches!(check_gateway(&other, &at), Err(Error::Mismatch(_))));
        let other = Info {
            versions: vec!["v2".into()],
            ..info
        };
        assert!(check_gateway(&other, &at).is_err());
    }
}
