//! Whether a connection has requests in flight, so that one that has none for long can be closed.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Response;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::watch;

/// Requests of one connection that are in flight. Clones count the same.
#[derive(Debug, Clone)]
pub(super) struct Activity(watch::Sender<usize>);

/// A request in flight: from its head to the last byte of its answer.
#[derive(Debug)]
pub(super) struct InFlight(watch::Sender<usize>);

impl Activity {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    /// Counts a request until what is returned is dropped.
    pub(super) fn begin(&self) -> InFlight {
        self.0.send_modify(|count| *count += 1);
        InFlight(self.0.clone())
    }

    /// Ready when there was no request in flight for `limit`.
    pub(super) async fn idle_for(&self, limit: Duration) {
        let mut count = self.0.subscribe();
        loop {
            let is_busy = *count.borrow_and_update() > 0;
            let change = count.changed();
            // An error says that nobody counts any more, which `self` rules out.
            if is_busy {
                drop(change.await);
            } else if tokio::time::timeout(limit, change).await.is_err() {
                return;
            }
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// An answer that keeps its request in flight until it is sent or given up.
pub(super) fn answering(response: Response<Body>, in_flight: InFlight) -> Response<Body> {
    response.map(|body| {
        Body::new(Answering {
            body,
            _in_flight: in_flight,
        })
    })
}

struct Answering {
    body: Body,
    _in_flight: InFlight,
}

impl HttpBody for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    async fn is_idle_within(activity: &Activity, time: Duration) -> bool {
        tokio::time::timeout(time, activity.idle_for(LIMIT)).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_after_its_last_answer() {
        let activity = Activity::new();
        assert!(!is_idle_within(&activity, Duration::from_secs(59)).await);
        assert!(is_idle_within(&activity, Duration::from_secs(61)).await);
        let answer = answering(Response::new(Body::from("answer")), activity.begin());
        let other = activity.begin();
        assert!(!is_idle_within(&activity, Duration::from_secs(600)).await);
        drop(other);
        assert!(!is_idle_within(&activity, Duration::from_secs(600)).await);
        let read = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read, "answer");
        assert!(is_idle_within(&activity, Duration::from_secs(61)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn short_requests_in_between_begin_the_wait_anew() {
        let activity = Activity::new();
        let busy = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                drop(activity.begin());
            }
        };
        let idle = async {
            let begun = tokio::time::Instant::now();
            activity.idle_for(LIMIT).await;
            begun.elapsed()
        };
        let ((), waited) = tokio::join!(busy, idle);
        assert!(waited >= Duration::from_secs(210), "{waited:?}");
    }
}
