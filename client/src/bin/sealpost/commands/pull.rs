//! `pull`.

use std::sync::Arc;
use std::time::Duration;

use sealpost_client::pull::config::{Config, Settings};
use sealpost_client::pull::event::{Event, Listener, nameless};
use sealpost_client::pull::{Outcome, Puller};
use sealpost_client::{Env, Error, time};
use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use crate::cli::Pull;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{self, Report, count, error_json};
use crate::service;

/// The profile of the default home.
const DEFAULT: &str = "default";
/// With `--all --watch`, a profile that had to stop is tried again after so long.
const PAUSE: Duration = Duration::from_secs(600);

pub(super) async fn run(context: &Context, args: Pull) -> Result<Report, Error> {
    let config = config(&args)?;
    if !args.all {
        let log = Arc::new(Log::new(context, None));
        let settings = Settings::new(&config, &args.command, args.retry, None)?;
        let mut puller = Puller::open(context.session()?, settings, log)?;
        service::ready();
        let _watchdog = service::Watchdog::start();
        if args.watch {
            puller.watch().await?;
        }
        let outcome = puller.once().await?;
        return Ok(report(vec![(None, Ok(outcome))]));
    }
    let profiles = profiles(context)?;
    let mut tasks = JoinSet::new();
    for profile in profiles {
        let settings = Settings::new(&config, &args.command, args.retry, Some(&profile.name))?;
        let log = Arc::new(Log::new(context, Some(profile.name.clone())));
        let is_watching = args.watch;
        tasks.spawn(async move {
            let outcome = profile.run(&settings, &log, is_watching).await;
            (Some(profile.name), outcome)
        });
    }
    service::ready();
    let _watchdog = service::Watchdog::start();
    let mut outcomes = tasks.join_all().await;
    outcomes.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(report(outcomes))
}

/// The configuration file with what the arguments say in its place.
fn config(args: &Pull) -> Result<Config, Error> {
    let mut config = args
        .config
        .as_deref()
        .map_or_else(|| Ok(Config::default()), Config::read)?;
    if let Some(into) = &args.into {
        config.into = Some(into.clone());
    }
    if let Some(replies) = &args.replies {
        config.replies = Some(replies.clone());
    }
    if !args.from.is_empty() {
        config.from.clone_from(&args.from);
    }
    Ok(config)
}

/// One account of several.
struct Profile {
    name: String,
    context: Context,
}

impl Profile {
    /// Pulls for it; while watching, whatever stops it is told and it is tried again.
    async fn run(&self, settings: &Settings, log: &Arc<Log>, is_watching: bool) -> Result<Outcome, Error> {
        loop {
            let outcome = self.try_once(settings, log, is_watching).await;
            match outcome {
                Err(error) if is_watching => log.show("stopped", &nameless(&error), failed(&error), true),
                outcome => return outcome,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn try_once(&self, settings: &Settings, log: &Arc<Log>, is_watching: bool) -> Result<Outcome, Error> {
        let session = self.context.session()?;
        let listener: Arc<dyn Listener> = Arc::<Log>::clone(log);
        let mut puller = Puller::open(session, settings.clone(), listener)?;
        if is_watching {
            puller.watch().await?;
        }
        puller.once().await
    }
}

/// All accounts that have keys here.
fn profiles(context: &Context) -> Result<Vec<Profile>, Error> {
    let named = |context: Context| Profile {
        name: context.profile.clone().unwrap_or_else(|| DEFAULT.to_owned()),
        context,
    };
    let all: Vec<Profile> = context.profiles()?.into_iter().map(named).collect();
    if all.iter().filter(|profile| profile.name == DEFAULT).count() > 1 {
        return Err(Error::Input(format!(
            "A profile is named {DEFAULT}, which with --all is the account without a name, so both would share folders; give the profile's folder another name."
        )));
    }
    Ok(all)
}

/// Shows what happens, and tells the service manager.
#[derive(Debug)]
struct Log {
    profile: Option<String>,
    json: bool,
    env: Env,
}

impl Log {
    fn new(context: &Context, profile: Option<String>) -> Self {
        Self {
            profile,
            json: context.json,
            env: context.env.clone(),
        }
    }

    fn show(&self, name: &str, text: &str, members: Map<String, Value>, is_error: bool) {
        let now = self.env.now();
        let profile = self.profile.as_ref();
        let of = profile.map_or_else(String::new, |profile| format!("{profile}: "));
        let line = format!("{of}{}", sealpost_client::text::line(text));
        service::status(&line);
        let mut object = Map::from_iter([("event".to_owned(), name.into()), ("time".to_owned(), now.into())]);
        object.extend(profile.map(|profile| ("profile".to_owned(), profile.as_str().into())));
        object.extend(members);
        output::event(&format!("{} {line}", time::local(now)), object, is_error, self.json);
    }
}

impl Listener for Log {
    fn event(&self, event: &Event) {
        self.show(event.name, &event.text, event.json.clone(), event.is_error);
    }
}

fn failed(error: &Error) -> Map<String, Value> {
    let error = error_json(Exit::from(error), &nameless(error));
    Map::from_iter([("error".to_owned(), error)])
}

/// What all of them came to: the last line.
fn report(outcomes: Vec<(Option<String>, Result<Outcome, Error>)>) -> Report {
    let (mut lines, mut shown) = (Vec::new(), Vec::new());
    let mut exit = Exit::Ok;
    for (profile, outcome) in outcomes {
        let of = profile
            .as_ref()
            .map_or_else(String::new, |profile| format!("{profile}: "));
        let (line, mut members, code) = match &outcome {
            Ok(outcome) => (sentence(outcome), members(outcome), code_of(outcome)),
            Err(error) => (nameless(error), failed(error), Exit::from(error)),
        };
        lines.push(format!("{of}{}", sealpost_client::text::line(&line)));
        members.extend(profile.map(|profile| ("profile".to_owned(), profile.into())));
        shown.push(Value::Object(members));
        if rank(code) > rank(exit) {
            exit = code;
        }
    }
    let report = Report::done(lines.join("\n"), json!({"event": "end", "pulled": shown}));
    Report { exit, ..report }
}

/// Which of several codes a run ends with: a failure before a silence, that before another program's failure.
fn rank(exit: Exit) -> u8 {
    match exit {
        Exit::Ok => 0,
        Exit::Command => 1,
        Exit::Silent => 2,
        _ => 3,
    }
}

fn code_of(outcome: &Outcome) -> Exit {
    match &outcome.first_error {
        Some(error) => Exit::from(error),
        None if outcome.is_silent => Exit::Silent,
        None if outcome.commands_failed + outcome.given_up > 0 => Exit::Command,
        None => Exit::Ok,
    }
}

fn sentence(outcome: &Outcome) -> String {
    let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let mut parts = vec![format!("received {}", count(number(outcome.received), "transfer"))];
    for (times, what) in [
        (outcome.failed, "failure"),
        (outcome.replies, "sent reply"),
        (outcome.commands_failed, "failed command"),
        (outcome.given_up, "given-up command"),
    ] {
        if times > 0 {
            parts.push(count(number(times), what));
        }
    }
    parts.join(", ")
}

fn members(outcome: &Outcome) -> Map<String, Value> {
    let members = json!({
        "received": outcome.received,
        "failed": outcome.failed,
        "replies": outcome.replies,
        "commands_failed": outcome.commands_failed,
        "given_up": outcome.given_up,
        "silent": outcome.is_silent,
    });
    match members {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_comes_before_a_silence_and_that_before_a_command() {
        let silent = Outcome {
            is_silent: true,
            commands_failed: 1,
            ..Outcome::default()
        };
        assert_eq!(code_of(&silent), Exit::Silent);
        let gone = Err(Error::NotFound("gone".to_owned()));
        let command = Outcome {
            given_up: 1,
            ..Outcome::default()
        };
        let all = vec![(None, Ok(command)), (None, gone), (None, Ok(silent))];
        assert_eq!(report(all).exit, Exit::NotFound);
        assert_eq!(report(vec![(None, Ok(Outcome::default()))]).exit, Exit::Ok);
    }
}
