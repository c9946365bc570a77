//! A progress bar on standard error, where that is a terminal.

use std::io::IsTerminal as _;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sealpost_client::progress::{Progress, Silent};

#[derive(Debug)]
struct Bar {
    bar: ProgressBar,
    doing: &'static str,
}

/// A bar that says `doing`, or nothing when nobody could see it or `--json` was given.
pub(crate) fn bar(doing: &'static str, json: bool) -> Arc<dyn Progress> {
    if json || !std::io::stderr().is_terminal() {
        return Arc::new(Silent);
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg} {bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(doing);
    Arc::new(Bar { bar, doing })
}

impl Progress for Bar {
    fn start(&self, total: u64) {
        self.bar.set_length(total);
    }

    fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn waiting(&self, is_waiting: bool) {
        self.bar.set_message(if is_waiting {
            "the gateway is away, waiting"
        } else {
            self.doing
        });
    }
}
