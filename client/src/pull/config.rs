//! How to pull: the configuration file (TOML, `deploy/pull.toml` documents every key) and what arguments say in its place.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use sealpost_proto::id::Address;
use serde::{Deserialize, Deserializer, de};

use crate::error::Error;
use crate::{platform, time};

/// Longest configuration file.
const MAX_FILE: u64 = 1 << 20;

/// The configuration file. Every key may be left out; one that is not known is refused.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The folder for the files.
    pub into: Option<PathBuf>,
    /// Senders; all when empty.
    #[serde(deserialize_with = "addresses")]
    pub from: Vec<Address>,
    /// The program that is run after each transfer, with its arguments.
    pub exec: Vec<String>,
    /// How long one run of it may take.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// How often it is tried.
    pub tries: u32,
    /// The folder from which files are sent to the senders of its folders.
    pub replies: Option<PathBuf>,
    /// How long a file there must have stayed the same before it is taken.
    #[serde(deserialize_with = "duration")]
    pub settle: Duration,
    /// HL7 v3 PurposeOfUse of replies.
    pub purpose: String,
    /// After how long replies expire.
    #[serde(deserialize_with = "duration")]
    pub expires: Duration,
    /// How often it is looked for something new while there is no feed.
    #[serde(deserialize_with = "duration")]
    pub poll: Duration,
    /// Senders from whom something is expected.
    pub expect: Vec<Expect>,
    /// The program that is run when one of them is silent.
    pub alarm_exec: Vec<String>,
}

/// Somebody from whom something is expected.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Who.
    #[serde(deserialize_with = "address")]
    pub from: Address,
    /// The longest silence that is no reason to worry.
    #[serde(deserialize_with = "duration")]
    pub every: Duration,
    /// With `--all`: of which profile; of every one when absent.
    #[serde(default)]
    pub profile: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            into: None,
            from: Vec::new(),
            exec: Vec::new(),
            timeout: Duration::from_secs(15 * 60),
            tries: 10,
            replies: None,
            settle: Duration::from_secs(10),
            purpose: "HPAYMT".to_owned(),
            expires: Duration::from_secs(30 * 86_400),
            poll: Duration::from_secs(60),
            expect: Vec::new(),
            alarm_exec: Vec::new(),
        }
    }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::Input`] with the place of the mistake.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = platform::read_limited(path, MAX_FILE).map_err(|error| Error::file("read", path, error))?;
        let text = String::from_utf8(bytes)
            .map_err(|_| Error::Input(format!("{} is not a text in UTF-8; correct it.", path.display())))?;
        Self::parse(&text).map_err(|what| Error::Input(format!("{} cannot be used: {what}", path.display())))
    }

    /// The configuration that this text is.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if config.tries == 0 {
            return Err("tries must be at least 1".to_owned());
        }
        if config.poll < Duration::from_secs(1) {
            return Err("poll must be at least 1s".to_owned());
        }
        Ok(config)
    }
}

/// What one puller needs.
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) into: PathBuf,
    pub(super) from: Vec<Address>,
    pub(super) exec: Vec<OsString>,
    pub(super) timeout: Duration,
    pub(super) tries: u32,
    pub(super) replies: Option<PathBuf>,
    pub(super) settle: Duration,
    pub(super) purpose: String,
    pub(super) lifetime: u64,
    pub(super) poll: Duration,
    pub(super) expect: Vec<Expect>,
    pub(super) alarm_exec: Vec<OsString>,
    /// Try given-up commands again.
    pub(super) retry: bool,
}

impl Settings {
    /// Of one account; with `--all` each profile has folders of its own below those of the configuration.
    ///
    /// # Errors
    /// [`Error::Input`] when there is no folder for the files, or what comes would lie where what goes is taken from.
    pub fn new(config: &Config, exec: &[OsString], retry: bool, profile: Option<&str>) -> Result<Self, Error> {
        let into = config.into.as_ref();
        let into = into.ok_or_else(|| Error::Input("Name the folder for the files with --into.".to_owned()))?;
        if let Some(replies) = &config.replies {
            check_apart(into, replies)?;
        }
        let own = |folder: &PathBuf| profile.map_or_else(|| folder.clone(), |profile| folder.join(profile));
        let words = |words: &[String]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let is_meant = |expect: &&Expect| match (&expect.profile, profile) {
            (Some(of), Some(profile)) => of == profile,
            _ => true,
        };
        Ok(Self {
            into: own(into),
            from: config.from.clone(),
            exec: if exec.is_empty() {
                words(&config.exec)
            } else {
                exec.to_vec()
            },
            timeout: config.timeout,
            tries: config.tries,
            replies: config.replies.as_ref().map(own),
            settle: config.settle,
            purpose: config.purpose.clone(),
            lifetime: config.expires.as_secs(),
            poll: config.poll,
            expect: config.expect.iter().filter(is_meant).cloned().collect(),
            alarm_exec: words(&config.alarm_exec),
            retry,
        })
    }

    /// The same with paths that do not depend on where the process stands.
    pub(super) fn absolute(mut self) -> Result<Self, Error> {
        let absolute =
            |path: &Path| std::path::absolute(path).map_err(|error| Error::file("find the folder", path, error));
        self.into = absolute(&self.into)?;
        self.replies = self.replies.as_deref().map(absolute).transpose()?;
        // Once more: those of a profile may be links.
        if let Some(replies) = &self.replies {
            check_apart(&self.into, replies)?;
        }
        Ok(self)
    }
}

/// Refuses two folders of which one is in the other: what somebody sent would be sent back to them as a reply.
fn check_apart(into: &Path, replies: &Path) -> Result<(), Error> {
    let real = |path: &Path| real(path).map_err(|error| Error::file("find the folder", path, error));
    let (one, other) = (real(into)?, real(replies)?);
    if one.starts_with(&other) || other.starts_with(&one) {
        return Err(Error::Input(format!(
            "The folder for replies, {}, and the one for what comes, {}, are the same or one lies in the other, so what comes would be sent back; name two that lie apart.",
            replies.display(),
            into.display()
        )));
    }
    Ok(())
}

/// The path without links, as far as it exists.
fn real(path: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::new();
    for part in std::path::absolute(path)?.components() {
        if part == Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
        }
        match real.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => real = found?,
        }
    }
    Ok(real)
}

/// Seconds as `10s`, or as a lifetime is written: `30m`, `26h`, `7d`.
fn parse_duration(text: &str) -> Option<Duration> {
    let seconds = match text.strip_suffix('s') {
        Some(digits) if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None => time::parse_lifetime(text)?,
    };
    (1..=sealpost_proto::sealed::MAX_LIFETIME)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text)
        .ok_or_else(|| de::Error::custom("write a whole number and s, m, h, d or w, such as \"26h\", at most 366 days"))
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
    to_address::<D::Error>(&String::deserialize(deserializer)?)
}

fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Address>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| to_address(text)).collect()
}

fn to_address<E: de::Error>(text: &str) -> Result<Address, E> {
    text.parse()
        .map_err(|_| E::custom("that is not an address; write it like desk@clinic.example"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_in_deploy_shows_every_key_with_its_default() {
        let example = include_str!("../../../deploy/pull.toml");
        let uncommented: String = example
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        let (given, all) = (Config::parse(example).unwrap(), Config::parse(&uncommented).unwrap());
        let default = Config::default();
        for config in [&given, &all] {
            assert_eq!((config.timeout, config.tries), (default.timeout, default.tries));
            assert_eq!((config.settle, config.poll), (default.settle, default.poll));
            assert_eq!((&config.purpose, config.expires), (&default.purpose, default.expires));
        }
        assert!(given.exec.is_empty() && given.expect.is_empty() && given.replies.is_none());
        assert!(!all.exec.is_empty() && !all.expect.is_empty() && all.replies.is_some());
        assert!(!all.alarm_exec.is_empty() && !all.from.is_empty());
    }

    #[test]
    fn mistakes_are_refused_with_their_place() {
        for (text, told) in [
            ("intoo = \"x\"", "intoo"),
            ("poll = \"0s\"", "whole number"),
            ("tries = 0", "tries"),
            ("from = [\"a b\"]", "address"),
            ("[[expect]]\nfrom = \"a@b.example\"", "every"),
            ("exec = \"one string\"", "exec"),
        ] {
            let refused = Config::parse(text).unwrap_err();
            assert!(refused.contains(told), "{text}: {refused}");
        }
        assert!(
            Settings::new(&Config::default(), &[], false, None).is_err(),
            "no folder"
        );
    }

    #[test]
    fn profiles_have_folders_of_their_own() {
        let config = Config::parse("into = \"in\"\nreplies = \"out\"\nexec = [\"a\"]").unwrap();
        let settings = Settings::new(&config, &["b".into()], false, Some("east")).unwrap();
        assert_eq!(settings.into, Path::new("in").join("east"));
        assert_eq!(settings.replies, Some(Path::new("out").join("east")));
        assert_eq!(settings.exec, ["b"], "an argument wins");
    }

    #[test]
    fn replies_and_what_comes_lie_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("in")).unwrap();
        let mut pairs = vec![
            ("in", "in", false),
            ("in", "in/replies", false),
            ("new/in", "new", false),
            ("in", "x/../in", false),
            ("in", "none/../in", false),
            ("in", "in2", true),
            ("in", "out", true),
            ("new/in", "new/out", true),
        ];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(at("in"), at("link")).unwrap();
            pairs.extend([("in", "link", false), ("in", "link/replies", false)]);
        }
        for (into, replies, is_fine) in pairs {
            let config = Config {
                into: Some(at(into)),
                replies: Some(at(replies)),
                ..Config::default()
            };
            for profile in [None, Some("east")] {
                let settings = Settings::new(&config, &[], false, profile);
                assert_eq!(settings.is_ok(), is_fine, "{into} {replies}");
            }
        }
        // Each of its own below, and one profile's folder leads into the other's.
        #[cfg(unix)]
        {
            std::fs::create_dir(at("out")).unwrap();
            std::os::unix::fs::symlink(at("in"), at("out/east")).unwrap();
            let config = Config {
                into: Some(at("in")),
                replies: Some(at("out")),
                ..Config::default()
            };
            let settings = Settings::new(&config, &[], false, Some("east")).unwrap();
            assert!(settings.absolute().is_err());
        }
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("10s"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("26h"), Some(Duration::from_secs(26 * 3600)));
        for bad in ["", "s", "1.5h", "-1s", "10", "9999999999999s"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
