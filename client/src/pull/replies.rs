//! Replies that a command leaves for the sender of a transfer: sent once, whatever crashes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Address, TransferId};

use super::Puller;
use super::event::Event;
use super::job::{Job, Step};
use super::jobs::pause;
use super::watch::{is_away, is_fatal};
use crate::error::Error;
use crate::platform;
use crate::send::{self, Draft, Input, Sent};

/// Where commands leave their replies, below the client's folder.
const REPLIES: &str = "pull-replies";

impl Puller {
    /// An empty folder for the replies to one transfer.
    pub(super) fn empty_reply_folder(&self, job: &Job) -> Result<PathBuf, Error> {
        let folder = self.reply_folder(job);
        let failed = |error| Error::file("make the folder", &folder, error);
        // What a try that failed has left is no reply.
        set_aside(&folder, &hex(&self.session.env.draw::<8>())).map_err(failed)?;
        platform::create_private_dir(&folder).map_err(failed)?;
        Ok(folder)
    }

    fn reply_folder(&self, job: &Job) -> PathBuf {
        let replies = self.session.home.path().join(REPLIES);
        replies.join(job.transfer.to_string())
    }

    /// The files that the command left, in the order of their names.
    pub(super) fn replies_of(&self, job: &Job) -> Result<Vec<PathBuf>, Error> {
        let folder = self.reply_folder(job);
        let failed = |error| Error::file("read the folder", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_file() {
                files.push(entry.path());
            }
        }
        files.sort();
        make_durable(&folder, &files)?;
        Ok(files)
    }

    pub(super) fn remove_reply_folder(&self, job: &Job) {
        // What cannot be removed is set aside before the next use, and is sent nowhere.
        let _ = platform::remove_tree(&self.reply_folder(job));
    }

    /// Sends what the command left to the sender, and ends the job.
    pub(super) async fn answer(&mut self, job: &mut Job, tries: u32) -> Result<(), Error> {
        let files = match self.replies_of(job) {
            Ok(files) => files,
            Err(error) => return self.answer_failed(job, tries, &error),
        };
        if files.is_empty() {
            self.remove_reply_folder(job);
            return job.remove(&self.session);
        }
        let address = job
            .sender
            .and_then(|label| self.people.get(&label))
            .or(job.address.as_ref());
        let sent = match address.cloned() {
            None => Err(Error::Input(
                "The sender's address is not proven, so there is nobody to reply to.".to_owned(),
            )),
            Some(to) => {
                let key = format!("reply/{}", job.transfer);
                self.send_files(&key, &files, to.clone(), Some(job.transfer))
                    .await
                    .map(|sent| (to, sent))
            }
        };
        match sent {
            Ok((to, (sent, was_sent))) => {
                self.outcome.replies += u64::from(!was_sent);
                self.tell(&Event::replied(&to, Some(&job.transfer), &sent.transfer, was_sent));
                self.remove_reply_folder(job);
                job.remove(&self.session)
            }
            Err(error) if is_away(&error) || is_fatal(&error) => Err(error),
            Err(error) => self.answer_failed(job, tries, &error),
        }
    }

    fn answer_failed(&mut self, job: &mut Job, tries: u32, error: &Error) -> Result<(), Error> {
        self.outcome.note(error);
        self.tell(&Event::reply_failed(&job.sender_name(), Some(&job.transfer), error));
        let tries = tries.saturating_add(1);
        let due = self.session.env.now().saturating_add(pause(tries));
        job.step = Step::Answering { tries, due };
        job.put(&self.session)
    }

    /// Sends files to one person, once under this key.
    pub(super) async fn send_files(
        &mut self,
        key: &str,
        files: &[PathBuf],
        to: Address,
        reply_to: Option<TransferId>,
    ) -> Result<(Sent, bool), Error> {
        let mut input = Input::default();
        for file in files {
            input.add_found(file)?;
        }
        let draft = Draft {
            input,
            recipients: vec![to],
            subject: None,
            note: None,
            patients: Vec::new(),
            purpose: self.settings.purpose.clone(),
            lifetime: self.settings.lifetime,
            openings: None,
            public_label: None,
            no_forward: false,
            link: None,
            reply_to,
        };
        let presence = std::sync::Arc::clone(&self.presence);
        send::once(&mut self.session, key, draft, presence).await
    }
}

/// Makes the place of a folder free, whatever is in it: a command can leave what cannot be removed, but nothing that cannot be renamed.
fn set_aside(folder: &Path, unique: &str) -> io::Result<()> {
    match platform::remove_tree(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(_) => {
            let mut name = folder.file_name().unwrap_or_default().to_owned();
            name.push(format!(".{unique}"));
            platform::rename_new(folder, &folder.with_file_name(name))
        }
        Ok(()) => Ok(()),
    }
}

/// A reply counts once the command has ended well: from then on it must survive a power cut.
fn make_durable(folder: &Path, files: &[PathBuf]) -> Result<(), Error> {
    if files.is_empty() {
        return Ok(());
    }
    platform::sync_files(folder, files)
        .and_then(|()| platform::sync_parent(folder))
        .map_err(|error| Error::file("write", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_reply_folder_is_freed_even_if_what_is_there_cannot_be_removed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("replies");
        set_aside(&folder, "0").unwrap();
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/f"), "x").unwrap();
        set_aside(&folder, "1").unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "it could be removed");
        // As a folder that belongs to somebody else: it cannot be read, let alone emptied.
        fs::write(&folder, "no folder").unwrap();
        set_aside(&folder, "2").unwrap();
        assert!(!folder.exists() && dir.path().join("replies.2").exists());
    }
}
