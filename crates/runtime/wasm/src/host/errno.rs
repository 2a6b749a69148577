//! The numbers of the C library that files speak in: errors, and flags of `open`.

/// What can go wrong, numbered as WASI numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Errno {
    Access = 2,
    BadFile = 8,
    Busy = 10,
    Exists = 20,
    Invalid = 28,
    IsFolder = 31,
    Loop = 32,
    TooManyOpen = 33,
    Missing = 44,
    NoSpace = 51,
    NoCall = 52,
    NotFolder = 54,
    NotEmpty = 55,
    NotTerminal = 59,
    Range = 68,
    NotSeekable = 70,
}

/// Flags of `open`.
pub(crate) mod flags {
    pub const WRITE_ONLY: i32 = 1;
    pub const ACCESS: i32 = 0o10_000_003;
    pub const CREATE: i32 = 0o100;
    pub const EXCLUSIVE: i32 = 0o200;
    pub const TRUNCATE: i32 = 0o1000;
    pub const APPEND: i32 = 0o2000;
    pub const FOLDER: i32 = 0o200_000;
    pub const NO_FOLLOW: i32 = 0o400_000;
}
