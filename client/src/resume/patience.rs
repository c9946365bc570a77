//! Waiting for a gateway that went away in the middle of a transfer: for about a minute, with growing pauses.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::ApiError;
use crate::progress::Progress;

/// How long a gateway may be away before an operation gives up.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Asks until there is an answer, a definite refusal, or the gateway has been away for a minute; says so meanwhile.
pub(crate) async fn persist<T, F>(progress: &dyn Progress, mut ask: impl FnMut() -> F) -> Result<T, ApiError>
where
    F: Future<Output = Result<T, ApiError>>,
{
    let (mut since, mut pause) = (None, FIRST_PAUSE);
    loop {
        let asked = Instant::now();
        let error = match ask().await {
            Err(error) if error.is_transient() => error,
            other => {
                if since.is_some() {
                    progress.waiting(false);
                }
                return other;
            }
        };
        let begun: Instant = *since.get_or_insert(asked);
        if begun.elapsed() + pause > PATIENCE {
            return Err(error);
        }
        progress.waiting(true);
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::progress::Silent;

    fn away() -> ApiError {
        ApiError::Unreachable("away".into())
    }

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<bool>>);

    impl Progress for Told {
        fn start(&self, _: u64) {}
        fn advance(&self, _: u64) {}
        fn finish(&self) {}
        fn waiting(&self, is_waiting: bool) {
            self.0.lock().unwrap().push(is_waiting);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gateway_that_comes_back_is_waited_for() {
        let mut asked = 0;
        let told = Told::default();
        let answer = persist(&told, || {
            asked += 1;
            std::future::ready(if asked < 4 { Err(away()) } else { Ok(asked) })
        });
        assert_eq!(answer.await.unwrap(), 4);
        assert_eq!(*told.0.lock().unwrap(), [true, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_stays_away_is_given_up_after_a_minute() {
        let start = Instant::now();
        let answer: Result<(), _> = persist(&Silent, || std::future::ready(Err(away()))).await;
        assert!(matches!(answer, Err(ApiError::Unreachable(_))));
        let waited = start.elapsed();
        assert!(waited > PATIENCE / 2 && waited <= PATIENCE, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_waited_for() {
        let start = Instant::now();
        let answer: Result<(), _> = persist(&Silent, || std::future::ready(Err(ApiError::WrongKey))).await;
        assert!(matches!(answer, Err(ApiError::WrongKey)));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
