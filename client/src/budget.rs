//! How much a gateway may make the client collect, page by page: a hostile one must not fill memory or keep a command busy without
//! end.

use crate::api::ApiError;

/// Most entries that are fetched in one run.
const MAX_ENTRIES: u64 = 2_000_000;
/// Most bytes of all of them.
const MAX_BYTES: u64 = 1 << 30;
/// An honest page holds a thousand entries, or all that there are; shorter ones are borne down to this many on average.
const MIN_PER_PAGE: u64 = 100;
/// Pages beyond that.
const SPARE_PAGES: u64 = 16;

/// What one run may still collect.
#[derive(Debug)]
pub(crate) struct Budget {
    what: &'static str,
    pages: u64,
    bytes: u64,
}

impl Budget {
    /// For `entries` of `what`.
    pub(crate) fn new(what: &'static str, entries: u64) -> Result<Self, ApiError> {
        if entries > MAX_ENTRIES {
            return Err(ApiError::TooMuch(what));
        }
        Ok(Self {
            what,
            pages: entries / MIN_PER_PAGE + SPARE_PAGES,
            bytes: MAX_BYTES,
        })
    }

    /// Takes one page.
    pub(crate) fn take(&mut self, page: &[String]) -> Result<(), ApiError> {
        let len = page.iter().map(|entry| entry.len() as u64).sum();
        let left = (self.pages.checked_sub(1), self.bytes.checked_sub(len));
        let (Some(pages), Some(bytes)) = left else {
            return Err(ApiError::TooMuch(self.what));
        };
        (self.pages, self.bytes) = (pages, bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_pages_and_bytes_are_limited() {
        let too_much = |result: Result<(), ApiError>| matches!(result, Err(ApiError::TooMuch("entries")));
        assert!(Budget::new("entries", MAX_ENTRIES).is_ok());
        assert!(too_much(Budget::new("entries", MAX_ENTRIES + 1).map(drop)));
        let page = ["x".repeat(10)];
        let mut budget = Budget::new("entries", 1_000).unwrap();
        for number in 0..1_000 / MIN_PER_PAGE + SPARE_PAGES {
            assert!(budget.take(&page).is_ok(), "page {number}");
        }
        assert!(too_much(budget.take(&page)), "one page more");
        let mut budget = Budget {
            bytes: 25,
            ..Budget::new("entries", 1_000).unwrap()
        };
        assert!(budget.take(&page).is_ok() && budget.take(&page).is_ok());
        assert!(too_much(budget.take(&page)), "one byte more");
    }
}
