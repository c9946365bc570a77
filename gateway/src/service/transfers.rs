//! Transfers as their parties see them.

use sealpost_proto::api::{MAX_PAGE, TransferSummary, TransfersResponse};
use sealpost_proto::id::{Label, TransferId};
use sealpost_proto::problem::ProblemKind;

use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::Transfer;
use crate::store::views::Page;

/// Items on a page when the caller does not say.
const DEFAULT_PAGE: usize = 100;

impl Service {
    /// Sealed transfers to the caller, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn inbox(
        &self,
        grant: &Grant,
        before: Option<u64>,
        limit: Option<usize>,
    ) -> Result<TransfersResponse, Error> {
        grant.for_action(Action::ReadTransfers)?;
        let label = grant.member()?.label;
        let limit = page_len(limit);
        let page = self.ports.views.inbox(&label, before, limit).await?;
        Ok(self.answer(&page, &label, limit))
    }

    /// Sealed transfers to the caller behind the cursor `after`, oldest first, each with its own cursor.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn inbox_after(
        &self,
        grant: &Grant,
        after: u64,
        limit: Option<usize>,
    ) -> Result<TransfersResponse, Error> {
        grant.for_action(Action::ReadTransfers)?;
        let label = grant.member()?.label;
        let limit = page_len(limit);
        let log = self.log().await?;
        let places = self.ports.views.inbox_after(&label, log.position(after), limit).await?;
        let mut transfers = Vec::with_capacity(places.len());
        for (position, id) in &places {
            let transfer = self.ports.views.transfer(id).await?;
            let summary = transfer.and_then(|transfer| self.summary(&transfer, Some(&label)));
            transfers.extend(summary.map(|summary| TransferSummary {
                position: Some(log.cursor(*position)),
                ..summary
            }));
        }
        let is_full = places.len() == limit;
        let last = places.last().map(|(position, _)| log.cursor(*position));
        Ok(TransfersResponse {
            transfers,
            next: last.filter(|_| is_full),
        })
    }

    /// Sealed transfers from the caller, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn sent(
        &self,
        grant: &Grant,
        before: Option<u64>,
        limit: Option<usize>,
    ) -> Result<TransfersResponse, Error> {
        grant.for_action(Action::ReadTransfers)?;
        let label = grant.member()?.label;
        let limit = page_len(limit);
        let page = self.ports.views.sent(&label, before, limit).await?;
        Ok(self.answer(&page, &label, limit))
    }

    /// One sealed transfer, for its parties.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn transfer(&self, grant: &Grant, id: &TransferId) -> Result<TransferSummary, Error> {
        grant.for_action(Action::ReadTransfers)?;
        let label = grant.member()?.label;
        let transfer = self.ports.views.transfer(id).await?.filter(|t| t.is_party(&label));
        let summary = transfer.and_then(|t| self.summary(&t, Some(&label)));
        summary.ok_or_else(|| ProblemKind::NotFound.into())
    }

    fn answer(&self, page: &Page, viewer: &Label, limit: usize) -> TransfersResponse {
        let is_full = page.len() == limit;
        TransfersResponse {
            transfers: page.iter().filter_map(|(_, t)| self.summary(t, Some(viewer))).collect(),
            next: page.last().map(|(position, _)| *position).filter(|_| is_full),
        }
    }

    /// A sealed transfer as `viewer` sees it; a visitor sees nobody whom it is for.
    pub(super) fn summary(&self, transfer: &Transfer, viewer: Option<&Label>) -> Option<TransferSummary> {
        let sealed = transfer.sealed.as_ref()?;
        Some(TransferSummary {
            transfer: transfer.id,
            header: sealed.header.clone(),
            seal: sealed.seal.clone(),
            receipt: sealed.receipt.clone(),
            public_label: sealed.public_label,
            state: transfer.state(self.now()),
            openings: sealed.openings,
            recipients: viewer.map_or_else(Vec::new, |viewer| transfer.recipient_states(viewer)),
            position: None,
            links: viewer.map_or_else(Vec::new, |viewer| transfer.link_summaries(viewer)),
        })
    }
}

fn page_len(limit: Option<usize>) -> usize {
    limit.unwrap_or(DEFAULT_PAGE).clamp(1, MAX_PAGE)
}
