//! `cargo xtask demo`: the product from an empty folder to a verified delivery, with the real programs.
//!
//! Everything happens in a temporary folder. Each step says what it does; the first one that fails ends the demo.

mod files;
mod stay;

use std::path::{Path, PathBuf};

use clap::Args;
use sealpost_tests::disk;
use sealpost_tests::gateway::Gateway;
use sealpost_tests::organisation::Organisation;
use sealpost_tests::person::{Person, Words};
use serde_json::Value;

use crate::run::{Outcome, cargo};

const DESK: &str = "front.desk@clinic.example";
const PROVIDER: &str = "dr.reyes@practice.example";
const PATIENT: &str = "Ann Example";
const REFERENCE: &str = "urn:oid:2.999.417|SYN-000417";
const NOTE: &str = "Please advise on the opacity; the patient is told to expect your call.";

/// What to send, and what to do at the end.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Files and folders to send instead of synthetic ones.
    paths: Vec<PathBuf>,
    /// Keep the gateway running at the end and print commands to try.
    #[arg(long)]
    stay: bool,
}

/// Runs the demo.
pub(crate) fn run(options: &Options) -> Outcome {
    cargo("build --workspace --all-features --bins --locked --quiet")?;
    let folder = tempfile::Builder::new().prefix("sealpost-demo-").tempdir()?;
    let mut demo = Demo::start(folder.path())?;
    let sent = files::to_send(&options.paths, PATIENT, folder.path())?;
    let transfer = demo.send(&sent)?;
    demo.receive(&transfer, &sent, &folder.path().join("received"))?;
    demo.search(&sent)?;
    demo.show_status(&transfer)?;
    demo.show_audit_trail()?;
    if options.stay {
        stay::until_interrupted(&demo, folder.path())?;
    }
    demo.say("The gateway is asked to stop.");
    demo.gateway.stop()?;
    folder.close()?;
    println!("\nDone: everything above was checked, and nothing of it is left on this machine.");
    Ok(())
}

struct Demo {
    gateway: Gateway,
    desk: Person,
    provider: Person,
    step: u32,
}

impl Demo {
    /// A gateway with an organisation of two people.
    fn start(folder: &Path) -> Outcome<Self> {
        println!(
            "\n1. A gateway starts in {}, with no configuration but its folder and a free port.",
            folder.display()
        );
        let gateway = Gateway::start(folder, "info")?;
        println!("   It listens on port {} and wrote its setup string.", gateway.port());
        println!("2. The clinic's front desk founds the organisation with it, and invites a referring provider.");
        let people = folder.join("people");
        let organisation = Organisation::found(&gateway.setup_string(), &people, "Example Clinic", DESK)?;
        let provider = organisation.newcomer("provider", PROVIDER)?;
        println!("   The provider has made keys with the enrolment string, which the gateway never saw.");
        organisation.confirm(PROVIDER)?;
        println!("   The front desk checked the proof that came with them and signed the provider in.");
        Ok(Self {
            gateway,
            desk: organisation.admin,
            provider,
            step: 2,
        })
    }

    fn say(&mut self, text: &str) {
        self.step += 1;
        println!("{}. {text}", self.step);
    }

    /// Sends, and returns the transfer's id.
    fn send(&mut self, sent: &files::Sent) -> Outcome<String> {
        let bytes: usize = sent.files.iter().map(|file| file.bytes.len()).sum();
        self.say(&format!(
            "The front desk sends {} files ({bytes} bytes) with a note and a patient reference: seven days, three openings.",
            sent.files.len()
        ));
        let note = sent.folder.join("note.txt");
        let patient = sent.folder.join("patient.txt");
        std::fs::write(&note, NOTE)?;
        std::fs::write(&patient, REFERENCE)?;
        let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"send", &"--to", &PROVIDER];
        words.extend::<[&dyn AsRef<std::ffi::OsStr>; 8]>([
            &"--note-file",
            &note,
            &"--patient-file",
            &patient,
            &"--expires",
            &"7d",
            &"--openings",
            &"3",
        ]);
        words.extend(sent.paths.iter().map(|path| path as &dyn AsRef<std::ffi::OsStr>));
        let answer = self.desk.ask(&words)?;
        let transfer = answer
            .get("transfer")
            .and_then(Value::as_str)
            .ok_or("the answer names no transfer")?;
        println!("   Accepted as {transfer}.");
        Ok(transfer.to_owned())
    }

    /// Receives, and compares every byte.
    fn receive(&mut self, transfer: &str, sent: &files::Sent, into: &Path) -> Outcome {
        self.say("The provider looks into the inbox: sender, size and expiry, no names.");
        show(&self.provider, &[&"inbox"])?;
        self.say("The provider receives.");
        std::fs::create_dir_all(into)?;
        show(&self.provider, &[&"receive", &transfer, &"--into", &into])?;
        let mut expected: Vec<&[u8]> = sent.files.iter().map(|file| file.bytes.as_slice()).collect();
        let received = files::read_all(&[into.to_path_buf()])?;
        let mut found: Vec<&[u8]> = received.iter().map(|file| file.bytes.as_slice()).collect();
        expected.sort_unstable();
        found.sort_unstable();
        if expected != found {
            return Err("what was received is not what was sent".into());
        }
        println!(
            "   All {} files are identical to what was sent, byte by byte.",
            found.len()
        );
        Ok(())
    }

    /// Searches the gateway's disk for what was sent.
    fn search(&mut self, sent: &files::Sent) -> Outcome {
        self.say("The gateway's disk, keys and key ring are searched for what was sent.");
        let (system, value) = REFERENCE
            .split_once('|')
            .ok_or("a reference has a system and a value")?;
        let needles = disk::needles(&sent.files)
            .text("the patient's name", PATIENT)
            .text("the patient's number", value)
            .text("the system of the patient's number", system)
            .contents("the note", NOTE.as_bytes());
        if needles.search(&[&sent.folder])?.findings.is_empty() {
            return Err("the search does not even find what lies beside the files that were sent".into());
        }
        let report = needles.search(&[self.gateway.data(), &self.gateway.ring()])?;
        for finding in &report.findings {
            println!(
                "   FOUND: {} in {} ({})",
                finding.what,
                finding.file.display(),
                finding.encoding
            );
        }
        if !report.findings.is_empty() {
            return Err("the gateway's disk holds what only sender and recipient may know".into());
        }
        println!(
            "   Names, note, reference and {} windows of 16 bytes: none of them stands in {} files ({} bytes),\n   \
             neither as it is nor in UTF-16, base64 or hex.",
            needles.windows(),
            report.files,
            report.bytes
        );
        Ok(())
    }

    fn show_status(&mut self, transfer: &str) -> Outcome {
        self.say("The front desk asks how far it came.");
        show(&self.desk, &[&"status", &transfer])?;
        let status = self.desk.ask(&[&"status", &transfer])?;
        let state = status
            .pointer("/transfers/0/recipients/0/state")
            .and_then(Value::as_str);
        if state != Some("verified") {
            return Err(format!("the sender sees {state:?} instead of verified").into());
        }
        Ok(())
    }

    fn show_audit_trail(&mut self) -> Outcome {
        self.say("The audit trail, fetched and verified by the front desk's client.");
        show(&self.desk, &[&"audit", &"list"])?;
        show(&self.desk, &[&"audit", &"verify"])
    }
}

/// Runs `sealpost` for a person and shows what it prints.
fn show(person: &Person, words: &Words<'_>) -> Outcome {
    let run = person.run(words)?;
    for line in String::from_utf8_lossy(&run.stdout).lines() {
        println!("   | {line}");
    }
    if run.code != 0 {
        return Err(format!("`sealpost` ended with {}: {}", run.code, run.stderr.trim()).into());
    }
    Ok(())
}
