//! Pulling what waits in the inbox, and what was told of one by one.

use std::path::PathBuf;
use std::sync::Arc;

use sealpost_proto::api::{TransferState, TransferSummary};
use sealpost_proto::id::{Hash, Label, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Header;

use super::event::Event;
use super::job::Job;
use super::{Puller, folders, watch};
use crate::api::ApiError;
use crate::error::Error;
use crate::receive::state::{RECEIVING, ReceivingHead};
use crate::receive::{self, Options, Received, Unattended};
use crate::resume::begun::Begun;
use crate::resume::patience::persist;
use crate::session::Session;
use crate::transfers::List;
use crate::verify;

/// Few enough that a page of transfers to many recipients fits into one answer.
const PAGE: usize = 50;

/// Whom a failure concerns.
enum Failure {
    /// Nothing can be pulled for now.
    All(Error),
    /// One transfer alone.
    One(Error),
}

impl Puller {
    /// Gives files their names where a crash interrupted that, and notes what is to be done with them.
    ///
    /// # Errors
    /// When the records cannot be read; what fails for one transfer alone is told, and tried again.
    pub(super) fn finish_placing(&mut self) -> Result<(), Error> {
        for head in receive::pulled(&self.session)? {
            let session = &self.session;
            folders::check(session, &self.settings.into)?;
            let note = |received: &Received, head: &ReceivingHead| note(session, received, head);
            match receive::place_pulled(session, &head.hh, &note) {
                Ok(Some(received)) => self.count(&received)?,
                Ok(None) => {}
                Err(error) => self.tell_failed(&head.transfer, &error),
            }
        }
        Ok(())
    }

    fn count(&mut self, received: &Received) -> Result<(), Error> {
        self.outcome.received += 1;
        match &received.sender {
            Some(label) => self.silence.heard(&self.session, label, self.session.env.now()),
            None => Ok(()),
        }
    }

    /// Pulls everything behind the cursor.
    ///
    /// # Errors
    /// When the gateway is away or cannot be trusted; what fails for one transfer alone is told, and tried again if that can help.
    pub(super) async fn catch_up(&mut self) -> Result<(), Error> {
        let mut may_begin_again = true;
        loop {
            let after = self.cursor.seen();
            let (api, presence) = (Arc::clone(&self.session.api), Arc::clone(&self.presence));
            let page = persist(&*presence, || api.inbox_after(after, PAGE)).await?.transfers;
            if page.is_empty() {
                return Ok(());
            }
            let positions: Option<Vec<u64>> = page.iter().map(|summary| summary.position).collect();
            let Some(positions) = positions else {
                return self.catch_up_without_positions().await;
            };
            let first = positions.first().copied().unwrap_or_default();
            if first <= after && may_begin_again {
                // It does not know the cursor, as after it was put back from a copy: everything comes again.
                may_begin_again = false;
                self.cursor.begin_at(first.saturating_sub(1));
            }
            if !is_rising_behind(self.cursor.seen(), &positions) || page.len() > PAGE {
                return Err(ApiError::Answer("its pages are not in order").into());
            }
            self.know_senders(&page).await?;
            for (position, summary) in positions.into_iter().zip(&page) {
                self.take(position, summary).await?;
            }
            self.cursor.keep(&self.session)?;
        }
    }

    /// Of a gateway that gives none: everything is looked at each time.
    async fn catch_up_without_positions(&mut self) -> Result<(), Error> {
        let mut all = List::In.list(&self.session.api, usize::MAX).await?;
        all.reverse();
        self.know_senders(&all).await?;
        for summary in &all {
            match self.pull_one(summary).await {
                Err(Failure::All(error)) => return Err(error),
                Err(Failure::One(error)) => self.tell_failed(&summary.transfer, &error),
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Pulls what a feed has told of.
    pub(super) async fn take_told(&mut self, position: u64, transfer: &TransferId) -> Result<(), Error> {
        if position <= self.cursor.seen() {
            return Ok(());
        }
        let (api, presence) = (Arc::clone(&self.session.api), Arc::clone(&self.presence));
        match persist(&*presence, || api.transfer(transfer)).await {
            Ok(summary) => {
                self.know_senders(std::slice::from_ref(&summary)).await?;
                self.take(position, &summary).await?;
            }
            // Withdrawn meanwhile.
            Err(error) if receive::is_over(&error) => {
                self.give_up(transfer, &error.into())?;
                self.cursor.seen_to(position);
            }
            Err(error) => match self.blame(error.into()).await {
                Failure::All(error) => return Err(error),
                Failure::One(error) => {
                    self.put_off(position, transfer, &error);
                    self.cursor.seen_to(position);
                }
            },
        }
        self.cursor.keep(&self.session)
    }

    /// Tries again what failed before and is due.
    pub(super) async fn retry_due(&mut self) -> Result<(), Error> {
        for (position, transfer) in self.cursor.due() {
            match self.session.api.transfer(&transfer).await {
                Ok(summary) => {
                    self.know_senders(std::slice::from_ref(&summary)).await?;
                    self.take(position, &summary).await?;
                }
                Err(error) if receive::is_over(&error) => {
                    self.give_up(&transfer, &error.into())?;
                    self.cursor.settled(position);
                }
                Err(error) => match self.blame(error.into()).await {
                    Failure::All(error) => return Err(error),
                    Failure::One(error) => self.put_off(position, &transfer, &error),
                },
            }
            self.cursor.keep(&self.session)?;
        }
        Ok(())
    }

    /// What was begun and is no more is told, and what is staged of it goes.
    fn give_up(&mut self, transfer: &TransferId, error: &Error) -> Result<(), Error> {
        for head in receive::pulled(&self.session)? {
            if head.transfer == *transfer {
                self.tell_failed(transfer, error);
                // But for what is half in place, which is still finished.
                let _ = receive::expire(&self.session, &head.hh);
            }
        }
        Ok(())
    }

    /// After this the mirror holds every directory that an honest receipt in the list names, and the addresses of its senders.
    async fn know_senders(&mut self, list: &[TransferSummary]) -> Result<(), Error> {
        self.session.update().await?;
        let is_known = |summary: &TransferSummary| {
            let sender = verify::pieces(summary)
                .ok()
                .and_then(|(header, _)| self.sender_of(&header));
            sender.is_none_or(|label| self.people.contains_key(&label))
        };
        if list.iter().all(is_known) {
            return Ok(());
        }
        self.refresh().await
    }

    fn sender_of(&self, header: &Header) -> Option<Label> {
        let directory = self.session.mirror.directory();
        let sender = header.sender_identity?;
        directory.member_by_identity(&sender).map(|member| member.label)
    }

    /// Pulls one, and moves the cursor past it; what failed and can succeed later stays behind, and is tried again.
    async fn take(&mut self, position: u64, summary: &TransferSummary) -> Result<(), Error> {
        match self.pull_one(summary).await {
            Ok(()) => self.cursor.settled(position),
            Err(Failure::All(error)) => return Err(error),
            Err(Failure::One(error)) => self.put_off(position, &summary.transfer, &error),
        }
        self.cursor.seen_to(position);
        Ok(())
    }

    fn put_off(&mut self, position: u64, transfer: &TransferId, error: &Error) {
        self.tell_failed(transfer, error);
        if is_final(error) {
            self.cursor.settled(position);
        } else {
            self.cursor.failed(position, *transfer);
        }
    }

    /// Whom a failure concerns. When the gateway fails at one transfer, as when it cannot read its bytes, and answers otherwise, those
    /// behind it need not wait.
    async fn blame(&self, error: Error) -> Failure {
        let is_all = watch::is_fatal(&error)
            || (watch::is_away(&error) && (is_of_all(&error) || self.session.api.info().await.is_err()));
        if is_all {
            Failure::All(error)
        } else {
            Failure::One(error)
        }
    }

    fn tell_failed(&mut self, transfer: &TransferId, error: &Error) {
        self.outcome.failed += 1;
        self.outcome.note(error);
        self.tell(&Event::failed(transfer, is_final(error), error));
    }

    /// Receives one transfer, if it is to be pulled and was not yet, and hands it on.
    async fn pull_one(&mut self, summary: &TransferSummary) -> Result<(), Failure> {
        // A medium that went away while it was watched must not count as a folder that was emptied, nor be filled where it was.
        folders::check(&self.session, &self.settings.into).map_err(Failure::All)?;
        match self.receive_one(summary).await {
            Ok(Some(hh)) => self.hand_on(&hh).await.map_err(|error| {
                if watch::is_away(&error) || watch::is_fatal(&error) {
                    Failure::All(error)
                } else {
                    Failure::One(error)
                }
            }),
            Ok(None) => Ok(()),
            Err(error) => Err(self.blame(error).await),
        }
    }

    async fn hand_on(&mut self, hh: &Hash) -> Result<(), Error> {
        match Job::get(&self.session, hh)? {
            Some(job) => self.run_job(job).await,
            None => Ok(()),
        }
    }

    /// Receives one transfer, if it is to be pulled and was not yet. Returns its header hash if so.
    async fn receive_one(&mut self, summary: &TransferSummary) -> Result<Option<Hash>, Error> {
        let (header, _) = verify::pieces(summary)?;
        let hh = Hash::from_bytes(header.hash());
        let sender = self.sender_of(&header);
        if receive::is_received(&self.session, &hh)? {
            self.heard_before(sender.as_ref(), summary)?;
            receive::forget_finished(&self.session, &hh)?;
            return Ok(None);
        }
        let is_wanted = self.from.is_empty() || sender.is_some_and(|label| self.from.contains(&label));
        let begun = Begun::<ReceivingHead>::head(&self.session.state, RECEIVING, &hh.to_string())?;
        // Of one that was begun and can be opened no more, the refusal is told, and what is staged goes.
        let is_open = summary.state == TransferState::Available || begun.is_some();
        if !is_wanted || !is_open || header.sender_identity.is_none() {
            return Ok(None);
        }
        let options = self.options_for(begun.as_ref(), sender.as_ref())?;
        let address = sender.and_then(|label| self.people.get(&label).cloned());
        let session = &self.session;
        let unattended = Unattended {
            address: address.as_ref(),
            note: &|received, head| note(session, received, head),
        };
        let progress = Arc::clone(&self.presence);
        let received = receive::receive_noting(session, summary, &options, unattended, progress).await;
        let received = match received {
            Err(Error::AlreadyReceived(_)) => return Ok(None),
            received => received?,
        };
        self.count(&received)?;
        Ok(Some(hh))
    }

    /// What was received by hand, or just before a crash, has come all the same: when the gateway took it.
    fn heard_before(&mut self, sender: Option<&Label>, summary: &TransferSummary) -> Result<(), Error> {
        let (_, seal) = verify::pieces(summary)?;
        let session = &self.session;
        let accepted = verify::accepted(&summary.receipt, &session.account.at, &seal, &session.mirror);
        match (sender, accepted) {
            (Some(sender), Ok(accepted)) => self.silence.heard(session, sender, accepted.time),
            _ => Ok(()),
        }
    }

    /// How to receive it: as it was begun, if it was, so that what is half in place is not put elsewhere.
    fn options_for(&self, begun: Option<&ReceivingHead>, sender: Option<&Label>) -> Result<Options, Error> {
        if let Some(head) = begun {
            return head.options();
        }
        let target: PathBuf = self.folder_of(sender);
        folders::make(&target)?;
        Ok(Options {
            target,
            again: false,
            keep_sealed: None,
        })
    }
}

/// Writes down what is to be done about a transfer whose files are in place.
fn note(session: &Session, received: &Received, head: &ReceivingHead) -> Result<(), Error> {
    let address = head.pulled.as_ref().and_then(|pulled| pulled.address.clone());
    Job::new(received, head.hh, address, &head.target()?, session.env.now())?.put(session)
}

fn is_rising_behind(after: u64, positions: &[u64]) -> bool {
    std::iter::once(&after)
        .chain(positions)
        .is_sorted_by(|one, next| one < next)
}

/// Whether a refusal that passes would meet every other transfer as well.
fn is_of_all(error: &Error) -> bool {
    let (Error::Api(error) | Error::Unfinished(error)) = error else {
        return false;
    };
    matches!(
        error.kind(),
        Some(ProblemKind::TooManyRequests | ProblemKind::AuditUnavailable)
    )
}

/// Whether another try cannot help.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Rejected(_) | Error::Anonymous => true,
        Error::Api(error) => receive::is_over(error),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use sealpost_proto::id::{Address, OpeningId};

    use super::super::config::{Config, Settings};
    use super::super::event::Listener;
    use super::*;
    use crate::receive::state::{self, Placing, Pulled, ReceivingRecord};
    use crate::receive::tests::sealed;

    #[derive(Debug)]
    struct Deaf;

    impl Listener for Deaf {
        fn event(&self, _: &Event) {}
    }

    /// A puller killed while it gave the two files their names: the first has its own.
    struct Killed {
        puller: Puller,
        hh: Hash,
        into: PathBuf,
        folder: PathBuf,
        _dirs: (tempfile::TempDir, tempfile::TempDir),
    }

    fn killed() -> Killed {
        let sealed = sealed(&[10, 20]);
        let opener = sealed.open().unwrap();
        let header = &opener.envelope().envelope().header;
        let (hh, manifest) = (Hash::from_bytes(header.hash()), opener.manifest().clone());
        let (summary, expires_at) = (sealed.summary.clone(), header.expires_at);
        let (session, dir) = sealed.into_session();
        session.home.create().unwrap();
        let work = tempfile::tempdir().unwrap();
        let into = work.path().join("in");
        let config = Config {
            into: Some(into.clone()),
            ..Config::default()
        };
        let settings = Settings::new(&config, &[], false, None).unwrap();
        let puller = Puller::open(session, settings, Arc::new(Deaf)).unwrap();
        let folder = into.join("desk@clinic.example");
        let options = Options {
            target: folder.clone(),
            again: false,
            keep_sealed: None,
        };
        let address: Address = "desk@clinic.example".parse().unwrap();
        let (transfer, opening) = (summary.transfer, OpeningId::from_bytes([1; 16]));
        let now = puller.session.env.now();
        let head = ReceivingHead::new(transfer, hh, opening, &options, now, expires_at).unwrap();
        let head = head.of_puller(Some(Pulled::new(&summary, Some(&address))));
        let (state, env) = (&puller.session.state, &puller.session.env);
        let mut receiving = state::begin(state, env, &hh.to_string(), head).unwrap();
        let names: Vec<String> = manifest.files.iter().map(|file| file.name.clone()).collect();
        let staging = folder.join(format!(".sealpost-{transfer}"));
        crate::platform::create_private_dir(&staging).unwrap();
        let contents = |number: usize, len| (0..=250_u8).cycle().skip(number).take(len).collect::<Vec<u8>>();
        fs::write(folder.join(&names[0]), contents(0, 10)).unwrap();
        fs::write(staging.join("1"), contents(1, 20)).unwrap();
        let placing = Placing {
            manifest,
            names,
            by_links: false,
        };
        receiving
            .append(&ReceivingRecord::Placing(Box::new(placing)), env)
            .unwrap();
        drop(receiving);
        Killed {
            puller,
            hh,
            into,
            folder,
            _dirs: (dir, work),
        }
    }

    fn names_in(folder: &Path) -> usize {
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    #[test]
    fn what_was_half_in_place_is_finished_and_noted_without_a_gateway() {
        let mut killed = killed();
        killed.puller.finish_placing().unwrap();
        let session = &killed.puller.session;
        assert_eq!((names_in(&killed.folder), killed.puller.outcome.received), (2, 1));
        assert!(receive::is_received(session, &killed.hh).unwrap());
        let job = Job::get(session, &killed.hh).unwrap().expect("its command is owed");
        assert_eq!(job.address.as_ref().map(Address::as_str), Some("desk@clinic.example"));
        assert_eq!(job.files.len(), 2);
        job.remove(session).unwrap();
        killed.puller.finish_placing().unwrap();
        assert!(
            Job::get(&killed.puller.session, &killed.hh).unwrap().is_none(),
            "it is finished once"
        );
    }

    #[test]
    fn nothing_is_placed_in_a_folder_that_became_another_one() {
        let mut killed = killed();
        let unmounted = killed.into.with_file_name("unmounted");
        fs::rename(&killed.into, &unmounted).unwrap();
        fs::create_dir_all(&killed.folder).unwrap();
        assert!(matches!(killed.puller.finish_placing(), Err(Error::Input(_))));
        assert_eq!(names_in(&killed.folder), 0, "what is missing there counts as nothing");
        fs::remove_dir_all(&killed.into).unwrap();
        fs::rename(&unmounted, &killed.into).unwrap();
        killed.puller.finish_placing().unwrap();
        assert_eq!(names_in(&killed.folder), 2);
    }

    #[test]
    fn a_gateway_that_answers_nothing_concerns_all_transfers() {
        let killed = killed();
        let away = || Error::Unfinished(ApiError::Unreachable("away".to_owned()));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let is_all = |error| matches!(runtime.block_on(killed.puller.blame(error)), Failure::All(_));
        assert!(is_all(away()));
        let full = Error::file("write", Path::new("x"), std::io::ErrorKind::StorageFull.into());
        assert!(!is_all(full));
        assert!(is_all(ApiError::WrongKey.into()));
    }
}
