//! The directory as this client has verified it: the whole log mirrored, every statement checked under the pinned organisation.
//!
//! A key that is not in here is not used. What the gateway says of a person is believed only as far as the organisation's
//! signatures reach; an address is shown only if its label is the HMAC of it.

use std::collections::BTreeMap;

use sealpost_proto::id::{Address, Hash, Label};
use sealpost_proto::key::service::Scope;
use sealpost_proto::key::{Directory, Member, ServiceLimits, SignedStatement, StatementType};

use crate::account::Account;
use crate::api::{Api, ApiError};
use crate::budget::Budget;
use crate::error::Error;
use crate::home::Home;
use crate::log::LogMirror;

const STATEMENTS: &str = "statements";

/// The verified directory.
#[derive(Debug, Clone)]
pub struct DirectoryMirror {
    log: LogMirror,
    directory: Directory,
    /// Hashes of the texts of all statements about the own label, in log order.
    own: Vec<Hash>,
    own_label: Label,
}

impl DirectoryMirror {
    /// Loads the mirror from the client's folder and verifies every statement in it.
    ///
    /// # Errors
    /// [`Error::Log`] or [`Error::File`].
    pub fn load(home: &Home, account: &Account) -> Result<Self, Error> {
        let origin = account.at.gateway.directory_origin();
        let log = LogMirror::load(home.log("directory"), "directory", origin, account.at.log)?;
        let mut mirror = Self {
            directory: Directory::new(account.org),
            own: Vec::new(),
            own_label: account.label(),
            log,
        };
        let statements = mirror.log.read_lines(STATEMENTS, mirror.log.size())?;
        let statements: Result<Vec<String>, _> = statements.iter().map(|line| serde_json::from_str(line)).collect();
        let statements = statements.map_err(|_| mirror.log.damaged())?;
        let leaves = mirror.log.lines().to_vec();
        mirror.apply(&leaves, &statements).map_err(|_| mirror.log.damaged())?;
        Ok(mirror)
    }

    /// Whether nobody has written to the mirror since it was loaded.
    ///
    /// # Errors
    /// [`Error::Log`] or [`Error::File`].
    pub fn is_current(&self) -> Result<bool, Error> {
        self.log.is_current()
    }

    /// Fetches what is new, verifies it, and keeps it. Whoever calls holds the folder's lock.
    ///
    /// # Errors
    /// [`Error::Log`], [`Error::Api`] or [`Error::File`].
    pub async fn update(&mut self, api: &Api) -> Result<(), Error> {
        let Some(growth) = self.log.fetch(api).await? else {
            return Ok(());
        };
        let statements = self.fetch_statements(api, growth.lines().len()).await?;
        let mut verified = self.clone();
        verified.apply(growth.lines(), &statements)?;
        let lines: Result<Vec<String>, _> = statements.iter().map(serde_json::to_string).collect();
        let lines = lines.map_err(|_| Error::Internal("statements"))?;
        let size = self.log.size();
        verified
            .log
            .append(STATEMENTS, size, lines.iter().map(String::as_str))?;
        verified.log.commit(growth)?;
        *self = verified;
        Ok(())
    }

    async fn fetch_statements(&self, api: &Api, count: usize) -> Result<Vec<String>, Error> {
        let mut budget = Budget::new("statements", count as u64)?;
        let mut statements: Vec<String> = Vec::with_capacity(count);
        while statements.len() < count {
            let page = api
                .statements(self.log.size() + statements.len() as u64)
                .await?
                .statements;
            if page.is_empty() {
                return Err(ApiError::Answer("statements are missing").into());
            }
            budget.take(&page)?;
            statements.extend(page);
        }
        statements.truncate(count);
        Ok(statements)
    }

    /// Each statement's hash must be its leaf's, and it must follow the rules of the directory.
    fn apply(&mut self, leaves: &[String], statements: &[String]) -> Result<(), Error> {
        for (leaf, text) in leaves.iter().zip(statements) {
            let index = self.directory.size();
            let bad = |why: &dyn std::fmt::Display| self.log.bad_entry(index, why);
            let statement: SignedStatement = text.parse().map_err(|error| bad(&error))?;
            if statement.leaf() != *leaf || statement.to_string() != *text {
                return Err(bad(&"the statement is not the one in the log").into());
            }
            self.directory
                .apply(&statement)
                .map_err(|error| self.log.bad_entry(index, &error))?;
            // Limits are a registrar's to set; they open nothing, and `whoami` shows them.
            let is_limit = statement.statement().kind() == StatementType::Service;
            if statement.statement().label == Some(self.own_label) && !is_limit {
                self.own.push(Hash::from_bytes(statement.note().text_hash()));
            }
        }
        Ok(())
    }

    /// The verified directory.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Size of the directory log as seen.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.log.size()
    }

    /// Its head.
    #[must_use]
    pub fn head(&self) -> Hash {
        self.log.head()
    }

    /// Its head when it had `size` entries; none if this client has not seen that many.
    #[must_use]
    pub fn head_at(&self, size: u64) -> Option<Hash> {
        self.log.head_at(size)
    }

    /// Self-monitoring: everything said about the own label, but for limits, must be what this person signed.
    ///
    /// # Errors
    /// [`Error::UnexpectedStatement`].
    pub fn check_own(&self, account: &Account) -> Result<(), Error> {
        let is_known = |hash: &Hash| account.statements.contains(hash);
        if self.own.iter().all(is_known) {
            Ok(())
        } else {
            Err(Error::UnexpectedStatement)
        }
    }

    /// The person to whom one may seal at `now`.
    ///
    /// # Errors
    /// [`Error::UnknownRecipient`], [`Error::InvalidRecipient`], or [`Error::NoReceiver`] for a service account.
    pub fn recipient(&self, account: &Account, address: &Address, now: u64) -> Result<&Member, Error> {
        let label = account.label_of(address);
        if self.directory.member(&label).is_none() {
            return Err(Error::UnknownRecipient(address.clone()));
        }
        let valid = self.directory.recipient(&label, now);
        valid.ok_or_else(|| match self.directory.service(&label) {
            Some(limits) if !may_receive(limits, now) => Error::NoReceiver(address.clone()),
            _ => Error::InvalidRecipient(address.clone()),
        })
    }
}

fn may_receive(limits: &ServiceLimits, now: u64) -> bool {
    limits.scopes.contains(Scope::Receive) && limits.valid.contains(now)
}

/// Addresses that the gateway knows, as far as their labels prove them.
///
/// # Errors
/// [`Error::Api`].
pub async fn proven_addresses(api: &Api, account: &Account) -> Result<BTreeMap<Label, Address>, Error> {
    let served = api.addresses().await?.addresses;
    let is_proven = |label: &Label, address: &Address| account.label_of(address) == *label;
    let proven = served
        .into_iter()
        .filter(|known| is_proven(&known.label, &known.address));
    Ok(proven.map(|known| (known.label, known.address)).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::account::RootKey;
    use crate::env::Env;
    use crate::founding::{Founding, first_statements};

    fn founded() -> (Account, Vec<String>) {
        let env = Env::system();
        let root = RootKey::generate("Clinic", &env);
        let at = crate::account::tests::account().at;
        let Founding { account, statements } =
            first_statements(&root, at, "a@b.example".parse().unwrap(), &env).unwrap();
        (account, statements)
    }

    fn mirror(account: &Account) -> DirectoryMirror {
        let dir = tempfile::tempdir().unwrap();
        DirectoryMirror::load(&Home::new(dir.path()), account).unwrap()
    }

    /// The mirror of an account that has seen these statements.
    pub(crate) fn mirror_of(account: &Account, statements: &[String]) -> DirectoryMirror {
        let mut mirror = mirror(account);
        let leaves = leaves(statements);
        mirror.apply(&leaves, statements).unwrap();
        mirror.log.push(&leaves);
        mirror
    }

    fn leaves(statements: &[String]) -> Vec<String> {
        let leaf = |text: &String| text.parse::<SignedStatement>().unwrap().leaf();
        statements.iter().map(leaf).collect()
    }

    #[test]
    fn takes_the_first_statements_and_knows_them_as_own() {
        let (account, statements) = founded();
        let mut mirror = mirror(&account);
        mirror.apply(&leaves(&statements), &statements).unwrap();
        mirror.check_own(&account).unwrap();
        let now = Env::system().now();
        let member = mirror.recipient(&account, &account.address, now).unwrap();
        assert_eq!(member.identity, account.identity.public());
        let stranger = "x@b.example".parse().unwrap();
        let refused = mirror.recipient(&account, &stranger, now);
        assert!(matches!(refused, Err(Error::UnknownRecipient(_))));
    }

    #[test]
    fn a_statement_that_is_not_its_leaf_is_refused() {
        let (account, statements) = founded();
        let mut leaves = leaves(&statements);
        leaves.swap(0, 1);
        assert!(matches!(
            mirror(&account).apply(&leaves, &statements),
            Err(Error::Log(_))
        ));
    }

    #[test]
    fn another_organisation_is_refused() {
        let (account, _) = founded();
        let (_, others) = founded();
        assert!(mirror(&account).apply(&leaves(&others), &others).is_err());
    }

    #[test]
    fn unknown_statements_about_oneself_block() {
        let (mut account, statements) = founded();
        let mut mirror = mirror(&account);
        mirror.apply(&leaves(&statements), &statements).unwrap();
        account.statements.pop();
        assert!(matches!(mirror.check_own(&account), Err(Error::UnexpectedStatement)));
    }
}
