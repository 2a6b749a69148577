//! Modules: that of Lua, and those of files, their format, and the item that publishes one.

use std::sync::OnceLock;

use bytes::Bytes;
use protocol::{DataItem, Draft, Tags, tag};

use crate::accounts;

/// The account that publishes modules. Its signatures are the same every time, and so are the modules' ids.
pub(crate) const PUBLISHER: usize = 10;

/// The item of Pirn's own Lua. A public key signs it, always with the same signature, so its id is the same on every
/// network and anybody may publish it.
pub fn lua_module() -> &'static DataItem {
    static ITEM: OnceLock<DataItem> = OnceLock::new();
    ITEM.get_or_init(|| {
        let (tags, data) = (Tags::from_iter(runtime_lua::TAGS), Bytes::from_static(runtime_lua::MODULE));
        DataItem::sign(&accounts()[PUBLISHER].wallet(), Draft { tags, data, ..Draft::default() })
            .expect("these tags and this data make an item")
    })
}

/// The format of an Emscripten module, as far as its import and export names tell it.
pub fn module_format(bytes: &[u8]) -> Option<&'static str> {
    let has = |name: &[u8]| bytes.windows(name.len()).any(|window| window == name);
    match () {
        () if !bytes.starts_with(b"\0asm") => None,
        () if has(b"invoke_vjj") => Some("wasm64-unknown-emscripten-draft_2024_02_15"),
        () if has(b"__asyncjs__weavedrive_open") || has(b"asyncify_get_state") => {
            Some("wasm32-unknown-emscripten4")
        }
        () if has(b"invoke_vii") => Some("wasm32-unknown-emscripten2"),
        () => None,
    }
}

/// The item, still to be signed, that publishes a module.
pub fn module_draft(format: &str, data: Bytes) -> Draft {
    let tags = Tags::from_iter([
        (tag::DATA_PROTOCOL, tag::AO),
        (tag::VARIANT, tag::AO_TN_1),
        (tag::TYPE, "Module"),
        (tag::MODULE_FORMAT, format),
        (tag::INPUT_ENCODING, "JSON-1"),
        (tag::OUTPUT_ENCODING, "JSON-1"),
        (tag::MEMORY_LIMIT, "1-gb"),
        (tag::COMPUTE_LIMIT, "9000000000000"),
        (tag::CONTENT_TYPE, "application/wasm"),
    ]);
    Draft { tags, data, ..Draft::default() }
}
