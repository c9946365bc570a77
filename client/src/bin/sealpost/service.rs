//! What the service manager is told of a command that runs as a service: that it is ready, how it is, and that it lives.
//!
//! Under no service manager, and where there is none, nothing happens.

#[cfg(target_os = "linux")]
pub(crate) use linux::{Watchdog, ready, status};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Watchdog, ready, status};

#[cfg(target_os = "linux")]
mod linux {
    use sd_notify::NotifyState;
    use tokio::task::JoinHandle;

    /// Tells that the service is ready.
    pub(crate) fn ready() {
        tell(&NotifyState::Ready);
    }

    /// Tells how it is, in a line.
    pub(crate) fn status(line: &str) {
        tell(&NotifyState::Status(line));
    }

    fn tell(state: &NotifyState<'_>) {
        // A manager that does not listen is no reason to stop.
        let _ = sd_notify::notify(std::slice::from_ref(state));
    }

    /// Tells twice in each interval of the manager's watchdog that the process lives, until it is dropped.
    #[derive(Debug)]
    pub(crate) struct Watchdog(Option<JoinHandle<()>>);

    impl Watchdog {
        pub(crate) fn start() -> Self {
            let task = |interval: std::time::Duration| async move {
                let mut tick = tokio::time::interval(interval / 2);
                loop {
                    tick.tick().await;
                    tell(&NotifyState::Watchdog);
                }
            };
            Self(sd_notify::watchdog_enabled().map(|interval| tokio::spawn(task(interval))))
        }
    }

    impl Drop for Watchdog {
        fn drop(&mut self) {
            if let Some(task) = &self.0 {
                task.abort();
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// There is nobody to tell.
    pub(crate) fn ready() {}

    /// There is nobody to tell.
    pub(crate) fn status(_: &str) {}

    /// There is nobody who waits.
    #[derive(Debug)]
    pub(crate) struct Watchdog;

    impl Watchdog {
        pub(crate) fn start() -> Self {
            Self
        }
    }
}
