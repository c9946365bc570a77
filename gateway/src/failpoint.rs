//! Named points at which a test can have this process die, as by `kill -9` (docs/RELIABILITY.md, "Crash matrix").
//!
//! Only the feature `failpoints` compiles them in; nothing that ships has it, and with it nothing changes unless the variable
//! `SEALPOST_FAILPOINT` names a point: `seal-share-kept`, or `part-body:3` for the third time that it is reached. This is our own
//! and not the crate `fail`, because that one has no action that kills, and brings a second `rand` into the tree.

/// Dies here if the environment says so.
#[cfg(feature = "failpoints")]
pub(crate) fn reach(point: &'static str) {
    use std::sync::OnceLock;
    static ARMED: OnceLock<Option<armed::Armed>> = OnceLock::new();
    let armed = ARMED.get_or_init(|| armed::Armed::parse(&std::env::var(armed::VARIABLE).ok()?));
    if armed.as_ref().is_some_and(|armed| armed.is_due(point)) {
        armed::die();
    }
}

/// Nothing.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn reach(_: &'static str) {}

#[cfg(feature = "failpoints")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    pub(super) const VARIABLE: &str = "SEALPOST_FAILPOINT";

    /// The point at which to die, and how often it may still be passed.
    #[derive(Debug)]
    pub(super) struct Armed {
        point: String,
        passes: AtomicU64,
    }

    impl Armed {
        /// `name` or `name:n`.
        pub(super) fn parse(text: &str) -> Option<Self> {
            let (point, passes) = match text.split_once(':') {
                Some((point, passes)) => (point, passes.parse().ok()?),
                None => (text, 1),
            };
            (!point.is_empty() && passes > 0).then(|| Self {
                point: point.to_owned(),
                passes: AtomicU64::new(passes),
            })
        }

        /// Whether this is the time that was asked for.
        pub(super) fn is_due(&self, point: &str) -> bool {
            self.point == point && self.passes.fetch_sub(1, Ordering::SeqCst) == 1
        }
    }

    /// No destructor runs and no buffer is flushed.
    pub(super) fn die() -> ! {
        // The signal cannot be caught; should it not come, this ends the process all the same.
        let _ = kill_process(getpid(), Signal::KILL);
        std::process::abort()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn it_is_due_once_at_the_pass_that_was_asked_for() {
            let armed = Armed::parse("part-body:3").unwrap();
            let due: Vec<bool> = (0..5).map(|_| armed.is_due("part-body")).collect();
            assert_eq!(due, [false, false, true, false, false]);
            let armed = Armed::parse("seal-recorded").unwrap();
            assert!(!armed.is_due("part-body"), "another point");
            assert!(armed.is_due("seal-recorded") && !armed.is_due("seal-recorded"));
            for nonsense in ["", ":2", "part-body:0", "part-body:soon"] {
                assert!(Armed::parse(nonsense).is_none(), "{nonsense}");
            }
        }
    }
}
