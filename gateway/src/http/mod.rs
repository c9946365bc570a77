//! EDGE: routes, middleware, and handlers that translate and never decide.
//!
//! A handler admits the request, calls one use case and wraps its answer. What went wrong becomes a problem document in
//! `problem.rs` alone.

mod admit;
mod audit;
mod directory;
mod enrolment;
mod feed;
mod health;
mod input;
mod limits;
mod links;
mod middleware;
mod object;
mod openings;
mod org;
mod page;
mod problem;
mod router;
mod seal;
mod server;
#[cfg(test)]
mod tests;
mod transfers;
mod uploads;

pub use admit::{Api, BodyRoom};
pub use health::{
    ClockHealth, DiskHealth, HealthChecks, JournalHealth, LedgerHealth, Report, SweepHealth, tell_health,
};
pub use limits::{AddressLimits, AddressRates};
pub use middleware::{Limits, NewId};
pub use router::router;
pub use server::{Server, ServerLimits, TrustedProxies};
