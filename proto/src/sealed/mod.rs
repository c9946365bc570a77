//! The sealed transfer.
