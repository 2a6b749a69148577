//! Numbers and byte strings, one after the other: how records are written down.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Writes.
#[derive(Default)]
pub(crate) struct Writer(BytesMut);

impl Writer {
    pub(crate) fn u8(mut self, number: u8) -> Writer {
        self.0.put_u8(number);
        self
    }

    pub(crate) fn u32(mut self, number: u32) -> Writer {
        self.0.put_u32(number);
        self
    }

    pub(crate) fn u64(mut self, number: u64) -> Writer {
        self.0.put_u64(number);
        self
    }

    pub(crate) fn u128(mut self, number: u128) -> Writer {
        self.0.put_u128(number);
        self
    }

    /// Bytes of a length that the reader knows.
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Writer {
        self.0.put_slice(bytes);
        self
    }

    /// Bytes with their length.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Writer {
        let len = u32::try_from(bytes.len()).expect("a field of a record is shorter than 4 GiB");
        self.u32(len).raw(bytes)
    }

    /// Something that may be absent.
    pub(crate) fn option(self, bytes: Option<&[u8]>) -> Writer {
        match bytes {
            Some(bytes) => self.u8(1).raw(bytes),
            None => self.u8(0),
        }
    }

    pub(crate) fn finish(self) -> Bytes {
        self.0.freeze()
    }
}

/// Reads what a [`Writer`] wrote. `None` means that the record is not one of ours.
pub(crate) struct Reader(Bytes);

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Reader {
        Reader(bytes)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.0.try_get_u8().ok()
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.0.try_get_u32().ok()
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.0.try_get_u64().ok()
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.0.try_get_u128().ok()
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.0.try_copy_to_slice(&mut bytes).ok()?;
        Some(bytes)
    }

    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let len = self.u32()? as usize;
        (self.0.len() >= len).then(|| self.0.split_to(len))
    }

    pub(crate) fn option<const N: usize>(&mut self) -> Option<Option<[u8; N]>> {
        match self.u8()? {
            0 => Some(None),
            1 => self.array().map(Some),
            _ => None,
        }
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> Bytes {
        self.0
    }
}
