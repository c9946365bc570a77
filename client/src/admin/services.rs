//! Service accounts: a registrar says what a program may do, from where and until when, before it has keys and again whenever
//! that changes. The gateway keeps these limits; clients see them in the directory and send to no account that may not receive.

use sealpost_proto::id::Address;
use sealpost_proto::key::service::{Networks, Scopes};
use sealpost_proto::key::{Body, ServiceLimits, SignedStatement, Statement, StatementType, Validity};

use crate::api::ApiError;
use crate::error::Error;
use crate::founding::EARLIER;
use crate::session::Session;

/// Longest time that an account is given at once, in seconds.
pub const MAX_VALID: u64 = 365 * 86_400;

/// What is to change of an account's limits; what is not named stays.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What it may do.
    pub scopes: Option<Scopes>,
    /// From where.
    pub networks: Option<Networks>,
    /// For how many seconds from now, at most [`MAX_VALID`].
    pub valid: Option<u64>,
}

impl Change {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.scopes.is_none() && self.networks.is_none() && self.valid.is_none()
    }

    /// The limits of a new account from `now` (unix seconds) on.
    ///
    /// # Errors
    /// [`Error::Input`] if something is missing or the time is too long.
    pub fn into_limits(self, now: u64) -> Result<ServiceLimits, Error> {
        let missing = |what: &str| Error::Input(format!("A service account needs {what}; name it."));
        Ok(ServiceLimits {
            scopes: self.scopes.ok_or_else(|| missing("a --scope"))?,
            networks: self
                .networks
                .ok_or_else(|| missing("a --network (or `--network any`)"))?,
            valid: from(now, self.valid.ok_or_else(|| missing("a time, --valid"))?)?,
        })
    }

    /// The limits `before` with the change, from `now` (unix seconds) on.
    ///
    /// # Errors
    /// [`Error::Input`] if the account's time is over and it gets no new one, or too long a one.
    pub fn applied_to(self, before: &ServiceLimits, now: u64) -> Result<ServiceLimits, Error> {
        let valid = match self.valid {
            Some(seconds) => from(now, seconds)?,
            None => until(now, before.valid.not_after)?,
        };
        Ok(ServiceLimits {
            scopes: self.scopes.unwrap_or_else(|| before.scopes.clone()),
            networks: self.networks.unwrap_or_else(|| before.networks.clone()),
            valid,
        })
    }
}

fn from(now: u64, seconds: u64) -> Result<Validity, Error> {
    if seconds > MAX_VALID {
        return Err(Error::Input(
            "A service account has at most 365 days at once; choose a shorter --valid, and give it a new one in time."
                .to_owned(),
        ));
    }
    until(now, now + seconds)
}

fn until(now: u64, not_after: u64) -> Result<Validity, Error> {
    if not_after < now {
        return Err(Error::Input(
            "The time of this service account is over; give it a new one with --valid.".to_owned(),
        ));
    }
    Ok(Validity {
        not_before: now.saturating_sub(EARLIER),
        not_after,
    })
}

/// The limits of an account as the directory has them.
///
/// # Errors
/// [`Error::NotAService`] for a person, or for nobody.
pub fn limits<'a>(session: &'a Session, address: &Address) -> Result<&'a ServiceLimits, Error> {
    let limits = session.mirror.directory().service(&session.account.label_of(address));
    limits.ok_or_else(|| Error::NotAService(address.clone()))
}

/// Gives an address its limits before it is invited.
///
/// # Errors
/// [`Error::HasKeys`] for a person, who would not become one again; others as [`set`].
pub async fn announce(session: &mut Session, address: &Address, limits: ServiceLimits) -> Result<(), Error> {
    let label = session.account.label_of(address);
    if session.mirror.directory().member(&label).is_some() {
        return Err(Error::HasKeys(address.clone()));
    }
    set(session, address, limits).await
}

/// Signs limits, hands them to the directory, and looks whether they are there: a gateway that kept them back would leave the
/// account unlimited.
///
/// # Errors
/// [`Error::NotRegistrar`], [`Error::Api`], or what brings the directory up to date.
pub async fn set(session: &mut Session, address: &Address, limits: ServiceLimits) -> Result<(), Error> {
    let label = session.account.label_of(address);
    let signed = statement(session, address, limits.clone())?;
    session.api.post_statements(vec![signed.to_string()]).await?;
    session.update().await?;
    if session.mirror.directory().service(&label) == Some(&limits) {
        Ok(())
    } else {
        Err(ApiError::Answer("the limits are not in its directory").into())
    }
}

fn statement(session: &Session, address: &Address, limits: ServiceLimits) -> Result<SignedStatement, Error> {
    let account = &session.account;
    let registrar = account.registrar.as_ref().ok_or(Error::NotRegistrar)?;
    let label = account.label_of(address);
    let last = session.mirror.directory().last(Some(label), StatementType::Service);
    let statement = Statement {
        org: account.org,
        label: Some(label),
        seq: last.map_or(1, |(seq, _)| seq + 1),
        prev: last.map(|(_, hash)| hash),
        body: Body::Service(limits),
    };
    let unfit = |_| Error::Internal("a statement of limits");
    let mut note = statement.note().map_err(unfit)?;
    note.sign_as("rk", registrar);
    SignedStatement::try_from(note).map_err(unfit)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn before() -> ServiceLimits {
        ServiceLimits {
            scopes: "receive send".parse().unwrap(),
            networks: "10.0.0.0/8".parse().unwrap(),
            valid: Validity {
                not_before: NOW - 100,
                not_after: NOW + 100,
            },
        }
    }

    #[test]
    fn what_is_not_named_stays() {
        let change = Change {
            scopes: Some("receive".parse().unwrap()),
            ..Change::default()
        };
        let after = change.applied_to(&before(), NOW).unwrap();
        assert_eq!(after.scopes.to_string(), "receive");
        assert_eq!(after.networks, before().networks);
        assert_eq!(after.valid.not_after, NOW + 100);
        let longer = Change {
            valid: Some(86_400),
            ..Change::default()
        };
        let after = longer.applied_to(&before(), NOW + 200).unwrap();
        assert_eq!(after.valid.not_after, NOW + 200 + 86_400);
        assert_eq!(after.scopes, before().scopes);
    }

    #[test]
    fn an_account_whose_time_is_over_needs_a_new_one_and_none_is_longer_than_a_year() {
        let over = Change::default().applied_to(&before(), NOW + 101);
        assert!(matches!(over, Err(Error::Input(told)) if told.contains("--valid")));
        let long = Change {
            valid: Some(MAX_VALID + 1),
            ..Change::default()
        };
        assert!(matches!(long.applied_to(&before(), NOW), Err(Error::Input(_))));
        let year = Change {
            valid: Some(MAX_VALID),
            ..Change::default()
        };
        let valid = year.applied_to(&before(), NOW).unwrap().valid;
        assert!(
            valid.not_after - valid.not_before <= 366 * 86_400,
            "what a gateway takes"
        );
    }

    #[test]
    fn a_new_account_has_all_limits() {
        let whole = Change {
            scopes: Some("send".parse().unwrap()),
            networks: Some(Networks::Any),
            valid: Some(60),
        };
        assert!(whole.clone().into_limits(NOW).is_ok());
        for lacking in [
            Change {
                scopes: None,
                ..whole.clone()
            },
            Change {
                networks: None,
                ..whole.clone()
            },
            Change { valid: None, ..whole },
        ] {
            assert!(matches!(lacking.into_limits(NOW), Err(Error::Input(_))));
        }
    }
}
