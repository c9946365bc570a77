//! Reading fixed big-endian fields without a panic and without a copy.

use super::Reason;

/// What is left to read. Every method takes from the front, and fails without taking when too little is left.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Reason> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Reason::Format)?;
        self.0 = tail;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (head, tail) = self.0.split_first_chunk().ok_or(Reason::Format)?;
        self.0 = tail;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Reason> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Reason> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Reason> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Reason> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    /// Takes bytes that must be exactly `expected`.
    pub(super) fn expect(&mut self, expected: &[u8]) -> Result<(), Reason> {
        ensure(self.bytes(expected.len())? == expected, Reason::Format)
    }

    pub(super) fn end(self) -> Result<(), Reason> {
        ensure(self.0.is_empty(), Reason::Format)
    }
}

/// `Ok` when `holds`, else the reason.
pub(super) fn ensure(holds: bool, otherwise: Reason) -> Result<(), Reason> {
    if holds { Ok(()) } else { Err(otherwise) }
}
