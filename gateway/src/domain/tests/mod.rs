//! The rules of aggregates, by subject.

mod enrolment;
mod links;
mod openings;
mod sealing;
mod services;
mod shredding;
mod spec;
