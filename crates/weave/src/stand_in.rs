//! Stand-ins: ids and addresses that answer with something of ours, because whoever runs a development network says
//! so. An item that is asked for under such an id comes with that id, which is not the hash of its signature: it
//! cannot be verified, so nothing that comes over the network can make one.

use std::sync::Arc;

use protocol::{Address, Id};
use store::{Batch, Order};
use unit::Query;

use crate::core::{Core, aside, keys_all};
use crate::keys::STAND_IN;
use crate::record::Head;
use crate::{EmbeddedWeave, Error};

impl EmbeddedWeave {
    /// From now on, also after a restart, `name` is answered with the item `real`, under the name it was asked for.
    /// An item that really has that id wins.
    pub async fn stand_in(&self, name: Id, real: Id) -> Result<(), Error> {
        self.core.stand_in(b'i', name, real).await
    }

    /// From now on, also after a restart, whoever asks for what `name` signed gets what `real` signed, too.
    pub async fn stand_in_owner(&self, name: Address, real: Address) -> Result<(), Error> {
        self.core.stand_in(b'o', name.0, real.0).await
    }

    /// The addresses that `real` stands for.
    pub async fn stand_ins_of(&self, real: Address) -> Result<Vec<Address>, Error> {
        let core = Arc::clone(&self.core);
        aside(&core, move |core| {
            let all = core.store.scan(STAND_IN, keys_all(), Order::Ascending, STAND_INS_MAX)?;
            let named = all.iter().filter(|(key, to)| key.first() == Some(&b'o') && to[..] == real.0.0);
            Ok(named.filter_map(|(key, _)| Id::from_slice(&key[1..]).map(Address)).collect())
        })
        .await
    }
}

/// Stand-ins that are read at once. Each is typed by a person.
const STAND_INS_MAX: usize = 10_000;

impl Core {
    async fn stand_in(&self, kind: u8, name: Id, real: Id) -> Result<(), Error> {
        let key = key(kind, name);
        if self.store.get(STAND_IN, &key)?.is_some_and(|known| known[..] == real.0) {
            return Ok(());
        }
        let mut batch = Batch::new();
        batch.put(STAND_IN, key.to_vec(), real.as_bytes().to_vec());
        Ok(self.store.append(batch).await?)
    }

    fn stands_for(&self, kind: u8, name: Id) -> Result<Option<Id>, Error> {
        let Some(real) = self.store.get(STAND_IN, &key(kind, name))? else { return Ok(None) };
        Id::from_slice(&real).map(Some).ok_or(Error::Damaged("a stand-in"))
    }

    /// What is asked for under an id: the id that it is kept under, and what is kept.
    pub(crate) fn asked_for(&self, id: Id) -> Result<Option<(Id, Head)>, Error> {
        if let Some(head) = self.head(id)? {
            return Ok(Some((id, head)));
        }
        let Some(real) = self.stands_for(b'i', id)? else { return Ok(None) };
        Ok(self.head(real)?.map(|head| (real, head)))
    }

    /// The query, with the owners who stand for others in it.
    pub(crate) fn with_stand_ins(&self, query: &Query) -> Result<Query, Error> {
        let mut query = query.clone();
        for owner in query.owners.clone() {
            if let Some(real) = self.stands_for(b'o', owner.0)?.map(Address)
                && !query.owners.contains(&real)
            {
                query.owners.push(real);
            }
        }
        Ok(query)
    }
}

fn key(kind: u8, name: Id) -> [u8; 33] {
    let mut key = [kind; 33];
    key[1..].copy_from_slice(name.as_bytes());
    key
}
