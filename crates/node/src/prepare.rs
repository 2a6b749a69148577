//! What a development network has before anybody asks: modules from files, and schedulers that ours stands in for.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use protocol::{Address, DataItem, Id, ModuleId, Wallet};
use serde::Serialize;
use unit::Weave as _;
use weave::EmbeddedWeave;

use crate::modules::{PUBLISHER, lua_module, module_draft, module_format};
use crate::{Config, Error, accounts};

/// A module that was published from a file when the network started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Preloaded {
    /// The file, as it was named.
    pub file: PathBuf,
    /// What processes name: the id that was asked for, or the item's own.
    pub id: ModuleId,
    /// The item that was published.
    pub item: ModuleId,
}

/// A file, and the id that it is to have, as `FILE` or `FILE=ID`.
fn file_and_id(text: &str) -> (&Path, Option<Id>) {
    if let Some((file, id)) = text.rsplit_once('=')
        && let Ok(id) = id.parse()
    {
        return (Path::new(file), Some(id));
    }
    (Path::new(text), None)
}

/// Publishes Lua, and the modules that the configuration names.
pub(crate) async fn publish(config: &Config, weave: &EmbeddedWeave) -> Result<Vec<Preloaded>, Error> {
    let publisher = accounts()[PUBLISHER].wallet();
    weave.upload(lua_module().clone()).await.map_err(Error::part("weave"))?;
    let mut published = Vec::new();
    for text in &config.dev.modules {
        let (file, named) = file_and_id(text);
        let item = read(file, publisher.clone()).await?;
        let real = item.id;
        weave.upload(item).await.map_err(Error::part("weave"))?;
        if let Some(named) = named {
            weave.stand_in(named, real).await.map_err(of_weave)?;
        }
        let id = ModuleId(named.unwrap_or(real));
        published.push(Preloaded { file: file.to_owned(), id, item: ModuleId(real) });
    }
    Ok(published)
}

/// The schedulers that ours stands in for, from now on and from earlier.
pub(crate) async fn stand_ins(
    config: &Config,
    weave: &EmbeddedWeave,
    ours: Address,
) -> Result<BTreeSet<Address>, Error> {
    for scheduler in &config.dev.schedulers {
        weave.stand_in_owner(*scheduler, ours).await.map_err(of_weave)?;
    }
    Ok(weave.stand_ins_of(ours).await.map_err(of_weave)?.into_iter().collect())
}

fn of_weave(error: weave::Error) -> Error {
    Error::Part { part: "weave", source: error.into() }
}

async fn read(file: &Path, publisher: Wallet) -> Result<DataItem, Error> {
    let path = file.to_owned();
    // A module has megabytes, all of which are looked through and hashed.
    let signed = tokio::task::spawn_blocking(move || {
        let bytes = std::fs::read(&path).map_err(|source| Error::File {
            what: "read the module",
            path: path.clone(),
            source,
        })?;
        let format = module_format(&bytes).ok_or_else(|| Error::Config {
            code: unit::Code::FORMAT_UNKNOWN,
            what: format!("cannot tell the format of the module {} from its imports", path.display()),
            hint: Some(
                "publish it once the network runs: `pirn module publish FILE --format FORMAT`".to_owned(),
            ),
        })?;
        let draft = module_draft(format, Bytes::from(bytes));
        Ok(DataItem::sign(&publisher, draft).expect("these tags and any data make an item"))
    });
    signed.await.unwrap_or_else(|panic| Err(Error::Part { part: "module", source: panic.into() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_follows_the_last_equals_sign() {
        let check = |text: &str, file: &str, id: Option<u8>| {
            assert_eq!(file_and_id(text), (Path::new(file), id.map(|byte| Id([byte; 32]))), "{text}");
        };
        check("aos.wasm", "aos.wasm", None);
        check("aos.wasm=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", "aos.wasm", Some(1));
        check("a=b/aos.wasm=AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE", "a=b/aos.wasm", Some(1));
        check("a=b/aos.wasm", "a=b/aos.wasm", None);
    }

    #[test]
    fn the_publisher_signs_the_same_every_time() {
        let sign = || {
            let draft = module_draft("wasm32-unknown-emscripten4", Bytes::from_static(b"\0asm"));
            DataItem::sign(&accounts()[PUBLISHER].wallet(), draft).unwrap().id
        };
        assert_eq!(sign(), sign());
    }
}
