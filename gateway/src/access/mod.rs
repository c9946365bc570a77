//! WHO and MAY: a signed request becomes a [`Grant`], or a refusal.
//!
//! A grant can be made here alone, after the signature was verified and the policy asked; every use case takes one, so nothing
//! is done for somebody who was not checked. Nothing here knows what a route does, only which [`Action`] it is.

mod error;
mod gatekeeper;
mod grant;
mod head;
mod in_flight;
mod nonces;
mod peer;
mod policy;
pub mod rates;
mod standing;
#[cfg(test)]
mod tests;

pub use error::AccessError;
pub use gatekeeper::{Admitted, Gatekeeper, Settings};
pub use grant::Grant;
pub use head::Head;
pub use peer::Peer;
pub use policy::{Action, Role};
