mod enrolment;
mod openings;
mod sealing;
mod shredding;
