//! How this unit's records are written: numbers big-endian, what varies in length behind its length.

use protocol::Id;

/// Writes a record.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn byte(&mut self, byte: u8) -> &mut Writer {
        self.0.push(byte);
        self
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Writer {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(crate) fn maybe_number(&mut self, number: Option<u64>) -> &mut Writer {
        self.byte(u8::from(number.is_some()));
        if let Some(number) = number {
            self.number(number);
        }
        self
    }

    pub(crate) fn id(&mut self, id: impl Into<Id>) -> &mut Writer {
        self.0.extend(id.into().0);
        self
    }

    pub(crate) fn maybe_id(&mut self, id: Option<impl Into<Id>>) -> &mut Writer {
        self.byte(u8::from(id.is_some()));
        if let Some(id) = id {
            self.id(id);
        }
        self
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Writer {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Writer {
        self.bytes(text.as_bytes())
    }

    pub(crate) fn maybe_text(&mut self, text: Option<&str>) -> &mut Writer {
        self.byte(u8::from(text.is_some()));
        if let Some(text) = text {
            self.text(text);
        }
        self
    }

    pub(crate) fn done(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads a record. `None` where it is not what was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    pub(crate) fn maybe_number(&mut self) -> Option<Option<u64>> {
        if self.is_there()? { self.number().map(Some) } else { Some(None) }
    }

    pub(crate) fn id<T: From<Id>>(&mut self) -> Option<T> {
        Id::from_slice(self.take(32)?).map(T::from)
    }

    pub(crate) fn maybe_id<T: From<Id>>(&mut self) -> Option<Option<T>> {
        if self.is_there()? { self.id().map(Some) } else { Some(None) }
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let n = self.number()?;
        self.take(usize::try_from(n).ok()?)
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_owned()).ok()
    }

    pub(crate) fn maybe_text(&mut self) -> Option<Option<String>> {
        if self.is_there()? { self.text().map(Some) } else { Some(None) }
    }

    pub(crate) fn is_there(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}
