//! Statements and the directory log.

use sealpost_proto::api::{
    AddressesResponse, DirectoryHead, KnownAddress, MAX_PAGE, StatementsRequest, StatementsResponse,
};
use sealpost_proto::id::Hash;
use sealpost_proto::key::SignedStatement;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;

use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::{Key, LoggedStatement, Organisation, object, statements};

impl Service {
    /// Takes statements, all or none.
    ///
    /// # Errors
    /// `forbidden`, `statement_refused`.
    pub async fn append(&self, grant: &Grant, request: StatementsRequest) -> Result<DirectoryHead, Error> {
        grant.for_action(Action::Append)?;
        let caller = grant.member()?.label;
        let by = grant.requester().clone();
        let parsed = statements::parse(&request.statements)?;
        let first = parsed.first().map(SignedStatement::statement);
        let refused = first.and_then(|statement| {
            let event: EventType = statements::event_of(statement.kind())?;
            let object = object::person(&statement.label?);
            let by = by.clone();
            Some(Refused { event, object, by })
        });
        let organisation = self.ports.views.organisation().await?;
        let invite = statements::confirms(&organisation, &parsed);
        let keys = [Some(Key::Organisation), invite.map(Key::Invite)];
        let keys = keys.into_iter().flatten().collect();
        let decide = move |loaded: &_, at| statements::append(loaded, at, &parsed, caller, invite, &by);
        let (size, _) = self.record(grant.keyed(), keys, refused, decide).await?;
        Ok(DirectoryHead { size })
    }

    /// The directory log's checkpoint.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn directory_checkpoint(&self, grant: &Grant) -> Result<String, Error> {
        grant.for_action(Action::ReadDirectory)?;
        Ok(self.ports.checkpoints.directory().await?)
    }

    /// Leaves of the directory log from index `from`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn directory_leaves(&self, grant: &Grant, from: u64) -> Result<Vec<String>, Error> {
        grant.for_action(Action::ReadDirectory)?;
        let organisation = self.ports.views.organisation().await?;
        Ok(page(&organisation, from).map(|s| s.leaf.clone()).collect())
    }

    /// Statements behind the leaves from index `from`.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn statements(&self, grant: &Grant, from: u64) -> Result<StatementsResponse, Error> {
        grant.for_action(Action::ReadDirectory)?;
        let organisation = self.ports.views.organisation().await?;
        Ok(StatementsResponse {
            statements: page(&organisation, from).map(|s| s.text.clone()).collect(),
        })
    }

    /// One statement.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn statement(&self, grant: &Grant, hash: &Hash) -> Result<String, Error> {
        grant.for_action(Action::ReadDirectory)?;
        let organisation = self.ports.views.organisation().await?;
        let statement = organisation.statement(hash).ok_or(ProblemKind::NotFound)?;
        Ok(statement.text.clone())
    }

    /// Addresses of the people in the directory.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn addresses(&self, grant: &Grant) -> Result<AddressesResponse, Error> {
        grant.for_action(Action::ReadDirectory)?;
        let organisation = self.ports.views.organisation().await?;
        let known = |(label, address): (&_, &sealpost_proto::id::Address)| KnownAddress {
            label: *label,
            address: address.clone(),
        };
        Ok(AddressesResponse {
            addresses: organisation.addresses.iter().map(known).collect(),
        })
    }
}

fn page(organisation: &Organisation, from: u64) -> impl Iterator<Item = &LoggedStatement> {
    let from = usize::try_from(from).unwrap_or(usize::MAX);
    organisation
        .statements
        .iter()
        .skip(from)
        .take(MAX_PAGE)
        .map(AsRef::as_ref)
}
