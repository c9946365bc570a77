//! The bytes of one file: what is durable, and every newer state of each page and of the length.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::Age;
use crate::faults::dice::Dice;

/// Bytes of a page: what a disk writes whole or not at all.
pub const PAGE: usize = 4096;

type Bytes = Rc<[u8; PAGE]>;

/// A state, and the call that made it.
#[derive(Debug, Clone)]
struct Newer<T> {
    age: Age,
    state: T,
}

/// Something of which the last durable state and all newer ones are known.
#[derive(Debug, Clone, Default)]
struct History<T> {
    durable: T,
    newer: Vec<Newer<T>>,
}

impl<T: Clone> History<T> {
    fn current(&self) -> &T {
        self.newer.last().map_or(&self.durable, |newer| &newer.state)
    }

    fn push(&mut self, age: Age, state: T) {
        self.newer.push(Newer { age, state });
    }

    /// The newest state that was made before a sync began is the oldest that may be found afterwards.
    fn sync(&mut self, is_done: &dyn Fn(Age) -> bool) {
        if let Some(last) = self.newer.iter().rposition(|newer| is_done(newer.age)) {
            let kept = self.newer.split_off(last + 1);
            if let Some(newest) = self.newer.pop() {
                self.durable = newest.state;
            }
            self.newer = kept;
        }
    }

    /// One of the states that may be found after a cut: in `percent` of a hundred cases a newer one.
    fn choose(&self, dice: &mut Dice, percent: u64) -> &T {
        if self.newer.is_empty() || !dice.percent(percent) {
            return &self.durable;
        }
        let chosen = self.newer.get(dice.index(self.newer.len()));
        chosen.map_or(&self.durable, |newer| &newer.state)
    }
}

/// A file's bytes. A page that is not there is zero.
#[derive(Debug, Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, History<Option<Bytes>>>,
    len: History<u64>,
}

impl Content {
    /// Durable bytes.
    pub(super) fn durable(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        content.len.durable = bytes.len() as u64;
        for (number, chunk) in (0..).zip(bytes.chunks(PAGE)) {
            if chunk.iter().any(|byte| *byte != 0) {
                let mut page = [0; PAGE];
                page.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
                content.pages.entry(number).or_default().durable = Some(Rc::new(page));
            }
        }
        content
    }

    /// Length as a process sees it.
    pub(super) fn len(&self) -> u64 {
        *self.len.current()
    }

    pub(super) fn write(&mut self, age: Age, offset: u64, bytes: &[u8]) {
        let mut rest = bytes;
        let mut at = offset;
        while !rest.is_empty() {
            let (number, within) = (at / PAGE as u64, usize::try_from(at % PAGE as u64).unwrap_or(0));
            let (now, later) = rest.split_at(rest.len().min(PAGE - within));
            self.overwrite(age, number, within, now);
            at += now.len() as u64;
            rest = later;
        }
        self.extend(age, offset + bytes.len() as u64);
    }

    fn overwrite(&mut self, age: Age, number: u64, within: usize, bytes: &[u8]) {
        let history = self.pages.entry(number).or_default();
        let mut page = history.current().as_deref().copied().unwrap_or([0; PAGE]);
        let targets = page.iter_mut().skip(within);
        targets.zip(bytes).for_each(|(to, from)| *to = *from);
        history.push(age, Some(Rc::new(page)));
    }

    /// The file is at least this long.
    pub(super) fn extend(&mut self, age: Age, len: u64) {
        if len > self.len() {
            self.len.push(age, len);
        }
    }

    /// The file is this long; what stood beyond is gone, also when it grows again.
    pub(super) fn truncate(&mut self, age: Age, len: u64) {
        let (first, within) = (len / PAGE as u64, usize::try_from(len % PAGE as u64).unwrap_or(0));
        if within > 0 && self.pages.contains_key(&first) {
            self.overwrite(age, first, within, &[0; PAGE]);
        }
        let from = if within > 0 { first + 1 } else { first };
        for (_, history) in self.pages.range_mut(from..) {
            history.push(age, None);
        }
        if len != self.len() {
            self.len.push(age, len);
        }
    }

    pub(super) fn sync(&mut self, is_done: &dyn Fn(Age) -> bool) {
        self.pages.values_mut().for_each(|history| history.sync(is_done));
        self.len.sync(is_done);
    }

    /// Length and pages as a cut may leave them: in `percent` of a hundred cases each is newer than what is durable.
    pub(super) fn cut(&self, dice: &mut Dice, percent: u64) -> (u64, Vec<(u64, Bytes)>) {
        let len = *self.len.choose(dice, percent);
        let chosen = self
            .pages
            .iter()
            .map(|(number, history)| (*number, history.choose(dice, percent).clone()));
        (len, chosen.filter_map(|(number, page)| Some((number, page?))).collect())
    }

    /// Length and pages as a process sees them.
    pub(super) fn now(&self) -> (u64, Vec<(u64, Bytes)>) {
        let pages = self
            .pages
            .iter()
            .map(|(number, history)| (*number, history.current().clone()));
        (
            self.len(),
            pages.filter_map(|(number, page)| Some((number, page?))).collect(),
        )
    }

    /// Whether anything is newer than what is durable.
    pub(super) fn is_dirty(&self) -> bool {
        !self.len.newer.is_empty() || self.pages.values().any(|history| !history.newer.is_empty())
    }
}
