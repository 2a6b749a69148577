//! A data item from a stranger: read, verified, and kept as it came.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::{Assignment, Checkpoint, DataItem, Module, Process, SchedulerLocation, message};

fuzz_target!(|bytes: &[u8]| {
    let Ok(item) = DataItem::parse(Bytes::copy_from_slice(bytes)) else { return };
    assert_eq!(item.bytes(), bytes);
    let _ = item.verify();
    // Every view of it.
    let _ = Process::try_from(item.item());
    let _ = Module::try_from(item.item());
    let _ = Checkpoint::try_from(item.item());
    let _ = SchedulerLocation::try_from(item.item());
    let _ = Assignment::try_from(item.item().clone());
    let _ = message::duplicate_key(&item, &[item.address()]);
});
