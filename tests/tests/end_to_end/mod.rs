//! The product as people use it: the real gateway, the real `sealpost`, one world for each test.

mod crashing;
mod enrolment;
mod exits;
mod expiry;
#[cfg(feature = "faults")]
mod faults;
mod feed;
mod going_wrong;
mod health;
mod housekeeping;
mod interrupting;
mod life;
mod links;
mod pulling;
mod pulling_replies;
mod readme;
mod receiving;
mod restoring;
mod resuming;
mod revoking;
mod scripting;
mod secrecy;
mod sending;
mod services;
mod strangers;
mod tampering;
mod wary;
mod wording;
