//! The Lua module: Lua 5.3.6 and the boot library of `processes/boot`, as WebAssembly that every unit can run.
//!
//! It is a module like any other: [`MODULE`] is its bytes, [`TAGS`] say how it is called, and the runtime of
//! WebAssembly modules runs, counts, bounds and forks it, as does the loader of other compute units. So this crate has
//! little code of its own: the C is in `c/`, `cargo xtask lua` builds it, and the bytes are committed because not
//! everybody has the compiler. [`stacks`] reads from a memory which functions run, for profiles.
//!
//! In reading order: `c/machine.c` is `handle`, `c/json.c` reads messages and writes outcomes, `c/host.c` and
//! `c/conf.h` say what Lua gets of a computer, which is memory and the time of the message.
//!
//! **Same messages, same memory.** The seed of its hashes is constant, nothing of the clock, of chance or of addresses
//! outside its memory comes in, and keys of JSON are written in the order of their bytes.
//!
//! **A guest ends by an error of Lua's or by a bound of its host's.** Lua limits the nesting of C calls, JSON its depth,
//! and the stack of C lies below all data: what overflows it traps.

#![forbid(unsafe_code)]

pub mod stacks;

pub use stacks::Stacks;

/// The module, as it is stored on Arweave.
pub const MODULE: &[u8] = include_bytes!("../pirn-lua.wasm");

/// `Module-Format`: the calling convention of [`MODULE`].
pub const FORMAT: &str = "wasm32-unknown-emscripten4";

/// The tags of the module's item, names and values, in order. What it may grow to is 1 GiB, unless its process says
/// otherwise.
pub const TAGS: [(&str, &str); 10] = [
    ("Data-Protocol", "ao"),
    ("Variant", "ao.TN.1"),
    ("Type", "Module"),
    ("Module-Format", FORMAT),
    ("Input-Encoding", "JSON-1"),
    ("Output-Encoding", "JSON-1"),
    ("Memory-Limit", "1-gb"),
    ("Compute-Limit", "9000000000000"),
    ("Content-Type", "application/wasm"),
    ("Name", "pirn-lua"),
];
