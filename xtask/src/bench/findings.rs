//! What a workload found: tables, figures by name, notes. Kept as JSON, one file a workload, so that the document can be written
//! from runs of several days.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;

use serde::{Deserialize, Serialize};

use super::kept;
use super::machine::Before;
use crate::run::Outcome;

/// Median, least and most of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Of these values; nothing if there are none.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = *sorted
            .get(middle.saturating_sub(1 - sorted.len() % 2))
            .unwrap_or(&upper);
        Some(Self {
            median: (lower + upper) / 2.0,
            least: *sorted.first()?,
            most: *sorted.last()?,
        })
    }

    /// Median and spread, with so many digits behind the point.
    pub(super) fn text(self, digits: usize) -> String {
        let Self { median, least, most } = self;
        if (most - least).abs() < f64::EPSILON {
            return format!("{median:.digits$}");
        }
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

/// A table of texts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Table {
    pub(super) title: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(title: &str, head: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            head: head.iter().map(ToString::to_string).collect(),
            rows: Vec::new(),
        }
    }

    /// As Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = format!("|{}\n", "---|".repeat(self.head.len()));
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let title = if self.title.is_empty() {
            String::new()
        } else {
            format!("{}\n\n", self.title)
        };
        format!("{title}{}{rule}{rows}", line(&self.head))
    }
}

/// What a workload found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Findings {
    pub(super) tables: Vec<Table>,
    pub(super) figures: BTreeMap<String, Spread>,
    pub(super) notes: Vec<String>,
}

impl Findings {
    /// Adds a figure of several runs.
    pub(super) fn spread(&mut self, name: String, values: &[f64]) {
        if let Some(spread) = Spread::of(values) {
            self.figures.insert(name, spread);
        }
    }

    /// Adds a figure that was measured once.
    pub(super) fn once(&mut self, name: &str, value: f64) {
        self.spread(name.to_owned(), &[value]);
    }

    /// Adds a note.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Takes in what was found besides.
    pub(super) fn join(&mut self, other: Self) {
        self.tables.extend(other.tables);
        self.figures.extend(other.figures);
        self.notes.extend(other.notes);
    }
}

/// Findings with when and where they were found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) commit: String,
    pub(super) date: String,
    pub(super) machine: String,
    pub(super) before: Before,
    /// How long all of it took.
    pub(super) seconds: u64,
    pub(super) findings: Findings,
}

impl Record {
    /// What was kept of this workload.
    pub(super) fn read(name: &str) -> Outcome<Option<Self>> {
        match fs::read(kept().join(name).with_extension("json")) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps it, in place of what was kept before.
    pub(super) fn keep(&self) -> Outcome {
        fs::create_dir_all(kept())?;
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(fs::write(kept().join(&self.name).with_extension("json"), text)?)
    }

    /// As Markdown.
    pub(super) fn text(&self) -> String {
        let tables: String = self
            .findings
            .tables
            .iter()
            .map(|table| table.markdown() + "\n")
            .collect();
        let notes: String = self.findings.notes.iter().map(|note| format!("- {note}\n")).collect();
        let space = if notes.is_empty() { "" } else { "\n" };
        format!("{tables}{notes}{space}{}\n", self.origin())
    }

    fn origin(&self) -> String {
        let Before { load, busy } = self.before;
        let warning = if busy > 0.3 {
            " **The machine was not quiet: these figures say little.**"
        } else if load > 1.0 {
            " The load average has what this command ran before."
        } else {
            ""
        };
        format!(
            "Commit {}, {}, {} s in all; {}; before it, load average {load:.2} and {busy:.2} cores busy.{warning}",
            self.commit, self.date, self.seconds, self.machine
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        let odd = Spread::of(&[3.0, 1.0, 2.0]).expect("a spread");
        assert_eq!((odd.median, odd.least, odd.most), (2.0, 1.0, 3.0));
        let even = Spread::of(&[4.0, 1.0, 2.0, 3.0]).expect("a spread");
        assert_eq!(even.median, 2.5);
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0]).expect("a spread").text(2), "1.00");
    }

    #[test]
    fn a_table_is_markdown() {
        let mut table = Table::new("", &["a", "b"]);
        table.rows.push(vec!["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.markdown(), "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
