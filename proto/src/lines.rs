//! Lines of a signed text, each `<name> <value>`, read in the order in which the form has them.

use std::iter::Peekable;
use std::str::Split;

/// A line that is not the one that the form has here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LineError;

/// Reads lines one by one. The text ends with LF, as that of every note does.
pub(crate) struct Lines<'a>(Peekable<Split<'a, char>>);

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        let body = text.strip_suffix('\n').unwrap_or(text);
        Self(body.split('\n').peekable())
    }

    /// The next line, whatever it is.
    pub(crate) fn line(&mut self) -> Result<&'a str, LineError> {
        self.0.next().ok_or(LineError)
    }

    /// The value of the next line, which must be `<name> <value>`.
    pub(crate) fn value(&mut self, name: &str) -> Result<&'a str, LineError> {
        let value = self.line()?.strip_prefix(name).and_then(|rest| rest.strip_prefix(' '));
        value.ok_or(LineError)
    }

    /// As [`Lines::value`], cut at the first space.
    pub(crate) fn pair(&mut self, name: &str) -> Result<(&'a str, &'a str), LineError> {
        self.value(name)?.split_once(' ').ok_or(LineError)
    }

    /// The value of the next line if it is of that name.
    pub(crate) fn optional(&mut self, name: &str) -> Result<Option<&'a str>, LineError> {
        match self.0.peek() {
            Some(line) if line.starts_with(name) => self.value(name).map(Some),
            _ => Ok(None),
        }
    }

    /// Refuses further lines.
    pub(crate) fn end(mut self) -> Result<(), LineError> {
        self.0.next().map_or(Ok(()), |_| Err(LineError))
    }
}
