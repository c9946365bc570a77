//! The tests that need Python: implementations of the specification that share no code with the product, on its vectors and on
//! what the real programs made.
//!
//! Their packages are pinned in `tests/interop/requirements.txt` and installed below `target/`, nowhere else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sealpost_tests::gateway::Gateway;
use sealpost_tests::organisation::Organisation;
use sealpost_tests::samples;
use serde_json::Value;

use crate::run::{Outcome, workspace};

const DESK: &str = "desk@clinic.example";
const PROVIDER: &str = "provider@practice.example";

/// How many cases went well, and how many did not.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    fn note(&mut self, what: &str, outcome: Outcome) {
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("passed: {what}");
            }
            Err(error) => {
                self.failed += 1;
                println!("FAILED: {what}: {error}");
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Runs them all. An error means that they could not be run; a case that fails is counted.
pub(crate) fn run() -> Outcome<Tally> {
    let python = Python::with_packages()?;
    let mut tally = Tally::default();
    println!("==> the opener in Python on the vectors of sealed transfers");
    match python.opens_vectors() {
        Ok(cases) => tally.add(cases),
        Err(error) => tally.note("the vectors of sealed transfers", Err(error)),
    }
    for (script, vectors) in [
        ("make_keys_vectors.py", "keys-v1.json"),
        ("make_service_vectors.py", "service-v1.json"),
    ] {
        let what = format!("{vectors} is made again, byte for byte");
        tally.note(&what, python.makes_vectors(script, vectors));
    }
    println!("==> the opener in Python on a transfer that `sealpost` received");
    match Received::from_a_gateway() {
        Ok(received) => python.opens_what_was_received(&received, &mut tally),
        Err(error) => tally.note("a transfer is sent and received", Err(error)),
    }
    Ok(tally)
}

/// The interpreter of a virtual environment that has the pinned packages.
struct Python {
    program: PathBuf,
    scripts: PathBuf,
    vectors: PathBuf,
}

impl Python {
    fn with_packages() -> Outcome<Self> {
        let environment = workspace().join("target/interop");
        let program = environment.join("bin/python");
        let scripts = workspace().join("tests/interop");
        if !program.exists() {
            let mut venv = Command::new("python3");
            venv.args(["-m", "venv"]).arg(&environment);
            let made = venv.status().map_err(|error| {
                format!(
                    "python3 could not be started ({error}); these tests need Python 3.11 or later with its venv module"
                )
            })?;
            if !made.success() {
                return Err(
                    "python3 could not make a virtual environment; install its venv module and try again".into(),
                );
            }
        }
        // Does nothing, and asks nobody, when the pinned versions are there already.
        let mut install = Command::new(&program);
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        install.args(["--only-binary", ":all:", "--requirement"]);
        if !install.arg(scripts.join("requirements.txt")).status()?.success() {
            return Err(
                "the packages of tests/interop/requirements.txt could not be installed; pip says why above".into(),
            );
        }
        Ok(Self {
            program,
            scripts,
            vectors: workspace().join("proto/vectors"),
        })
    }

    fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(self.scripts.join(name)).stdin(Stdio::null());
        command
    }

    /// The opener's own count, which stands in the last line that it prints.
    fn opens_vectors(&self) -> Outcome<Tally> {
        let mut opener = self.script("open_container.py");
        opener.arg("--vectors");
        opener.args(["sealed-v1.json", "sealed-v1-more.json"].map(|name| self.vectors.join(name)));
        let output = opener.stderr(Stdio::inherit()).output()?;
        let text = String::from_utf8(output.stdout)?;
        let (said, count) = text.trim_end().rsplit_once('\n').unwrap_or(("", text.trim_end()));
        println!("{said}");
        let tally = tally_in(count).ok_or("the opener ended without a count")?;
        println!("passed: {} verdicts of the opener", tally.passed);
        if output.status.success() != (tally.failed == 0 && tally.passed > 0) {
            return Err(format!("the opener ended with {}, which is not what it counted", output.status).into());
        }
        Ok(tally)
    }

    fn makes_vectors(&self, script: &str, vectors: &str) -> Outcome {
        let made = self.script(script).stderr(Stdio::inherit()).output()?;
        if !made.status.success() {
            return Err(format!("{script} ended with {}", made.status).into());
        }
        ensure(made.stdout == fs::read(self.vectors.join(vectors))?, "the bytes differ")
    }

    /// The promise that the specification is enough: key and share open the container, and it takes both.
    fn opens_what_was_received(&self, received: &Received, tally: &mut Tally) {
        tally.note(
            "key, share and container give the files that were sent",
            self.opens_with_both(received),
        );
        tally.note(
            "the recipient's key alone opens nothing",
            self.refuses(received, &received.key, None, "share"),
        );
        tally.note(
            "the share and another person's key open nothing",
            self.refuses(received, &received.senders_key, Some(&received.share), "key"),
        );
    }

    fn opens_with_both(&self, received: &Received) -> Outcome {
        let out = received.folder.path().join("opened");
        let mut opener = self.opener(received, &received.key, Some(&received.share));
        let output = opener.arg("--out").arg(&out).output()?;
        ensure(output.status.success(), &said(&output))?;
        for sample in &received.sent {
            let opened = fs::read(out.join(&sample.name));
            ensure(
                opened.is_ok_and(|bytes| bytes == sample.bytes),
                &format!("{} is not what was sent", sample.name),
            )?;
        }
        ensure(
            fs::read_dir(&out)?.count() == received.sent.len(),
            "there are other files",
        )
    }

    fn refuses(&self, received: &Received, key: &Path, share: Option<&Path>, reason: &str) -> Outcome {
        let output = self.opener(received, key, share).output()?;
        let is_refused = !output.status.success() && said(&output).trim() == format!("refused: {reason}");
        ensure(is_refused, &said(&output))
    }

    fn opener(&self, received: &Received, key: &Path, share: Option<&Path>) -> Command {
        let mut opener = self.script("open_container.py");
        opener.arg(&received.container).arg("--key").arg(key);
        if let Some(share) = share {
            opener.arg("--share").arg(share);
        }
        opener
    }
}

/// A transfer as its recipient kept it, with the exported keys of both people.
struct Received {
    folder: tempfile::TempDir,
    sent: Vec<samples::Sample>,
    container: PathBuf,
    share: PathBuf,
    key: PathBuf,
    senders_key: PathBuf,
}

impl Received {
    /// Sent and received with the real programs.
    fn from_a_gateway() -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("sealpost-interop-").tempdir()?;
        let at = |name: &str| folder.path().join(name);
        let gateway = Gateway::start(folder.path(), "info")?;
        let organisation = Organisation::found(&gateway.setup_string(), &at("people"), "Example Clinic", DESK)?;
        let (desk, provider) = (&organisation.admin, organisation.member("provider", PROVIDER)?);
        let sent = samples::referral("Ann Example");
        let paths: Vec<PathBuf> = sent.iter().map(|sample| at(&sample.name)).collect();
        let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"send", &"--to", &PROVIDER];
        for (path, sample) in paths.iter().zip(&sent) {
            fs::write(path, &sample.bytes)?;
            words.push(path);
        }
        let answer = desk.ask(&words)?;
        let transfer = answer.get("transfer").and_then(Value::as_str);
        let transfer = transfer.ok_or("the answer names no transfer")?;
        let (container, into) = (at("kept.sealed"), at("received"));
        fs::create_dir(&into)?;
        let keep: [&dyn AsRef<std::ffi::OsStr>; 3] = [&"--keep-sealed", &container, &"--with-share"];
        let receive: [&dyn AsRef<std::ffi::OsStr>; 4] = [&"receive", &transfer, &"--into", &into];
        provider.ask(&[&receive[..], &keep[..]].concat())?;
        provider.ask(&[&"keys", &"export", &"--out", &at("provider.key")])?;
        desk.ask(&[&"keys", &"export", &"--out", &at("desk.key")])?;
        gateway.stop()?;
        Ok(Self {
            share: at("kept.sealed.share"),
            key: at("provider.key"),
            senders_key: at("desk.key"),
            container,
            sent,
            folder,
        })
    }
}

/// The numbers of a line `N passed, N failed`.
fn tally_in(line: &str) -> Option<Tally> {
    let (passed, failed) = line.strip_suffix(" failed")?.split_once(" passed, ")?;
    Some(Tally {
        passed: passed.parse().ok()?,
        failed: failed.parse().ok()?,
    })
}

fn ensure(holds: bool, otherwise: &str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
