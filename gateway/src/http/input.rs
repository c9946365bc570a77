//! Reading bodies: with a limit, at a least rate, and JSON without unknown members.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use sealpost_proto::problem::ProblemKind;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

/// Length of the window in which the least rate must be kept.
const WINDOW: Duration = Duration::from_secs(10);

/// Least rate, in bytes per window: 8 KiB a second.
const LEAST: u64 = 10 * 8 * 1024;

/// A body that arrives; one that arrives too slowly ends with `timeout`.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Body,
    window_end: Instant,
    in_window: u64,
}

impl Incoming {
    pub(super) fn new(body: Body) -> Self {
        Self {
            body,
            window_end: Instant::now() + WINDOW,
            in_window: 0,
        }
    }

    /// The next bytes; none at the end.
    ///
    /// # Errors
    /// `timeout`; `bad_request` if the connection broke.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ProblemKind> {
        loop {
            let Ok(frame) = timeout_at(self.window_end, self.body.frame()).await else {
                self.next_window()?;
                continue;
            };
            let Some(frame) = frame else {
                return Ok(None);
            };
            let frame = frame.map_err(|_| ProblemKind::BadRequest)?;
            if let Ok(bytes) = frame.into_data() {
                self.in_window += bytes.len() as u64;
                return Ok(Some(bytes));
            }
        }
    }

    /// Time that the gateway spends on writing what it has is not the sender's.
    pub(super) fn forgive(&mut self, spent: Duration) {
        self.window_end += spent;
    }

    fn next_window(&mut self) -> Result<(), ProblemKind> {
        if self.in_window < LEAST {
            return Err(ProblemKind::Timeout);
        }
        self.in_window = 0;
        self.window_end = Instant::now() + WINDOW;
        Ok(())
    }

    /// The whole body, of at most `limit` bytes.
    ///
    /// # Errors
    /// As [`Incoming::next`], and `too_large`.
    pub(super) async fn collect(mut self, limit: usize) -> Result<Bytes, ProblemKind> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if whole.len() + bytes.len() > limit {
                return Err(ProblemKind::TooLarge);
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }
}

/// A JSON body; the types refuse unknown members.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ProblemKind> {
    serde_json::from_slice(body).map_err(|_| ProblemKind::BadRequest)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use std::convert::Infallible;

    use super::*;

    fn drip(pieces: usize, len: usize, pause: Duration) -> Body {
        Body::from_stream(stream::unfold(0, move |n| async move {
            if n == pieces {
                return None;
            }
            tokio::time::sleep(pause).await;
            Some((Ok::<_, Infallible>(vec![0_u8; len]), n + 1))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_cut_off() {
        let slow = Incoming::new(drip(100, 1000, Duration::from_secs(1)));
        assert_eq!(slow.collect(1 << 20).await, Err(ProblemKind::Timeout));
        let steady = Incoming::new(drip(30, 10_000, Duration::from_secs(1)));
        assert_eq!(steady.collect(1 << 20).await.map(|b| b.len()), Ok(300_000));
    }

    #[tokio::test]
    async fn a_body_has_a_limit() {
        let body = Incoming::new(Body::from(vec![0; 11]));
        assert_eq!(body.collect(10).await, Err(ProblemKind::TooLarge));
        let body = Incoming::new(Body::from(vec![0; 10]));
        assert_eq!(body.collect(10).await.map(|b| b.len()), Ok(10));
    }
}
