//! Kill rounds: SIGKILL to the gateway or to the client at a random moment, then a comparison with the account.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use sealpost_client::records::ReceivedRecord;
use sealpost_client::transfers::List;
use sealpost_proto::id::{Hash, TransferId};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::acks::{Account, Sealed, now};
use super::check::{Checker, Depth};
use super::dice::Dice;
use super::process::Process;
use super::workload::{Crew, Crowd, LARGE, Work, digest_of, file, transfer_of};
use super::world::{Party, World, remove};
use super::{Outcome, Verdict, failed, parts};
use crate::binaries;

/// Rounds on one gateway before it begins anew: what has gathered is compared as a whole at the end of each such life.
const LIFE: u64 = 20;
/// Transfers that are opened after a round.
const DEPTH: Depth = Depth { opened: 6, visited: 1 };
/// The same at the end of a life.
const WHOLE: Depth = Depth {
    opened: usize::MAX,
    visited: 8,
};
/// Tries of a command until it succeeds; of each killed one at most a second of work is lost.
const TRIES: u64 = 40;

const CREW: Crew = Crew {
    senders: 2,
    receivers: 2,
    pause: 30,
    large: 2,
};

/// Runs `rounds` kill rounds from a seed, half of them against the gateway, half against the client, up to the first that finds a
/// fault, and returns how many there were.
///
/// # Errors
/// When the harness itself fails. Faults of the product are in the verdict.
pub fn run(world: &World, rounds: u64, seed: u64) -> Outcome<(u64, Verdict)> {
    let runtime = Runtime::new().map_err(failed("a runtime"))?;
    let dice = Dice::new(seed);
    let mut verdict = Verdict::default();
    let mut done = 0;
    while done < rounds && verdict.is_clean() {
        let count = LIFE.min(rounds - done);
        let mut life = Life::begin(world, dice.part(done))?;
        verdict.add(runtime.block_on(life.run(count))?);
        if verdict.is_clean() {
            remove(&life.folder)?;
        }
        done += life.rounds;
    }
    Ok((done, verdict))
}

/// One gateway with everything that happened to it.
struct Life<'a> {
    world: &'a World,
    folder: PathBuf,
    account: Account,
    dice: Dice,
    rounds: u64,
}

impl<'a> Life<'a> {
    fn begin(world: &'a World, dice: Dice) -> Outcome<Self> {
        Ok(Self {
            world,
            folder: world.copy("life")?,
            account: Account::default(),
            dice,
            rounds: 0,
        })
    }

    async fn run(&mut self, rounds: u64) -> Outcome<Verdict> {
        let mut verdict = Verdict::default();
        let mut gateway = self.world.start(&self.folder)?;
        for round in 0..rounds {
            self.rounds += 1;
            let found;
            (gateway, found) = if round % 2 == 0 {
                self.kill_gateway(gateway).await?
            } else {
                let found = self.kill_client().await?;
                (gateway, found)
            };
            verdict.add(found);
            if !verdict.is_clean() {
                verdict.notes.push(format!("in round {} of this life", self.rounds));
                return Ok(verdict);
            }
        }
        verdict.add(self.check(WHOLE).await?);
        gateway.stop()?;
        Ok(verdict)
    }

    /// A new folder for this round.
    fn place(&self, name: &str) -> Outcome<PathBuf> {
        let place = self.folder.join(format!("{name}-{}", self.rounds));
        std::fs::create_dir_all(&place).map_err(failed(place.display()))?;
        Ok(place)
    }

    async fn kill_gateway(&mut self, gateway: Process) -> Outcome<(Process, Verdict)> {
        let place = self.place("crowd")?;
        let crowd = Crowd::start(self.world, &place, &self.account, CREW, &self.dice.part(self.rounds))?;
        tokio::time::sleep(Duration::from_millis(20 + self.dice.below(500))).await;
        gateway.kill()?;
        let gateway = if self.dice.percent(70) {
            crowd.leave().await;
            self.world.start(&self.folder)
        } else {
            // Clients that try again find the gateway that came back.
            let gateway = self.world.start(&self.folder);
            crowd.finish().await;
            gateway
        };
        remember_begun(self.world, &place, &self.account)?;
        match gateway {
            Ok(gateway) => Ok((gateway, self.check(DEPTH).await?)),
            Err(error) => {
                let mut verdict = Verdict::default();
                verdict.wrong(format!("the gateway does not start after a kill: {error}"));
                Ok((self.world.start(&self.world.copy("spare")?)?, verdict))
            }
        }
    }

    async fn check(&mut self, depth: Depth) -> Outcome<Verdict> {
        let place = self.place("check")?;
        let mut checker = Checker::new(self.world, &place)?;
        let mut verdict = checker.check(&self.account, depth, &mut self.dice).await;
        parts::check(&self.folder.join("data"), &self.account.lock(), &mut verdict);
        if verdict.is_clean() {
            remove(&place)?;
        }
        Ok(verdict)
    }

    /// A command is killed and given again until it succeeds; then what it was for has happened exactly once.
    async fn kill_client(&mut self) -> Outcome<Verdict> {
        let place = self.place("client")?;
        if self.dice.percent(50) {
            self.kill_send(&place).await
        } else {
            self.kill_receive(&place).await
        }
    }

    /// Sent under a key, killed, perhaps resumed, and given again until there is an answer: one transfer has come of it.
    async fn kill_send(&mut self, place: &Path) -> Outcome<Verdict> {
        let mut verdict = Verdict::default();
        let len = match self.dice.below(100) {
            0..55 => 40_000,
            55..90 => 400_000,
            _ => LARGE,
        };
        let (path, digest) = file(place, &mut self.dice, len, &self.account)?;
        let path = path.to_string_lossy().into_owned();
        let view = self.world.provider.session(&place.join("view"))?;
        let before = inbox(&view).await?;
        let desk = &self.world.desk;
        let key = path.as_str();
        let send = [
            "--json",
            "send",
            "--once",
            key,
            "--to",
            "provider@practice.example",
            key,
        ];
        let mut answer = None;
        for attempt in 0..TRIES {
            if let Some(sent) = attempt_at(desk, &send, attempt, &mut self.dice)? {
                answer = text(&sent, "/transfer").map(str::to_owned);
                break;
            }
            // Whoever goes on with it first, the same command says what became of it.
            if self.dice.percent(50) {
                insist(desk, &["--json", "resume"], &mut self.dice)?;
            }
        }
        let transfer: Option<TransferId> = answer.and_then(|id| id.parse().ok());
        let after = inbox(&view).await?;
        let new: Vec<_> = after.difference(&before).collect();
        let Some(transfer) = transfer else {
            verdict.wrong("`send` never said what became of a transfer".to_owned());
            return Ok(verdict);
        };
        verdict.acknowledged(new.contains(&&transfer), || {
            format!("{transfer} was sent, and did not arrive")
        });
        if new.len() > 1 {
            verdict.doubled(format!("one command sent {} transfers", new.len()));
        }
        let sealed = Sealed {
            hh: sent_hash(desk, &transfer)?,
            digest,
            limit: None,
            at: now(),
        };
        let begun = names(desk)?;
        let mut acks = self.account.lock();
        acks.begun.extend(begun);
        acks.sealed.insert(transfer, sealed);
        drop(acks);
        Ok(verdict)
    }

    async fn kill_receive(&mut self, place: &Path) -> Outcome<Verdict> {
        let mut verdict = Verdict::default();
        let mut desk = self.world.desk.session(&place.join("desk"))?;
        let len = if self.dice.percent(60) { 30_000 } else { 600_000 };
        let mut work = Work {
            folder: place,
            dice: &mut self.dice,
            account: &self.account,
        };
        let transfer = transfer_of(&mut desk, &mut work, len).await?;
        let target = place.join("received");
        std::fs::create_dir_all(&target).map_err(failed("a folder"))?;
        let (id, into) = (transfer.to_string(), target.to_string_lossy().into_owned());
        insist(
            &self.world.provider,
            &["--json", "receive", &id, "--into", &into],
            &mut self.dice,
        )?;
        self.remember_received(transfer)?;
        // A command that was killed after its work was done leaves its receipt to the next one.
        ask(&self.world.provider, &["--json", "inbox"])?;
        let digest = self
            .account
            .lock()
            .sealed
            .get(&transfer)
            .map(|sealed| sealed.digest.clone());
        let files = names_in(&target)?;
        verdict.acknowledged(!files.is_empty(), || format!("{id} was received, and nothing is there"));
        if files.len() > 1 {
            verdict.doubled(format!("{id} left {files:?}"));
        }
        for name in files.iter().filter(|name| target.join(name).is_file()) {
            if Some(digest_of(&target.join(name))?) != digest {
                verdict.wrong(format!("{id} left {name} with other bytes"));
            }
        }
        let summary = List::In.find(&desk_view(self.world, place)?.api, &id).await;
        let summary = summary.map_err(failed("the transfer"))?;
        let recipient = summary.recipients.first();
        let used = recipient.map_or(0, |recipient| recipient.openings_used);
        verdict.acknowledged(used > 0, || format!("the opening of {id}"));
        if used > 1 {
            verdict.doubled(format!("{id} was opened {used} times by one command"));
        }
        let is_receipted = recipient.is_some_and(|recipient| recipient.receipt.is_some());
        verdict.acknowledged(is_receipted, || format!("the receipt of {id}"));
        self.account.lock().receipt(transfer);
        Ok(verdict)
    }

    /// Takes into the account the one opening that `receive` made, however often it was killed, as it remembers it itself.
    fn remember_received(&self, transfer: TransferId) -> Outcome {
        let provider = &self.world.provider;
        let session = provider.resume(provider.person.home())?;
        let mut acks = self.account.lock();
        let hh = acks
            .sealed
            .get(&transfer)
            .map(|sealed| sealed.hh)
            .ok_or("no such seal")?;
        let record = ReceivedRecord::get(&session.state, &hh).map_err(failed("a record"))?;
        let record = record.ok_or("`receive` remembers nothing")?;
        acks.ask(transfer, record.opening);
        acks.open(transfer, record.opening);
        Ok(())
    }
}

fn desk_view(world: &World, place: &Path) -> Outcome<sealpost_client::Session> {
    world.provider.session(&place.join("view"))
}

/// Transfers in an inbox.
async fn inbox(session: &sealpost_client::Session) -> Outcome<BTreeSet<TransferId>> {
    let all = List::In
        .list(&session.api, usize::MAX)
        .await
        .map_err(failed("the inbox"))?;
    Ok(all.into_iter().map(|summary| summary.transfer).collect())
}

/// Runs a command and kills it, again and again, later each time, until it succeeds.
fn insist(who: &Party, words: &[&str], dice: &mut Dice) -> Outcome<Value> {
    for attempt in 0..TRIES {
        if let Some(answer) = attempt_at(who, words, attempt, dice)? {
            return Ok(answer);
        }
    }
    Err(format!("`sealpost {}` does not succeed", words.join(" ")))
}

/// Runs a command and perhaps kills it, in the first half of all tries. None if it was killed.
fn attempt_at(who: &Party, words: &[&str], attempt: u64, dice: &mut Dice) -> Outcome<Option<Value>> {
    let mut child = command(who, words)?.spawn().map_err(failed("sealpost"))?;
    if attempt < TRIES / 2 {
        // Opening the key file takes most of the time of a command; what counts comes after it.
        std::thread::sleep(Duration::from_millis(dice.below(60 + attempt * 60)));
        if dice.percent(90) {
            child.kill().map_err(failed("kill"))?;
        }
    }
    let output = child.wait_with_output().map_err(failed("sealpost"))?;
    match output.status.code() {
        Some(0) => serde_json::from_slice(&output.stdout)
            .map(Some)
            .map_err(failed("the answer")),
        Some(ALREADY_RECEIVED) => Ok(Some(Value::Null)),
        None => Ok(None),
        Some(code) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("`sealpost {}` ended with {code}: {said}", words.join(" ")))
        }
    }
}

/// Exit code of docs/cli.md.
const ALREADY_RECEIVED: i32 = 15;

fn ask(who: &Party, words: &[&str]) -> Outcome<Value> {
    let output = command(who, words)?.output().map_err(failed("sealpost"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(failed("the answer"))
}

fn command(who: &Party, words: &[&str]) -> Outcome<Command> {
    let mut command = Command::new(binaries::find("sealpost")?);
    command
        .args(["--home".as_ref(), who.person.home().as_os_str()])
        .args(["--passphrase-file".as_ref(), who.person.passphrase_file().as_os_str()])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Ok(command)
}

/// Transfers that a person's own client remembers to have begun.
fn names(who: &Party) -> Outcome<Vec<TransferId>> {
    let session = who.resume(who.person.home())?;
    let names = session.state.names("sent").map_err(failed("what was sent"))?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

fn sent_hash(who: &Party, transfer: &TransferId) -> Outcome<Hash> {
    let session = who.resume(who.person.home())?;
    let record = sealpost_client::records::SentRecord::get(&session.state, transfer);
    let record = record.map_err(failed("a record"))?;
    record
        .map(|record| record.hh)
        .ok_or_else(|| format!("no record of {transfer}"))
}

/// Takes into the account what senders had begun when they were sent home.
fn remember_begun(world: &World, place: &Path, account: &Account) -> Outcome {
    for n in 0..CREW.senders {
        let session = world.desk.resume(&place.join(format!("sender-{n}")))?;
        let names = session.state.names("sent").map_err(failed("what was sent"))?;
        account
            .lock()
            .begun
            .extend(names.iter().filter_map(|name| name.parse::<TransferId>().ok()));
    }
    Ok(())
}

fn names_in(folder: &Path) -> Outcome<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(failed(folder.display()))?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| Some(entry.ok()?.file_name().to_string_lossy().into_owned());
    Ok(entries.filter_map(name).collect())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}
