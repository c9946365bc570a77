//! Lists of transfers, page by page, and finding one by the beginning of its id.

use sealpost_proto::api::{TransferSummary, TransfersResponse};

use crate::api::{Api, ApiError};
use crate::error::Error;

/// Few enough that a page of transfers to many recipients fits into one answer.
const PAGE: usize = 50;
/// Most pages of one list.
const MAX_PAGES: usize = 2_000;
/// Fewest digits by which a transfer may be named.
const MIN_PREFIX: usize = 4;

/// Which list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// What the caller was sent.
    In,
    /// What the caller sent.
    Sent,
}

impl List {
    async fn page(self, api: &Api, before: Option<u64>) -> Result<TransfersResponse, ApiError> {
        match self {
            Self::In => api.inbox(before, PAGE).await,
            Self::Sent => api.sent(before, PAGE).await,
        }
    }

    /// The newest transfers, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Api`].
    pub async fn list(self, api: &Api, limit: usize) -> Result<Vec<TransferSummary>, Error> {
        let mut all: Vec<TransferSummary> = Vec::new();
        let mut before = None;
        for _ in 0..MAX_PAGES {
            let page = self.page(api, before).await?;
            if page.transfers.len() > PAGE {
                return Err(ApiError::Answer("a page is longer than was asked for").into());
            }
            all.extend(page.transfers);
            let Some(next) = page.next.filter(|_| all.len() < limit) else {
                all.truncate(limit);
                return Ok(all);
            };
            if before.is_some_and(|before| next >= before) {
                return Err(ApiError::Answer("its pages do not come to an end").into());
            }
            before = Some(next);
        }
        Err(ApiError::TooMuch("transfers").into())
    }

    /// The one transfer whose id begins with `prefix`.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is none, [`Error::Input`] if there are several or the prefix is none.
    pub async fn find(self, api: &Api, prefix: &str) -> Result<TransferSummary, Error> {
        check_prefix(prefix)?;
        if let Ok(id) = prefix.parse() {
            let found = api.transfer(&id).await?;
            return if found.transfer == id {
                Ok(found)
            } else {
                Err(ApiError::Answer("it is about another transfer").into())
            };
        }
        let all = self.list(api, usize::MAX).await?;
        let mut matching = all.into_iter().filter(|t| t.transfer.to_string().starts_with(prefix));
        let found = matching.next().ok_or_else(|| {
            Error::NotFound(format!(
                "There is no transfer whose id begins with {prefix}; `sealpost inbox` and `sealpost status` list yours."
            ))
        })?;
        if matching.next().is_some() {
            return Err(Error::Input(format!(
                "Several transfers have ids that begin with {prefix}; give more digits."
            )));
        }
        Ok(found)
    }
}

/// The beginning of an id that tells transfers of one person apart.
#[must_use]
pub fn short_id(transfer: &sealpost_proto::id::TransferId) -> String {
    transfer.to_string().chars().take(8).collect()
}

fn check_prefix(prefix: &str) -> Result<(), Error> {
    let is_hex = prefix.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if is_hex && (MIN_PREFIX..=32).contains(&prefix.len()) {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{prefix:?} is not the id of a transfer or its beginning: 4 to 32 of the digits 0-9 and a-f."
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_four_or_more_hex_digits() {
        for good in ["0123", "abcdef01", &"0".repeat(32)] {
            assert!(check_prefix(good).is_ok(), "{good}");
        }
        for bad in ["", "abc", "ABCD", "wxyz", "../..", &"0".repeat(33)] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }
}
