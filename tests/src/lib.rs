//! What the end-to-end tests and the demo share: they drive the real binaries from outside, as a person would.
//!
//! Nothing here links a room of the product, so that it cannot help itself to what a person does not have; [`faults`] alone
//! does, because it looks at thousands of gateways, and is built only where it is asked for.

pub mod binaries;
pub mod disk;
#[cfg(feature = "faults")]
pub mod faults;
pub mod gateway;
pub mod guest;
pub mod nights;
pub mod organisation;
pub mod person;
pub mod proxy;
pub mod results;
pub mod samples;
pub mod search;
