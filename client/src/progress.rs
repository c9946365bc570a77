//! How far a long operation has come, told to whoever shows it.

/// Takes news of progress; called from any thread.
pub trait Progress: std::fmt::Debug + Send + Sync {
    /// The bytes to be moved in all.
    fn start(&self, total: u64);
    /// So many more are done.
    fn advance(&self, bytes: u64);
    /// All is done, or nothing more will come.
    fn finish(&self);
    /// The gateway is away and waited for, or is back.
    fn waiting(&self, is_waiting: bool) {
        let _ = is_waiting;
    }
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _: u64) {}
    fn advance(&self, _: u64) {}
    fn finish(&self) {}
}
