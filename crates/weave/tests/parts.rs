//! Uploads in parts: any order, gaps told, bounds kept, there after a restart, and forgotten in time.

mod common;

use std::sync::Arc;

use bytes::Bytes;
use common::{item, manual, over};
use pirn_weave::{EmbeddedWeave, Options, Ports};
use protocol::{DataItem, Id};
use store::MemoryStore;
use unit::fakes::FakeClock;
use unit::{Kind, UploadStage, Uploads, Weave};

fn large() -> DataItem {
    let data: Vec<u8> = (0..3_500_000_u32).map(|n| (n / 7) as u8).collect();
    item(1, &[("Large", "yes")], data)
}

fn parts(bytes: &Bytes, size: usize) -> Vec<(u64, Bytes)> {
    let part = |start: usize| (start as u64, bytes.slice(start..bytes.len().min(start + size)));
    (0..bytes.len()).step_by(size).map(part).collect()
}

#[tokio::test]
async fn parts_come_in_any_order_twice_and_over_a_restart() {
    let store = Arc::new(MemoryStore::new());
    let weave = over(store.clone(), manual()).await;
    let large = large();
    let upload = weave.open_upload(1_300_000).await.unwrap();
    assert_eq!((upload.part_bytes, upload.stage), (1_300_000, UploadStage::Open));
    let mut parts = parts(large.bytes(), 1_300_000);
    let held_back = parts.remove(1);
    for (offset, part) in parts.into_iter().rev() {
        for _ in 0..2 {
            weave.put_part(upload.id, offset, part.clone()).await.unwrap();
        }
    }
    let gap = weave.assemble_upload(upload.id).await.unwrap_err();
    assert!(gap.kind == Kind::Invalid && gap.what.contains("byte 1300000"), "{gap}");
    drop(weave);

    let weave = over(store, manual()).await;
    weave.put_part(upload.id, held_back.0, held_back.1).await.unwrap();
    let whole = weave.assemble_upload(upload.id).await.unwrap();
    assert_eq!(whole, *large.bytes());
    weave.upload(DataItem::parse(whole).unwrap()).await.unwrap();
    weave.end_upload(upload.id, UploadStage::Done(large.id)).await.unwrap();
    assert_eq!(weave.upload_state(upload.id).await.unwrap().stage, UploadStage::Done(large.id));
    assert_eq!(weave.get(large.id).await.unwrap().item.data, large.data);
    let late = weave.put_part(upload.id, 0, Bytes::from_static(b"x")).await.unwrap_err();
    assert_eq!(late.kind, Kind::Invalid);
}

#[tokio::test]
async fn every_bound_is_kept() {
    let options = Options {
        uploads_open_max: 2,
        upload_bytes_max: 100,
        upload_parts_max: 3,
        part_bytes_max: 50,
        ..manual()
    };
    let weave = over(Arc::new(MemoryStore::new()), options).await;
    let upload = weave.open_upload(1000).await.unwrap();
    assert_eq!(upload.part_bytes, 50);
    let put = async |offset, size| {
        weave.put_part(upload.id, offset, vec![7; size].into()).await.map_err(|error| error.kind)
    };
    assert_eq!(put(0, 0).await, Err(Kind::Invalid));
    assert_eq!(put(0, 51).await, Err(Kind::TooLarge));
    assert_eq!(put(51, 50).await, Err(Kind::TooLarge));
    assert_eq!(put(u64::MAX, 50).await, Err(Kind::TooLarge));
    for _ in 0..3 {
        assert_eq!(put(0, 50).await, Ok(()));
    }
    assert_eq!(put(50, 50).await, Err(Kind::TooLarge));
    let other = weave.open_upload(1).await.unwrap().id;
    weave.put_part(other, 0, Bytes::from_static(b"x")).await.unwrap();
    assert!(weave.open_upload(1).await.unwrap_err().what.contains("2 uploads"));
    weave.end_upload(upload.id, UploadStage::Refused("no item".to_owned())).await.unwrap();
    weave.open_upload(1).await.unwrap();
    assert_eq!(weave.upload_state(Id([1; 32])).await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn an_upload_to_which_nothing_comes_makes_room() {
    let options = Options { uploads_open_max: 2, upload_idle_ms: 1000, ..manual() };
    let clock = FakeClock::at(1_700_000_000_000);
    let ports =
        Ports { store: Arc::new(MemoryStore::new()), clock: clock.clone(), events: unit::Events::silent() };
    let weave = EmbeddedWeave::open(ports, options).await.unwrap();
    let known = async |id| weave.upload_state(id).await.is_ok();
    let used = weave.open_upload(10).await.unwrap().id;
    weave.put_part(used, 0, Bytes::from_static(b"x")).await.unwrap();
    let empty = weave.open_upload(10).await.unwrap().id;
    let next = weave.open_upload(10).await.unwrap().id;
    assert!(known(used).await && !known(empty).await);
    weave.put_part(next, 0, Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(weave.open_upload(10).await.unwrap_err().kind, Kind::Unavailable);
    clock.advance(1001);
    weave.put_part(next, 1, Bytes::from_static(b"y")).await.unwrap();
    weave.open_upload(10).await.unwrap();
    assert!(!known(used).await && known(next).await);
}

#[tokio::test]
async fn an_upload_is_forgotten_in_time_and_old_ends_make_room() {
    let options = Options { upload_keep_ms: 1000, uploads_known_max: 4, uploads_open_max: 3, ..manual() };
    let clock = FakeClock::at(1_700_000_000_000);
    let ports =
        Ports { store: Arc::new(MemoryStore::new()), clock: clock.clone(), events: unit::Events::silent() };
    let weave = EmbeddedWeave::open(ports, options).await.unwrap();
    let first = weave.open_upload(10).await.unwrap().id;
    weave.put_part(first, 0, Bytes::from_static(b"x")).await.unwrap();
    let mut ended = Vec::new();
    for n in 0..6 {
        let id = weave.open_upload(10).await.unwrap().id;
        weave.end_upload(id, UploadStage::Refused(format!("{n}"))).await.unwrap();
        ended.push(id);
    }
    assert_eq!(weave.upload_state(first).await.unwrap().bytes, 1);
    let known = async |id| weave.upload_state(id).await.is_ok();
    let mut there = 0;
    for id in ended {
        there += usize::from(known(id).await);
    }
    assert_eq!(there, 3);
    clock.set(1_700_000_002_000);
    let last = weave.open_upload(10).await.unwrap().id;
    assert!(!known(first).await && known(last).await);
}
