//! Tags: an ordered list of names and values. A name may occur more than once.

/// One tag. Bytes that are not UTF-8 are replaced for reading; hashes are over the bytes that came in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Tag {
    /// Case-sensitive.
    pub name: String,
    /// May be empty.
    pub value: String,
}

impl Tag {
    /// A tag of `name` and `value`.
    pub fn new(name: impl Into<String>, value: impl ToString) -> Tag {
        Tag { name: name.into(), value: value.to_string() }
    }
}

/// Tags in the order of the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Tags(pub Vec<Tag>);

impl Tags {
    /// The value of the first tag of that name: units and tools read the first.
    pub fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|tag| tag.name == name).map(|tag| tag.value.as_str())
    }

    /// The values of all tags of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |tag| tag.name == name).map(|tag| tag.value.as_str())
    }

    /// Whether some tag has that name and that value.
    pub fn has(&self, name: &str, value: &str) -> bool {
        self.all(name).any(|v| v == value)
    }

    /// Adds a tag at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl ToString) {
        self.0.push(Tag::new(name, value));
    }

    /// The tags, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Tag> {
        self.0.iter()
    }
}

impl<N: Into<String>, V: ToString> FromIterator<(N, V)> for Tags {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Tags {
        Tags(pairs.into_iter().map(|(name, value)| Tag::new(name, value)).collect())
    }
}

impl<'a> IntoIterator for &'a Tags {
    type Item = &'a Tag;
    type IntoIter = std::slice::Iter<'a, Tag>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

// The names, spelled as on the wire.
macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => { $($(#[$doc])* pub const $name: &str = $text;)* };
}

names! {
    /// `ao` among its values makes an item an ao item.
    DATA_PROTOCOL = "Data-Protocol";
    /// Protocol variant, `ao.TN.1`.
    VARIANT = "Variant";
    /// What the item is: Process, Message, Module, Assignment ...
    TYPE = "Type";
    /// Module id of a process.
    MODULE = "Module";
    /// Wallet address of the scheduler unit of a process.
    SCHEDULER = "Scheduler";
    /// Trusted address, read by aos.
    AUTHORITY = "Authority";
    /// Sender process of a pushed message.
    FROM_PROCESS = "From-Process";
    /// Module of the sender process of a pushed message.
    FROM_MODULE = "From-Module";
    /// First message of the chain that a pushed message belongs to.
    PUSHED_FOR = "Pushed-For";
    /// Counter of the sending process.
    REFERENCE = "Reference";
    /// What a handler matches on.
    ACTION = "Action";
    /// List of processes that a sent message is assigned to as well.
    ASSIGNMENTS = "Assignments";
    /// Process of an assignment.
    PROCESS = "Process";
    /// Epoch of an assignment; always 0.
    EPOCH = "Epoch";
    /// Slot of an assignment.
    NONCE = "Nonce";
    /// Hash chain of an assignment.
    HASH_CHAIN = "Hash-Chain";
    /// Height of the weave, 12 digits.
    BLOCK_HEIGHT = "Block-Height";
    /// Milliseconds since 1970.
    TIMESTAMP = "Timestamp";
    /// Message of an assignment.
    MESSAGE = "Message";
    /// Field that an assignment leaves out.
    EXCLUDE = "Exclude";
    /// Confirmations that a base-layer assignment needs.
    SETTLEMENT_DEPTH = "Settlement-Depth";
    /// What a process evaluates first.
    ON_BOOT = "On-Boot";
    /// Interval of a cron.
    CRON_INTERVAL = "Cron-Interval";
    /// Prefix of the tags of a cron message.
    CRON_TAG_PREFIX = "Cron-Tag-";
    /// Memory bound of a process or module.
    MEMORY_LIMIT = "Memory-Limit";
    /// Gas bound of one evaluation.
    COMPUTE_LIMIT = "Compute-Limit";
    /// Format of a module.
    MODULE_FORMAT = "Module-Format";
    /// Encoding of what goes into a module.
    INPUT_ENCODING = "Input-Encoding";
    /// Encoding of what comes out of a module.
    OUTPUT_ENCODING = "Output-Encoding";
    /// Host extension of a module.
    EXTENSION = "Extension";
    /// Base URL of a scheduler unit.
    URL = "Url";
    /// Lifetime of a scheduler location, ms.
    TIME_TO_LIVE = "Time-To-Live";
    /// Hexadecimal digest of the memory in a checkpoint.
    SHA_256 = "SHA-256";
    /// `gzip` in a checkpoint.
    CONTENT_ENCODING = "Content-Encoding";
    /// What the operator of a compute unit calls it.
    UNIT_IDENTIFIER = "Unit-Identifier";
    /// Ordinate of a checkpoint's evaluation.
    ORDINATE = "Ordinate";
    /// Assignment of a checkpoint's evaluation.
    ASSIGNMENT = "Assignment";
    /// Place of an attested evaluation in the history of its process.
    LEAF_INDEX = "Leaf-Index";
    /// Leaves of that history.
    TREE_SIZE = "Tree-Size";
    /// Merkle root of that history.
    TREE_ROOT = "Tree-Root";
    /// Root of the state after an attested evaluation.
    STATE_ROOT = "State-Root";
    /// MIME type of the data.
    CONTENT_TYPE = "Content-Type";
    /// `binary` for a bundle.
    BUNDLE_FORMAT = "Bundle-Format";
    /// `2.0.0` for a bundle.
    BUNDLE_VERSION = "Bundle-Version";
}

/// The data protocol of all ao items.
pub const AO: &str = "ao";
/// The variant of the protocol that this workspace speaks.
pub const AO_TN_1: &str = "ao.TN.1";
