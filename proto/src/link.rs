//! Codes and links for people without an account.
