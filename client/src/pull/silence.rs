//! Senders from whom something is expected: when they have been silent for too long, somebody hears of it.

use std::collections::BTreeMap;

use sealpost_proto::id::Label;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Puller;
use super::command::Call;
use super::config::Expect;
use super::event::Event;
use crate::error::Error;
use crate::session::Session;

/// A silence that goes on is told again after so many seconds.
const AGAIN: u64 = 86_400;
/// Name of the record in the state.
const RECORD: &str = "heard";

/// What is known of one sender; times are unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Heard {
    /// Since when it is listened.
    since: u64,
    last: Option<u64>,
    /// When the present silence was told.
    told: Option<u64>,
}

/// The clocks of those who are expected.
#[derive(Debug)]
pub(super) struct Silence {
    expected: Vec<(Label, Expect)>,
    heard: BTreeMap<String, Heard>,
}

/// A silence to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Alarm {
    number: usize,
    hours: u64,
    last: Option<u64>,
}

impl Silence {
    pub(super) fn load(session: &Session, expected: &[Expect]) -> Result<Self, Error> {
        let mut heard: BTreeMap<String, Heard> = session.state.get("pull", RECORD)?.unwrap_or_default();
        let now = session.env.now();
        let labelled = |expect: &Expect| (session.account.label_of(&expect.from), expect.clone());
        let expected: Vec<(Label, Expect)> = expected.iter().map(labelled).collect();
        for (label, _) in &expected {
            heard.entry(label.to_string()).or_insert(Heard {
                since: now,
                last: None,
                told: None,
            });
        }
        let silence = Self { expected, heard };
        silence.keep(session)?;
        Ok(silence)
    }

    fn keep(&self, session: &Session) -> Result<(), Error> {
        if self.heard.is_empty() {
            return Ok(());
        }
        session.state.put("pull", RECORD, &self.heard, &session.env)
    }

    /// Something came from this person at `time`, unix seconds.
    pub(super) fn heard(&mut self, session: &Session, sender: &Label, time: u64) -> Result<(), Error> {
        if !self.expected.iter().any(|(label, _)| label == sender) {
            return Ok(());
        }
        let time = time.min(session.env.now());
        let heard = self.heard.get_mut(&sender.to_string());
        let Some(heard) = heard.filter(|heard| time > heard.last.unwrap_or(heard.since)) else {
            return Ok(());
        };
        (heard.last, heard.told) = (Some(time), None);
        self.keep(session)
    }

    /// Whether somebody is silent for too long, told or not.
    pub(super) fn is_any(&self, now: u64) -> bool {
        self.expected
            .iter()
            .any(|(label, expect)| self.is_silent(label, expect, now))
    }

    fn is_silent(&self, label: &Label, expect: &Expect, now: u64) -> bool {
        let heard = self.heard.get(&label.to_string());
        heard.is_some_and(|heard| now.saturating_sub(heard.last.unwrap_or(heard.since)) > expect.every.as_secs())
    }

    /// The silences that are to be told now; from then on they count as told.
    fn alarms(&mut self, now: u64) -> Vec<Alarm> {
        let mut alarms = Vec::new();
        for (number, (label, expect)) in self.expected.iter().enumerate() {
            if !self.is_silent(label, expect, now) {
                continue;
            }
            let Some(heard) = self.heard.get_mut(&label.to_string()) else {
                continue;
            };
            if heard.told.is_some_and(|told| now.saturating_sub(told) < AGAIN) {
                continue;
            }
            heard.told = Some(now);
            alarms.push(Alarm {
                number,
                hours: now.saturating_sub(heard.last.unwrap_or(heard.since)) / 3600,
                last: heard.last,
            });
        }
        alarms
    }
}

impl Puller {
    /// Tells silences, and runs the command that is for them.
    pub(super) async fn check_silence(&mut self) -> Result<(), Error> {
        let now = self.session.env.now();
        let alarms = self.silence.alarms(now);
        if alarms.is_empty() {
            return Ok(());
        }
        for alarm in alarms {
            let Some((_, expect)) = self.silence.expected.get(alarm.number) else {
                continue;
            };
            let from = expect.from.clone();
            self.tell(&Event::silent(&from, alarm.hours, alarm.last));
            self.run_alarm(&json!({"from": from, "hours": alarm.hours, "last": alarm.last}))
                .await;
        }
        // After the commands: a crash tells a silence twice rather than never.
        self.silence.keep(&self.session)
    }

    async fn run_alarm(&self, facts: &serde_json::Value) {
        if self.settings.alarm_exec.is_empty() {
            return;
        }
        let call = Call {
            words: &self.settings.alarm_exec,
            facts,
            environment: Vec::new(),
            timeout: self.settings.timeout,
        };
        if let Err(why) = call.run(&|line: &str| self.tell(&Event::output(None, line))).await {
            self.tell(&Event::alarm_failed(&why));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_came_is_heard_by_its_own_time_and_ends_no_later_silence() {
        let sealed = crate::receive::tests::sealed(&[1]);
        let session = sealed.session;
        let expect = Expect {
            from: session.account.address.clone(),
            every: Duration::from_secs(3600),
            profile: None,
        };
        let mut silence = Silence::load(&session, &[expect]).unwrap();
        let (label, _) = silence.expected[0].clone();
        let now = session.env.now();
        let entry = |silence: &Silence| silence.heard[&label.to_string()];
        silence.heard.get_mut(&label.to_string()).unwrap().since = now - 9_000;
        assert!(silence.is_any(now));
        silence.heard(&session, &label, now - 8_000).unwrap();
        assert!(silence.is_any(now), "what came then is too long ago");
        silence.heard(&session, &label, now - 60).unwrap();
        assert!(!silence.is_any(now));
        silence.heard(&session, &label, now - 8_000).unwrap();
        assert_eq!(entry(&silence).last, Some(now - 60), "an earlier one changes nothing");
        silence.heard(&session, &label, now + 9_000).unwrap();
        assert!(
            entry(&silence).last.unwrap() <= session.env.now(),
            "no clock ahead hides a silence"
        );
    }

    #[test]
    fn a_silence_is_told_once_and_again_each_day_until_something_comes() {
        let label: Label = "11".repeat(32).parse().unwrap();
        let expect = Expect {
            from: "a@b.example".parse().unwrap(),
            every: Duration::from_secs(26 * 3600),
            profile: None,
        };
        let start = 1_000_000;
        let heard = Heard {
            since: start,
            last: None,
            told: None,
        };
        let mut silence = Silence {
            expected: vec![(label, expect)],
            heard: [(label.to_string(), heard)].into(),
        };
        let hour = 3600;
        assert!(silence.alarms(start + 26 * hour).is_empty() && !silence.is_any(start + 26 * hour));
        let alarms = silence.alarms(start + 27 * hour);
        assert_eq!((alarms.len(), alarms[0].hours, alarms[0].last), (1, 27, None));
        assert!(silence.alarms(start + 50 * hour).is_empty() && silence.is_any(start + 50 * hour));
        assert_eq!(silence.alarms(start + 51 * hour).len(), 1, "a day later");
        let came = silence.heard.get_mut(&label.to_string()).unwrap();
        (came.last, came.told) = (Some(start + 52 * hour), None);
        assert!(silence.alarms(start + 60 * hour).is_empty());
        assert_eq!(silence.alarms(start + 79 * hour).len(), 1, "the next silence");
        assert!(
            silence.alarms(start).is_empty(),
            "a clock that was put back is no silence"
        );
    }
}
