//! Clients that are started, and stopped at a moment of the test's choice.

use std::process::Child;

/// Waits for a moment that must come before the client's end.
pub(crate) fn wait_until(child: &mut Child, is_time: impl Fn() -> bool) {
    while !is_time() {
        let ended = child.try_wait().expect("a process");
        assert!(ended.is_none(), "it ended before its time: {ended:?}");
        std::thread::yield_now();
    }
}

/// Kills it, by a signal that it cannot see coming, as soon as `is_time`, which must come before its end.
pub(crate) fn kill_when(mut child: Child, is_time: impl Fn() -> bool) {
    wait_until(&mut child, is_time);
    child.kill().expect("a process that runs");
    child.wait().expect("its end");
}
