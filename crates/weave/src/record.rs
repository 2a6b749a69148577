//! What is kept about an item, a transaction and a wallet.

use bytes::Bytes;
use protocol::{DataItem, Height, Id, Item, Timestamp, Transaction};

use crate::codec::{Reader, Writer};
use crate::keys::{Place, RootKey};

/// An item or a transaction without its data, and where that is.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) place: Place,
    /// When it came in, by the clock and by the chain.
    pub(crate) received: Timestamp,
    pub(crate) received_at: Height,
    pub(crate) data_size: u64,
    pub(crate) source: Source,
    /// The bundle that brought it along. Items that came by themselves are put into one of ours later.
    pub(crate) parent: Option<Id>,
    pub(crate) what: What,
}

/// Where data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Under its own id.
    Own,
    /// Within the data of what came in from outside.
    Within { outer: Id, offset: u64 },
    /// In chunks.
    Chunks { root: [u8; 32] },
    /// Nowhere: it is one of our own bundles, put together from its items when somebody asks.
    Bundle { root: [u8; 32] },
}

#[derive(Debug, Clone)]
pub(crate) enum What {
    /// The bytes of a data item up to its data.
    Item(Bytes),
    /// A transaction without its data.
    Transaction(Box<Transaction>),
}

impl Head {
    /// The bytes of an item up to its data.
    pub(crate) fn prefix(item: &DataItem) -> Bytes {
        let bytes = item.bytes();
        bytes.slice(..bytes.len() - item.data.len())
    }

    /// How many bytes it has as a data item.
    pub(crate) fn item_size(&self) -> Option<u64> {
        match &self.what {
            What::Item(prefix) => Some(prefix.len() as u64 + self.data_size),
            What::Transaction(_) => None,
        }
    }

    pub(crate) fn is_transaction(&self) -> bool {
        matches!(self.what, What::Transaction(_))
    }

    /// Which chunks make up its data, or would.
    pub(crate) fn root(&self) -> Option<RootKey> {
        match self.source {
            Source::Chunks { root } | Source::Bundle { root } => Some(RootKey { root, size: self.data_size }),
            Source::Own | Source::Within { .. } => None,
        }
    }

    /// What it says, with that data.
    pub(crate) fn item(&self, data: Bytes) -> Option<Item> {
        match &self.what {
            What::Item(prefix) => {
                let item = DataItem::parse(prefix.clone()).ok()?;
                Some(Item { data, ..item.item().clone() })
            }
            What::Transaction(transaction) => Some(transaction.item(data)),
        }
    }

    pub(crate) fn write(&self) -> Bytes {
        let writer = Writer::default().u64(self.place.number).u32(self.place.within);
        let writer = writer.u64(self.received.0).u64(self.received_at.0).u64(self.data_size);
        let writer = match &self.source {
            Source::Own => writer.u8(0),
            Source::Within { outer, offset } => writer.u8(1).raw(outer.as_bytes()).u64(*offset),
            Source::Chunks { root } => writer.u8(2).raw(root),
            Source::Bundle { root } => writer.u8(3).raw(root),
        };
        let writer = writer.option(self.parent.as_ref().map(|id| &id.as_bytes()[..]));
        match &self.what {
            What::Item(prefix) => writer.u8(0).raw(prefix).finish(),
            What::Transaction(transaction) => write_transaction(writer.u8(1), transaction).finish(),
        }
    }

    pub(crate) fn read(bytes: Bytes) -> Option<Head> {
        let mut reader = Reader::new(bytes);
        let place = Place { number: reader.u64()?, within: reader.u32()? };
        let received = Timestamp(reader.u64()?);
        let received_at = Height(reader.u64()?);
        let data_size = reader.u64()?;
        let source = match reader.u8()? {
            0 => Source::Own,
            1 => Source::Within { outer: Id(reader.array()?), offset: reader.u64()? },
            2 => Source::Chunks { root: reader.array()? },
            3 => Source::Bundle { root: reader.array()? },
            _ => return None,
        };
        let parent = reader.option()?.map(Id);
        let what = match reader.u8()? {
            0 => What::Item(reader.rest()),
            1 => What::Transaction(Box::new(read_transaction(&mut reader)?)),
            _ => return None,
        };
        Some(Head { place, received, received_at, data_size, source, parent, what })
    }
}

fn write_transaction(writer: Writer, tx: &Transaction) -> Writer {
    let writer = writer.u8(tx.format).raw(tx.id.as_bytes()).bytes(&tx.last_tx).bytes(&tx.owner);
    let writer = writer.bytes(&tx.target).u128(tx.quantity).u128(tx.reward).u64(tx.data_size);
    let writer = writer.bytes(&tx.data_root).u64(tx.denomination).bytes(&tx.signature);
    let writer = writer.u32(u32::try_from(tx.tags.len()).expect("the number of tags is bounded"));
    tx.tags.iter().fold(writer, |writer, (name, value)| writer.bytes(name).bytes(value))
}

fn read_transaction(reader: &mut Reader) -> Option<Transaction> {
    let mut tx = Transaction {
        format: reader.u8()?,
        id: Id(reader.array()?),
        last_tx: reader.bytes()?,
        owner: reader.bytes()?,
        target: reader.bytes()?,
        quantity: reader.u128()?,
        reward: reader.u128()?,
        data_size: reader.u64()?,
        data_root: reader.bytes()?,
        denomination: reader.u64()?,
        signature: reader.bytes()?,
        ..Transaction::default()
    };
    for _ in 0..reader.u32()? {
        tx.tags.push((reader.bytes()?, reader.bytes()?));
    }
    Some(tx)
}

/// One line of the order of everything.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) id: Id,
    /// The size of a data item; `None` for a transaction.
    pub(crate) item_size: Option<u64>,
}

impl Line {
    pub(crate) fn write(&self) -> Bytes {
        let writer = Writer::default().raw(self.id.as_bytes());
        match self.item_size {
            Some(size) => writer.u8(0).u64(size).finish(),
            None => writer.u8(1).finish(),
        }
    }

    pub(crate) fn read(bytes: Bytes) -> Option<Line> {
        let mut reader = Reader::new(bytes);
        let id = Id(reader.array()?);
        let item_size = match reader.u8()? {
            0 => Some(reader.u64()?),
            _ => None,
        };
        Some(Line { id, item_size })
    }
}

/// A wallet as of the newest block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) balance: u128,
    pub(crate) last_tx: Option<Id>,
}

impl Account {
    pub(crate) fn write(&self) -> Bytes {
        let last_tx = self.last_tx.as_ref().map(|id| &id.as_bytes()[..]);
        Writer::default().u128(self.balance).option(last_tx).finish()
    }

    pub(crate) fn read(bytes: Bytes) -> Option<Account> {
        let mut reader = Reader::new(bytes);
        Some(Account { balance: reader.u128()?, last_tx: reader.option()?.map(Id) })
    }
}
