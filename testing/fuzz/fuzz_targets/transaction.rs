//! A transaction with any fields at all. (Its JSON is the business of whoever speaks HTTP.)
#![no_main]

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::{Id, Transaction};

fuzz_target!(|bytes: &[u8]| {
    let Ok(transaction) = any(&mut Unstructured::new(bytes)) else { return };
    let checked = transaction.check();
    let item = transaction.item(transaction.data.clone());
    assert_eq!(item.id, transaction.id);
    if checked.is_ok() {
        assert_eq!(item.address(), transaction.address());
        assert!(!item.owner.is_empty());
    }
});

fn any(bytes: &mut Unstructured<'_>) -> Result<Transaction> {
    let part = |bytes: &mut Unstructured<'_>| bytes.arbitrary::<Vec<u8>>().map(Bytes::from);
    let signature = if bytes.arbitrary()? { Bytes::copy_from_slice(bytes.bytes(65)?) } else { part(bytes)? };
    let tags = bytes.arbitrary_iter::<(Vec<u8>, Vec<u8>)>()?;
    let tags = tags.map(|tag| tag.map(|(name, value)| (name.into(), value.into()))).collect::<Result<_>>()?;
    Ok(Transaction {
        format: bytes.int_in_range(0..=3)?,
        id: Id::of_signature(&signature),
        tags,
        denomination: bytes.arbitrary()?,
        quantity: bytes.arbitrary::<u128>()? >> 28,
        reward: bytes.arbitrary::<u128>()? >> 28,
        data_size: bytes.arbitrary()?,
        last_tx: part(bytes)?,
        owner: part(bytes)?,
        target: part(bytes)?,
        data_root: part(bytes)?,
        data: part(bytes)?,
        signature,
    })
}
