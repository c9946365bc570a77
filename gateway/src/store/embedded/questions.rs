//! The questions of [`crate::store::views`], answered from the overlay and sled.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use sealpost_proto::id::{Hash, InviteId, Label, TransferId};

use super::book::Book;
use super::ledger::EmbeddedLedger;
use super::views::keys::{self, name};
use crate::domain::{Aggregate, Invite, Key, Organisation, Transfer};
use crate::store::StoreError;
use crate::store::views::{MostWatches, Page, Places, TooMany, Views, Watch};

#[async_trait]
impl Views for EmbeddedLedger {
    async fn organisation(&self) -> Result<Arc<Organisation>, StoreError> {
        self.ask(|book| Ok(Arc::clone(book.read().organisation()))).await
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<Arc<Transfer>>, StoreError> {
        let id = *id;
        self.ask(move |book| transfer(book, &id)).await
    }

    async fn link(&self, hash: &Hash) -> Result<Option<TransferId>, StoreError> {
        let prefix = name(keys::LINKS, &[hash.as_bytes()]);
        let found = self.ask(move |book| book.after(&prefix, None, 1)).await?;
        Ok(found.first().and_then(|(_, id)| keys::transfer_of(id)))
    }

    async fn stored_bytes(&self, sender: Option<&Label>) -> Result<u64, StoreError> {
        let sender = sender.copied();
        self.ask(move |book| Ok(book.read().usage(sender.as_ref()))).await
    }

    async fn invite(&self, id: &InviteId) -> Result<Option<Arc<Invite>>, StoreError> {
        let id = *id;
        self.ask(move |book| invite(book, &id)).await
    }

    async fn invites(&self) -> Result<Vec<Arc<Invite>>, StoreError> {
        self.ask(|book| {
            let names = book.after(&[keys::BIRTHS, keys::INVITE], None, usize::MAX)?;
            let ids = names.iter().filter_map(|(name, _)| keys::invite_of(name));
            ids.filter_map(|id| invite(book, &id).transpose()).collect()
        })
        .await
    }

    async fn inbox(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError> {
        let label = *label;
        self.ask(move |book| page(book, keys::INBOX, &label, before, limit))
            .await
    }

    async fn inbox_after(&self, label: &Label, after: u64, limit: usize) -> Result<Places, StoreError> {
        let label = *label;
        self.ask(move |book| places_after(book, &label, after, limit)).await
    }

    async fn position(&self) -> Result<u64, StoreError> {
        self.ask(|book| Ok(book.read().mark().seq)).await
    }

    fn watch(&self, label: &Label, most: MostWatches) -> Result<Watch, TooMany> {
        self.watchers.watch(*label, most)
    }

    async fn sent(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError> {
        let label = *label;
        self.ask(move |book| page(book, keys::SENT, &label, before, limit))
            .await
    }

    async fn due(&self, now: u64, limit: usize) -> Result<Vec<TransferId>, StoreError> {
        let high = name(keys::DUE, &[&now.to_be_bytes(), &[0xff; 16]]);
        let found = self
            .ask(move |book| book.range(&[keys::DUE], &high, false, limit))
            .await?;
        Ok(found.iter().filter_map(|(name, _)| keys::transfer_of(name)).collect())
    }

    async fn sealed_unended(&self, after: Option<TransferId>, limit: usize) -> Result<Vec<TransferId>, StoreError> {
        let after = after.map(|id| name(keys::UNENDED, &[id.as_bytes()]));
        let found = self
            .ask(move |book| book.after(&[keys::UNENDED], after.as_deref(), limit))
            .await?;
        Ok(found.iter().filter_map(|(name, _)| keys::transfer_of(name)).collect())
    }
}

fn transfer(book: &Book, id: &TransferId) -> io::Result<Option<Arc<Transfer>>> {
    let stored = book.aggregate(&Key::Transfer(*id))?;
    Ok(stored.and_then(|stored| match stored.aggregate {
        Aggregate::Transfer(transfer) => Some(transfer),
        _ => None,
    }))
}

fn invite(book: &Book, id: &InviteId) -> io::Result<Option<Arc<Invite>>> {
    let stored = book.aggregate(&Key::Invite(*id))?;
    Ok(stored.and_then(|stored| match stored.aggregate {
        Aggregate::Invite(invite) => Some(invite),
        _ => None,
    }))
}

/// Oldest first, positions behind `after`.
fn places_after(book: &Book, label: &Label, after: u64, limit: usize) -> io::Result<Places> {
    // What becomes durable while sled is read may show in part: a later one without an earlier one.
    let last = book.read().mark().seq;
    let Some(first) = after.checked_add(1).filter(|first| *first <= last) else {
        return Ok(Places::new());
    };
    let low = name(keys::INBOX, &[label.as_bytes(), &first.to_be_bytes()]);
    let high = name(keys::INBOX, &[label.as_bytes(), &last.to_be_bytes(), &[0xff; 16]]);
    let found = book.range(&low, &high, false, limit)?;
    let place = |name: &[u8]| Some((keys::position_of(name)?, keys::transfer_of(name)?));
    Ok(found.iter().filter_map(|(name, _)| place(name)).collect())
}

/// Newest first, positions below `before`.
fn page(book: &Book, map: u8, label: &Label, before: Option<u64>, limit: usize) -> io::Result<Page> {
    let Some(last) = before.map_or(Some(u64::MAX), |before| before.checked_sub(1)) else {
        return Ok(Page::new());
    };
    let low = name(map, &[label.as_bytes()]);
    let high = name(map, &[label.as_bytes(), &last.to_be_bytes(), &[0xff; 16]]);
    let found = book.range(&low, &high, true, limit)?;
    let found = found
        .iter()
        .filter_map(|(name, _)| Some((keys::position_of(name)?, keys::transfer_of(name)?)));
    let loaded = found.filter_map(|(position, id)| Some(transfer(book, &id).transpose()?.map(|t| (position, t))));
    loaded.collect()
}
