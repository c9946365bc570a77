//! Where secrets come from: a file, the standard input, or the terminal without echo. Never from arguments, never from the
//! environment itself: other users and child processes can read both.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal as _};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};

use sealpost_client::key_file::{KeyFileError, MIN_PASSPHRASE};
use sealpost_client::{Error, platform, words};
use sealpost_proto::enrolment::EnrolmentError;
use sealpost_proto::link::Link;
use zeroize::Zeroizing;

use crate::credentials::Credentials;
use crate::output::note;

const MAX_SECRET_FILE: u64 = 16 * 1024;
/// Tries at a new passphrase.
const MAX_TRIES: usize = 5;
/// Lines and bytes of a string that is pasted.
const MAX_LINES: usize = 64;
const MAX_TYPED: usize = 4096;

/// A secret that somebody typed; wiped when dropped.
type Typed = Zeroizing<String>;

/// The passphrase of an existing key file.
pub(crate) fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, Error> {
    match file {
        Some(file) => from_private_file(file),
        None => prompt("Passphrase of your key file: "),
    }
}

/// The passphrase of a new key file: twice from a terminal, and long enough.
pub(crate) fn new_passphrase(file: Option<&Path>, of: &str) -> Result<Zeroizing<String>, Error> {
    let chosen = match file {
        Some(file) => from_private_file(file)?,
        None => return choose(of, prompt),
    };
    if is_short(&chosen) {
        return Err(KeyFileError::ShortPassphrase.into());
    }
    Ok(chosen)
}

fn is_short(passphrase: &str) -> bool {
    passphrase.chars().count() < MIN_PASSPHRASE
}

/// Asks until two answers are long enough and the same, at most [`MAX_TRIES`] times.
fn choose(of: &str, mut ask: impl FnMut(&str) -> Result<Typed, Error>) -> Result<Typed, Error> {
    for _ in 0..MAX_TRIES {
        let chosen = ask(&format!(
            "New passphrase for {of} (at least {MIN_PASSPHRASE} characters): "
        ))?;
        if chosen.is_empty() {
            continue;
        }
        if is_short(&chosen) {
            note(&format!(
                "That is shorter than {MIN_PASSPHRASE} characters; choose a longer one."
            ));
            continue;
        }
        if *chosen == *ask("The same passphrase again: ")? {
            return Ok(chosen);
        }
        note("The two differ; choose again.");
    }
    Err(KeyFileError::ShortPassphrase.into())
}

/// A setup or enrolment string: from a file, from the standard input (`-`), or typed without echo. Line breaks and blanks that
/// wrapping put into it are left out: the string itself has none.
pub(crate) fn secret_string<T>(from: Option<&Path>, what: &str, command: &str) -> Result<T, Error>
where
    T: FromStr<Err = EnrolmentError>,
{
    match from {
        Some(path) if path == Path::new("-") => Ok(unwrapped(&from_stdin()?).parse()?),
        Some(path) if is_string(path) => Err(Error::Input(format!(
            "That is the string itself, and it now stands in your shell's history: type `{command}` and paste it when asked."
        ))),
        Some(path) => Ok(unwrapped(&from_file(path)?).parse()?),
        None => ask_for_string(what, prompt),
    }
}

/// Whether somebody gave a string where a file's name belongs.
fn is_string(path: &Path) -> bool {
    let text = path.to_string_lossy();
    ["sealpost-enrol:", "sealpost-setup:"]
        .iter()
        .any(|head| text.contains(head))
}

fn unwrapped(text: &str) -> Typed {
    let mut kept = Zeroizing::new(String::with_capacity(text.len()));
    kept.extend(text.chars().filter(|c| !c.is_ascii_whitespace()));
    kept
}

/// A pasted string may come in several lines: asks until it is whole, or until an empty line ends it.
fn ask_for_string<T>(what: &str, mut ask: impl FnMut(&str) -> Result<Typed, Error>) -> Result<T, Error>
where
    T: FromStr<Err = EnrolmentError>,
{
    let mut text = Zeroizing::new(String::with_capacity(MAX_TYPED));
    let mut question = format!("{what}: ");
    for _ in 0..MAX_LINES {
        let line = unwrapped(&ask(&question)?);
        if line.is_empty() && !text.is_empty() {
            break;
        }
        if text.len() + line.len() > MAX_TYPED {
            break;
        }
        text.push_str(&line);
        if let Ok(string) = text.parse() {
            return Ok(string);
        }
        if !text.is_empty() {
            question = "It is not whole yet; the rest of it, or Enter to end: ".to_owned();
        }
    }
    Ok(text.parse()?)
}

/// A link: as an argument only if it holds no secret, from a file, from the standard input (`-`), or typed without echo.
pub(crate) fn link(argument: Option<&str>, file: Option<&Path>) -> Result<Link, Error> {
    let text = match (argument, file) {
        (Some(text), _) => return open_link(text),
        (None, Some(path)) if path == Path::new("-") => from_stdin()?,
        (None, Some(path)) => from_file(path)?,
        (None, None) => prompt_or("The link, pasted whole: ", NO_LINK)?,
    };
    Ok(Link::parse(&unwrapped(&text))?)
}

/// Everybody on the computer reads arguments, so a secret among them is out.
fn open_link(text: &str) -> Result<Link, Error> {
    let link = Link::parse(text.trim());
    let has_secret = text.contains(";s=") || link.as_ref().is_ok_and(|link| link.fragment().is_some());
    if has_secret {
        return Err(Error::Input(
            "This link is itself half of the key, and it now stands in your shell's history: run `sealpost get` without it and paste it when asked, or name a file with --link-file."
                .to_owned(),
        ));
    }
    Ok(link?)
}

/// The words of a link, whole and of the list: from a file or the standard input (`-`), else typed. They are seen while they are
/// typed: somebody writes down what a voice on the telephone spells, and a wrong word that nobody sees brings the link nearer to its
/// lock, while words without the link open nothing.
pub(crate) fn words(file: Option<&Path>) -> Result<Typed, Error> {
    match file {
        Some(path) if path == Path::new("-") => Ok(words::complete(&from_stdin()?)?),
        Some(path) => Ok(words::complete(&from_file(path)?)?),
        None => ask_for_words(|| typed_line("The words that the sender read to you: ")),
    }
}

/// Asks until the words can be right, at most [`MAX_TRIES`] times; nothing leaves this computer meanwhile.
fn ask_for_words(mut ask: impl FnMut() -> Result<Typed, Error>) -> Result<Typed, Error> {
    let mut tries = 1;
    loop {
        match words::complete(&ask()?) {
            Err(error) if tries < MAX_TRIES => note(&error.to_string()),
            done => return Ok(done?),
        }
        tries += 1;
    }
}

fn typed_line(question: &str) -> Result<Typed, Error> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Input(
            "There is no terminal to ask for the words; name a file with --words-file.".to_owned(),
        ));
    }
    note(question);
    let line = asking(|| read_stdin(|typed| typed.ends_with(b"\n")))?;
    if line.is_empty() {
        return Err(Error::Input(
            "Nothing was typed, so nothing was done; run it again.".to_owned(),
        ));
    }
    Ok(line)
}

fn from_stdin() -> Result<Typed, Error> {
    read_stdin(|_| false)
}

fn read_stdin(is_whole: impl Fn(&[u8]) -> bool) -> Result<Typed, Error> {
    let path = Path::new("-");
    let stdin = platform::unbuffered_stdin();
    let bytes = stdin.and_then(|stdin| platform::read_secret(stdin, MAX_SECRET_FILE, is_whole));
    text_of(&bytes.map_err(|error| Error::file("read", path, error))?, path)
}

/// A passphrase serves for years: a file of it that others can read is refused. systemd's credentials have a rule of their own.
fn from_private_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let is_credential = Credentials::given().is_some_and(|credentials| credentials.hold(path));
    let (bytes, refused) = if is_credential {
        let refused = Error::OpenCredential(path.to_owned());
        (platform::read_credential(path, MAX_SECRET_FILE), refused)
    } else {
        let refused = Error::OpenPassphraseFile(path.to_owned());
        (platform::read_private(path, MAX_SECRET_FILE), refused)
    };
    let bytes = bytes
        .map_err(|error| Error::file("read", path, error))?
        .ok_or(refused)?;
    Ok(first_line(&text_of(&bytes, path)?))
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bytes = File::open(path).and_then(|file| platform::read_secret(file, MAX_SECRET_FILE, |_| false));
    text_of(&bytes.map_err(|error| Error::file("read", path, error))?, path)
}

fn text_of(bytes: &[u8], path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| Error::Input(format!("{} is not a text.", path.display())))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn first_line(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
}

fn prompt(text: &str) -> Result<Typed, Error> {
    let is_service = Credentials::given().is_some();
    prompt_or(text, if is_service { NO_CREDENTIAL } else { NO_PASSPHRASE })
}

const NO_PASSPHRASE: &str = "There is no terminal to ask for a secret; name a file with --passphrase-file or SEALPOST_PASSPHRASE_FILE (for strings: a path or `-`).";
const NO_CREDENTIAL: &str = "This service has no credential `sealpost-passphrase`, and there is no terminal to ask; add LoadCredentialEncrypted=sealpost-passphrase: with its file to the unit, or name a file with --passphrase-file.";
const NO_LINK: &str =
    "There is no terminal to ask for the link; name it as LINK, or if it holds a secret its file with --link-file.";

/// Asks without echo; `nobody` is the sentence where no terminal is there to ask.
fn prompt_or(text: &str, nobody: &str) -> Result<Typed, Error> {
    let typed = rpassword::prompt_password(text).map(Zeroizing::new);
    typed.map_err(|error| match error.kind() {
        ErrorKind::Interrupted => Error::Interrupted,
        ErrorKind::UnexpectedEof => Error::Input("Nothing was typed, so nothing was done; run it again.".to_owned()),
        _ => Error::Input(nobody.to_owned()),
    })
}

/// Whether the process waits for a person at the terminal: nothing is in the making then, so Ctrl-C ends it at once.
static IS_ASKING: AtomicBool = AtomicBool::new(false);

/// See [`IS_ASKING`].
pub(crate) fn is_asking() -> bool {
    IS_ASKING.load(Ordering::SeqCst)
}

/// Does what waits for a person at the terminal.
pub(crate) fn asking<T>(wait: impl FnOnce() -> T) -> T {
    IS_ASKING.store(true, Ordering::SeqCst);
    let outcome = wait();
    IS_ASKING.store(false, Ordering::SeqCst);
    outcome
}

/// Asks yes or no on the terminal; without one the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = asking(|| std::io::stdin().read_line(&mut answer));
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_file_is_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        platform::write_private(&path, b"correct horse battery\nnot this\n").unwrap();
        assert_eq!(*passphrase(Some(&path)).unwrap(), "correct horse battery");
        platform::write_private(&path, b"short\n").unwrap();
        assert!(matches!(new_passphrase(Some(&path), "x"), Err(Error::KeyFile(_))));
    }

    /// Answers from a list, as if somebody typed them.
    fn typing(answers: &'static [&'static str]) -> impl FnMut(&str) -> Result<Typed, Error> {
        let mut answers = answers.iter();
        move |_| {
            let answer = answers.next().ok_or(Error::Interrupted)?;
            Ok(Zeroizing::new((*answer).to_owned()))
        }
    }

    #[test]
    fn a_new_passphrase_is_asked_again_until_it_is_long_and_the_same_twice() {
        let answers = &[
            "",
            "short",
            "long enough one",
            "another one",
            "long enough one",
            "long enough one",
        ];
        assert_eq!(*choose("x", typing(answers)).unwrap(), "long enough one");
        assert!(matches!(choose("x", typing(&[""; 9])), Err(Error::KeyFile(_))));
        assert!(matches!(
            choose("x", typing(&["long enough one"])),
            Err(Error::Interrupted)
        ));
    }

    /// What counts as a whole string here: eight characters.
    #[derive(Debug, PartialEq)]
    struct Eight(String);

    impl FromStr for Eight {
        type Err = EnrolmentError;
        fn from_str(text: &str) -> Result<Self, Self::Err> {
            let is_whole = text.len() == 8;
            is_whole.then(|| Self(text.to_owned())).ok_or(EnrolmentError::Form)
        }
    }

    #[test]
    fn a_wrapped_string_is_taken_whole() {
        let whole = Eight("abcdefgh".to_owned());
        assert_eq!(
            ask_for_string::<Eight>("x", typing(&["", "abc ", " de", "fgh"])).unwrap(),
            whole
        );
        assert!(matches!(
            ask_for_string::<Eight>("x", typing(&["abc", ""])),
            Err(Error::String(_))
        ));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        std::fs::write(&path, "abc\r\n de\nfgh\n").unwrap();
        assert_eq!(secret_string::<Eight>(Some(&path), "x", "c").unwrap(), whole);
    }

    #[test]
    fn words_are_asked_again_until_they_can_be_right() {
        let mut answers = typing(&["", "abacus zoom qqq crispy blank", "Abacus zoom crispy blank vitamins"]);
        assert_eq!(
            *ask_for_words(|| answers("")).unwrap(),
            "abacus zoom crispy blank vitamins"
        );
        let mut answers = typing(&["four words are less"; 9]);
        assert!(matches!(ask_for_words(|| answers("")), Err(Error::Words(_))));
    }

    #[test]
    fn a_link_with_a_secret_is_no_argument() {
        let id = "00112233445566778899aabbccddeeff";
        for open in [
            format!("https://gw/l/{id}"),
            format!(" https://gw/l#{id}"),
            format!("https://gw/l%23{id}"),
        ] {
            assert!(link(Some(&open), None).is_ok(), "{open}");
        }
        let closed = format!("https://gw/l#v1;id={id};s={};o={id}", "A".repeat(43));
        for secret in [closed.clone(), closed.replace("o=", "x=")] {
            let shown = link(Some(&secret), None).unwrap_err().to_string();
            assert!(shown.contains("--link-file") && !shown.contains("AAAA"), "{shown}");
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("link");
        std::fs::write(&path, format!("{}\n{}\n", &closed[..60], &closed[60..])).unwrap();
        assert!(
            link(None, Some(&path)).unwrap().fragment().is_some(),
            "wrapped lines do no harm"
        );
    }

    #[test]
    fn a_string_in_place_of_a_path_is_not_repeated() {
        let given = Path::new("sealpost-enrol:v1;s=hush");
        let shown = secret_string::<Eight>(Some(given), "x", "sealpost enrol")
            .unwrap_err()
            .to_string();
        assert!(shown.contains("shell's history") && !shown.contains("hush"), "{shown}");
    }

    #[test]
    #[cfg(unix)]
    fn a_passphrase_file_of_many_is_refused_and_a_string_is_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        platform::write_private(&path, b"correct horse battery\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        for refused in [passphrase(Some(&path)), new_passphrase(Some(&path), "x")] {
            assert!(
                matches!(refused, Err(Error::OpenPassphraseFile(_))),
                "{:?}",
                refused.err()
            );
        }
        // Strings are used once, and come from elsewhere.
        assert!(from_file(&path).is_ok());
    }
}
