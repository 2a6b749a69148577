//! The module formats: what differs between the eras of Emscripten that `Module-Format` names.

/// One `Module-Format` of the Emscripten family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Format {
    /// The tag's value.
    pub name: &'static str,
    /// Width of a pointer.
    pub pointers: Width,
    /// Imports and exports carry one-letter names.
    pub minified: bool,
    /// How `main` is called.
    pub main: Main,
    /// The seven variables that Emscripten's glue makes up are there; otherwise none.
    pub has_environment: bool,
    /// The clock says 0 for ever.
    pub clock_stands: bool,
    /// `system(NULL)` says that there is a shell. There is none, here or there that a process could rely on, but
    /// what it says is part of the outcome.
    pub claims_shell: bool,
    /// An argument string reserves four bytes per UTF-16 unit; otherwise its bytes.
    pub quadruple_strings: bool,
    /// We count gas by instrumenting the module, as its format demands.
    pub metered: bool,
    /// The heap never grows beyond this, bytes.
    pub heap_max: u64,
}

/// How `main` is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Main {
    /// Not at all: the first message does everything.
    Never,
    /// When an instance starts, without arguments.
    Bare,
    /// When an instance starts, with the name of a program, which stays on the stack.
    Named,
}

/// Width of a guest pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Width {
    /// wasm32.
    W32,
    /// memory64.
    W64,
}

impl Width {
    /// Bytes of a pointer.
    pub fn bytes(self) -> u64 {
        match self {
            Width::W32 => 4,
            Width::W64 => 8,
        }
    }
}

const OLD: Format = Format {
    name: "wasm32-unknown-emscripten",
    pointers: Width::W32,
    minified: true,
    main: Main::Bare,
    has_environment: true,
    clock_stands: true,
    claims_shell: false,
    quadruple_strings: true,
    metered: false,
    heap_max: 524_288_000,
};

const FOURTH: Format = Format {
    name: "wasm32-unknown-emscripten4",
    pointers: Width::W32,
    minified: false,
    main: Main::Never,
    has_environment: false,
    clock_stands: false,
    claims_shell: true,
    quadruple_strings: false,
    metered: false,
    heap_max: 4_294_901_760,
};

const WIDE: Format = Format {
    name: "wasm64-unknown-emscripten-draft_2024_02_15",
    pointers: Width::W64,
    claims_shell: false,
    heap_max: 17_179_869_184,
    ..FOURTH
};

/// All of them, as `protocol/04-cu.md` section 4.11 lists them.
const FORMATS: [Format; 7] = [
    OLD,
    Format { name: "wasm32-unknown-emscripten2", minified: false, main: Main::Named, ..OLD },
    Format {
        name: "wasm32-unknown-emscripten3",
        minified: false,
        quadruple_strings: false,
        clock_stands: false,
        heap_max: FOURTH.heap_max,
        ..OLD
    },
    FOURTH,
    Format { name: "wasm32-unknown-emscripten-metering", metered: true, ..FOURTH },
    WIDE,
    Format { name: "wasm64-unknown-emscripten-draft_2024_10_16-metering", metered: true, ..WIDE },
];

impl Format {
    /// The format of that name.
    pub fn named(name: &str) -> Option<Format> {
        FORMATS.into_iter().find(|format| format.name == name)
    }

    /// The name that a readable module has for what this module calls `name`.
    pub fn readable<'a>(&self, module: &str, name: &'a str) -> &'a str {
        if !self.minified || module != "a" {
            return name;
        }
        MINIFIED_IMPORTS.iter().find(|(short, _)| *short == name).map_or(name, |(_, long)| long)
    }

    /// What this module calls the export that a readable module calls `name`.
    pub fn exported<'a>(&self, name: &'a str) -> &'a str {
        if !self.minified {
            return name;
        }
        MINIFIED_EXPORTS.iter().find(|(_, long)| *long == name).map_or(name, |(short, _)| short)
    }
}

const MINIFIED_IMPORTS: [(&str, &str); 30] = [
    ("a", "_emscripten_date_now"),
    ("b", "setTempRet0"),
    ("c", "fd_close"),
    ("d", "__syscall_fcntl64"),
    ("e", "__syscall_unlinkat"),
    ("f", "fd_write"),
    ("g", "__syscall_openat"),
    ("h", "getTempRet0"),
    ("i", "_mktime_js"),
    ("j", "_tzset_js"),
    ("k", "emscripten_memcpy_big"),
    ("l", "exit"),
    ("m", "system"),
    ("n", "strftime"),
    ("o", "fd_seek"),
    ("p", "_emscripten_throw_longjmp"),
    ("q", "emscripten_resize_heap"),
    ("r", "__syscall_lstat64"),
    ("s", "__syscall_renameat"),
    ("t", "__syscall_rmdir"),
    ("u", "environ_get"),
    ("v", "environ_sizes_get"),
    ("w", "__syscall_dup3"),
    ("x", "invoke_vii"),
    ("y", "fd_read"),
    ("z", "__syscall_ioctl"),
    ("A", "_emscripten_get_now_is_monotonic"),
    ("B", "_gmtime_js"),
    ("C", "_localtime_js"),
    ("D", "abort"),
];

const MINIFIED_EXPORTS: [(&str, &str); 11] = [
    ("E", "memory"),
    ("F", "__wasm_call_ctors"),
    ("G", "handle"),
    ("H", "main"),
    ("I", "__indirect_function_table"),
    ("J", "malloc"),
    ("K", "__errno_location"),
    ("L", "setThrew"),
    ("M", "stackSave"),
    ("N", "stackRestore"),
    ("O", "stackAlloc"),
];
