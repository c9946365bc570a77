//! Watching: on the live feed with its cursor, or by asking now and then where there is none, for ever.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::Puller;
use super::event::Event;
use super::jobs::Which;
use crate::api::ApiError;
use crate::error::Error;
use crate::feed::{Feed, FeedEvent};
use crate::receive;

/// Pauses before a gateway that is away is asked again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How often it is looked whether something is due on this side.
const TICK: Duration = Duration::from_secs(2);
/// How long it is asked now and then before the feed is tried again.
const WITHOUT_FEED: Duration = Duration::from_secs(15 * 60);
/// So many feeds that end without a word are one that does not work.
const MUTE_FEEDS: u32 = 2;
/// Even on a feed the inbox is asked for now and then.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// Whether the gateway, or the way to it, is gone for the moment.
pub(super) fn is_away(error: &Error) -> bool {
    match error {
        Error::Api(error) | Error::Unfinished(error) | Error::NotSent(error) | Error::PerhapsSent(error) => {
            error.is_transient()
        }
        _ => false,
    }
}

/// Whether nothing may go on: whoever answers cannot be trusted, or the keys cannot be used.
pub(super) fn is_fatal(error: &Error) -> bool {
    match error {
        Error::Api(error) | Error::Unfinished(error) | Error::NotSent(error) | Error::PerhapsSent(error) => {
            error.is_wrong_gateway()
        }
        Error::Log(_) | Error::UnexpectedStatement | Error::KeyFile(_) | Error::NoKeyFile(_) => true,
        _ => false,
    }
}

impl Puller {
    /// Pulls for ever.
    ///
    /// # Errors
    /// Only what must not be waited for: a gateway or keys that cannot be trusted.
    pub async fn watch(&mut self) -> Result<(), Error> {
        let mut pause = FIRST_PAUSE;
        let mut mute_feeds = 0;
        let mut which = Which::All;
        loop {
            let begun = Instant::now();
            let round = self.round(&mut mute_feeds, which).await;
            which = Which::Due;
            // A connection that lasted was a good one: whatever ended it is a new trouble.
            if begun.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            match round {
                Ok(()) => {}
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) if is_away(&error) => self.presence.away(),
                Err(error) => {
                    self.tell(&Event::trouble(&error));
                    pause = LONGEST_PAUSE;
                }
            }
            self.wait(pause).await?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits about so long, and does meanwhile what needs no gateway.
    async fn wait(&mut self, pause: Duration) -> Result<(), Error> {
        let end = Instant::now() + jittered(pause, u64::from_le_bytes(self.session.env.draw()));
        let mut is_told = false;
        while Instant::now() < end {
            match self.own_chores().await {
                Ok(()) => {}
                Err(error) if is_fatal(&error) => return Err(error),
                Err(error) if is_away(&error) || is_told => {}
                Err(error) => {
                    is_told = true;
                    self.tell(&Event::trouble(&error));
                }
            }
            tokio::time::sleep_until(end.min(Instant::now() + TICK)).await;
        }
        Ok(())
    }

    async fn own_chores(&mut self) -> Result<(), Error> {
        self.check_silence().await?;
        self.run_jobs(Which::Due).await
    }

    /// Connects, catches up, and follows until the connection ends.
    async fn round(&mut self, mute_feeds: &mut u32, which: Which) -> Result<(), Error> {
        self.finish_placing()?;
        if which == Which::All {
            self.run_jobs(which).await?;
        }
        self.refresh().await?;
        self.presence.back();
        let _ = receive::deliver_receipts(&self.session).await;
        self.catch_up().await?;
        self.chores().await?;
        if *mute_feeds < MUTE_FEEDS {
            match Feed::open(&self.session.api, Some(self.cursor.seen())).await {
                Ok(feed) => return self.follow(feed, mute_feeds).await,
                Err(error) if has_no_feed(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        *mute_feeds = 0;
        self.tell(&Event::watching(false));
        self.ask_now_and_then().await
    }

    /// Follows a feed until it ends.
    async fn follow(&mut self, feed: Feed, mute_feeds: &mut u32) -> Result<(), Error> {
        let mut reader = Reader::start(feed);
        let mut tick = tokio::time::interval(TICK);
        let mut look = Instant::now() + LOOK;
        // Counts as mute until its first event.
        *mute_feeds += 1;
        loop {
            tokio::select! {
                event = reader.events.recv() => match event {
                    Some(Ok(event)) => {
                        if *mute_feeds > 0 {
                            *mute_feeds = 0;
                            self.tell(&Event::watching(true));
                        }
                        self.hear(event).await?;
                    }
                    // It ends now and then; the round begins anew.
                    Some(Err(error)) if error.is_transient() => return Ok(()),
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                },
                _ = tick.tick() => {
                    self.chores().await?;
                    if look <= Instant::now() {
                        self.refresh().await?;
                        self.catch_up().await?;
                        look = Instant::now() + LOOK;
                    }
                }
            }
        }
    }

    async fn hear(&mut self, event: FeedEvent) -> Result<(), Error> {
        match event {
            FeedEvent::Head { cursor } if cursor != self.cursor.seen() => {
                self.cursor.begin_at(cursor);
                self.catch_up().await
            }
            FeedEvent::Inbox { cursor, transfer } => self.take_told(cursor, &transfer).await,
            FeedEvent::Head { .. } | FeedEvent::Sent { .. } => Ok(()),
        }
    }

    async fn ask_now_and_then(&mut self) -> Result<(), Error> {
        let end = Instant::now() + WITHOUT_FEED;
        let mut next = Instant::now() + self.settings.poll;
        while Instant::now() < end {
            sleep(TICK.min(self.settings.poll)).await;
            self.chores().await?;
            if next <= Instant::now() {
                self.refresh().await?;
                self.catch_up().await?;
                next = Instant::now() + self.settings.poll;
            }
        }
        Ok(())
    }

    /// What is due.
    async fn chores(&mut self) -> Result<(), Error> {
        self.retry_due().await?;
        self.run_jobs(Which::Due).await?;
        self.send_drops().await?;
        self.check_silence().await
    }
}

/// An older gateway, or something on the way that lets no feed through.
fn has_no_feed(error: &ApiError) -> bool {
    matches!(error, ApiError::Answer(_)) || matches!(error, ApiError::Refused { .. } if !error.is_transient())
}

/// Between half of `pause` and all of it, so that many clients do not come back at once.
fn jittered(pause: Duration, draw: u64) -> Duration {
    let half = pause / 2;
    let share = draw % 1_000;
    half + Duration::from_micros(u64::try_from(half.as_micros()).unwrap_or(u64::MAX) / 1_000 * share)
}

/// Reads a feed on a task of its own, so that nothing is lost while something else is done.
struct Reader {
    events: mpsc::Receiver<Result<FeedEvent, ApiError>>,
    task: JoinHandle<()>,
}

impl Reader {
    fn start(mut feed: Feed) -> Self {
        let (tell, events) = mpsc::channel(16);
        let task = tokio::spawn(async move {
            loop {
                let event = feed.next().await;
                let is_end = event.is_err();
                if tell.send(event).await.is_err() || is_end {
                    return;
                }
            }
        });
        Self { events, task }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spread_over_their_second_half() {
        let pause = Duration::from_secs(60);
        for draw in [0, 1, 499, 999, u64::MAX] {
            let jittered = jittered(pause, draw);
            assert!(jittered >= pause / 2 && jittered < pause, "{draw}: {jittered:?}");
        }
        assert_ne!(jittered(pause, 1), jittered(pause, 900));
    }

    #[test]
    fn a_gateway_that_is_away_is_waited_for_and_another_one_is_not() {
        let away = Error::Unfinished(ApiError::Unreachable("away".to_owned()));
        assert!(is_away(&away) && !is_fatal(&away));
        let another = Error::Api(ApiError::WrongKey);
        assert!(is_fatal(&another) && !is_away(&another));
    }
}
