//! The store, driven as Pingora drives it.

use super::*;
use crate::cache::collapse::Collapse;
use bytes::Bytes;
use pingora::cache::lock::{CacheKeyLock as _, LockStatus, Locked};
use pingora::cache::trace::Span;
use pingora::http::ResponseHeader;
use std::time::{Duration, SystemTime};

fn store(object_bytes_max: u64) -> &'static Store {
    Box::leak(Box::new(in_memory(1_000_000, object_bytes_max)))
}

pub(super) fn in_memory(bytes: u64, object_bytes_max: u64) -> Store {
    Store::in_memory(bytes, object_bytes_max, &counters())
}

fn counters() -> Arc<Counters> {
    Arc::new(Counters::new(&prometheus::Registry::new()))
}

pub(super) fn key() -> CacheKey {
    CacheKey::new("key", "")
}

pub(super) fn meta() -> CacheMeta {
    let mut header = ResponseHeader::build(200, None).unwrap();
    header.insert_header("etag", "\"1\"").unwrap();
    let now = SystemTime::now();
    let mut meta = CacheMeta::new(now + Duration::from_secs(60), now, 5, 7, header);
    meta.extensions_mut().insert(PlaceKey::of([1; 16]));
    meta
}

async fn fill(store: &'static Store, key: &CacheKey, meta: &CacheMeta) {
    let mut writer = store.get_miss_handler(key, meta, &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"body"), true).await.unwrap();
    writer.finish().await.unwrap();
}

pub(super) fn span() -> SpanHandle {
    Span::inactive().handle()
}

pub(super) async fn read_all(reader: &mut HitHandler) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(chunk) = reader.read_body().await.unwrap() {
        body.extend_from_slice(&chunk);
    }
    body
}

#[tokio::test]
async fn a_stored_response_comes_back_with_its_header_and_times() {
    let store = store(1000);
    assert!(store.lookup(&key(), &span()).await.unwrap().is_none());
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"hello "), false).await.unwrap();
    writer.write_body(Bytes::from_static(b"world"), true).await.unwrap();
    writer.finish().await.unwrap();
    let (found, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    assert_eq!(found.headers()["etag"], "\"1\"");
    assert_eq!((found.stale_while_revalidate_sec(), found.stale_if_error_sec()), (5, 7));
    assert!(found.is_fresh(SystemTime::now()));
    assert_eq!(read_all(&mut reader).await, b"hello world");
}

#[tokio::test]
async fn a_reader_follows_a_response_while_it_fills() {
    let store = store(1000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"one"), false).await.unwrap();
    let (_, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    assert_eq!(reader.read_body().await.unwrap().unwrap(), "one");
    let waiting = tokio::spawn(async move { (read_all(&mut reader).await, ()) });
    tokio::task::yield_now().await;
    writer.write_body(Bytes::from_static(b"two"), true).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(waiting.await.unwrap().0, b"two");
}

#[tokio::test]
async fn a_failed_fetch_is_an_error_for_its_readers_and_is_not_stored() {
    let store = store(1000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"half"), false).await.unwrap();
    let (_, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    drop(writer);
    assert_eq!(reader.read_body().await.unwrap().unwrap(), "half");
    assert!(reader.read_body().await.is_err());
    assert!(store.lookup(&key(), &span()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_response_over_the_admission_cap_is_served_but_not_stored() {
    let store = store(10);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    let tag = writer.streaming_write_tag().map(<[u8]>::to_vec);
    let (_, mut reader) = store.lookup_streaming_write(&key(), tag.as_deref(), &span()).await.unwrap().unwrap();
    for _ in 0..4 {
        writer.write_body(Bytes::from_static(b"12345678"), false).await.unwrap();
    }
    assert!(store.lookup(&key(), &span()).await.unwrap().is_none(), "nobody may join a body without a beginning");
    writer.finish().await.unwrap();
    assert_eq!(read_all(&mut reader).await.len(), 32);
    assert!(store.lookup(&key(), &span()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_range_of_a_stored_response_is_read() {
    let store = store(1000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"0123456789"), true).await.unwrap();
    writer.finish().await.unwrap();
    let (_, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    assert!(reader.can_seek());
    reader.seek(2, Some(5)).unwrap();
    assert_eq!(read_all(&mut reader).await, b"234");
    assert!(reader.seek(10, None).is_err());
}

#[tokio::test]
async fn revalidation_changes_the_header_and_keeps_the_body() {
    let store = store(1000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"body"), true).await.unwrap();
    writer.finish().await.unwrap();
    // Pingora hands on the extensions of what it asked about.
    let (mut newer, _) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    newer.response_header_mut().insert_header("etag", "\"2\"").unwrap();
    assert!(store.update_meta(&key(), &newer, &span()).await.unwrap());
    let (found, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    assert_eq!(found.headers()["etag"], "\"2\"");
    assert_eq!(read_all(&mut reader).await, b"body");
}

#[tokio::test]
async fn a_revalidation_of_what_was_replaced_meanwhile_changes_nothing() {
    let store = store(1000);
    let fill = async |body: &'static str| {
        let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
        writer.write_body(Bytes::from_static(body.as_bytes()), true).await.unwrap();
        writer.finish().await.unwrap();
    };
    fill("old").await;
    let (mut newer, _) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    fill("replaced").await;
    newer.response_header_mut().insert_header("content-length", "3").unwrap();
    assert!(!store.update_meta(&key(), &newer, &span()).await.unwrap());
    let (found, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    assert_ne!(found.headers().get("content-length").map(|length| length.as_bytes()), Some(&b"3"[..]));
    assert_eq!(read_all(&mut reader).await, b"replaced");
}

#[tokio::test]
async fn a_purge_during_a_fetch_wins() {
    let store = store(1000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    let compact = key().to_compact();
    let purged = store.purge(PurgeTarget::Active(&compact), PurgeType::Invalidation, &span()).await.unwrap();
    assert_eq!(purged, PurgeOutcome::Purged(None));
    writer.write_body(Bytes::from_static(b"old"), true).await.unwrap();
    writer.finish().await.unwrap();
    assert!(store.lookup(&key(), &span()).await.unwrap().is_none());
}

#[tokio::test]
async fn all_of_a_place_goes_at_once_and_what_is_on_its_way_is_not_kept() {
    let store = store(1000);
    let mut elsewhere = meta();
    elsewhere.extensions_mut().insert(PlaceKey::of([2; 16]));
    let (one, two, other) = (key(), CacheKey::new("two", ""), CacheKey::new("other", ""));
    fill(store, &one, &meta()).await;
    fill(store, &two, &meta()).await;
    fill(store, &other, &elsewhere).await;
    let coming = CacheKey::new("coming", "");
    let mut writer = store.get_miss_handler(&coming, &meta(), &span()).await.unwrap();
    store.invalidate(PlaceKey::of([1; 16])).await;
    writer.write_body(Bytes::from_static(b"old"), true).await.unwrap();
    writer.finish().await.unwrap();
    for gone in [&one, &two, &coming] {
        assert!(store.lookup(gone, &span()).await.unwrap().is_none());
    }
    assert!(store.lookup(&other, &span()).await.unwrap().is_some());
    assert_eq!(store.places.len(), 1);
}

#[tokio::test]
async fn what_is_evicted_is_not_remembered() {
    let store: &'static Store = Box::leak(Box::new(in_memory(10_000, 1000)));
    for nth in 0_u8..100 {
        let mut meta = meta();
        meta.extensions_mut().insert(PlaceKey::of([nth; 16]));
        fill(store, &CacheKey::new([nth], ""), &meta).await;
    }
    store.objects.run_pending_tasks();
    assert_eq!(store.places.len() as u64, store.objects.entry_count());
    assert!(store.places.len() < 20, "{} places", store.places.len());
}

#[tokio::test]
async fn who_looked_before_a_response_came_and_locks_after_it_looks_again() {
    let store = store(1000);
    let collapse = Collapse::new(Arc::clone(&store.changes), store.too_large());
    for stale in [false, true] {
        // Another fetches between the look and the lock, and holds no lock any more.
        let Locked::Write(leader) = collapse.lock(&key(), stale) else { panic!("nobody else fetches") };
        assert_eq!(store.lookup(&key(), &span()).await.unwrap().is_some(), stale);
        let writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
        collapse.release(&key(), leader, LockStatus::Done);
        let Locked::Read(read) = collapse.lock(&key(), stale) else { panic!("the origin would be asked twice") };
        read.wait().await;
        assert_eq!(read.lock_status(), LockStatus::Done);
        assert!(store.lookup(&key(), &span()).await.unwrap().is_some());
        // What was found then is of no use: the fetch is this request's own.
        let Locked::Write(own) = collapse.lock(&key(), stale) else { panic!("it would wait for nobody") };
        collapse.release(&key(), own, LockStatus::Done);
        writer.finish().await.unwrap();
    }
}

#[tokio::test]
async fn a_variant_and_its_times_come_back_as_they_were() {
    let store = store(1000);
    let mut meta = meta();
    let born = SystemTime::now() - Duration::from_secs(30);
    meta.set_epoch_override(born);
    meta.set_variance([9; 16]);
    fill(store, &key(), &meta).await;
    let (found, _) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    assert_eq!((found.variance(), found.epoch()), (Some([9; 16]), born));
    assert_eq!((found.provenance(), found.fresh_until()), (meta.provenance(), meta.fresh_until()));
}

#[tokio::test]
async fn a_range_is_read_from_a_response_while_it_fills() {
    let store = store(1000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(Bytes::from_static(b"0123"), false).await.unwrap();
    let (_, mut reader) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    reader.seek(3, Some(6)).unwrap();
    assert_eq!(reader.read_body().await.unwrap().unwrap(), "3");
    writer.write_body(Bytes::from_static(b"4567"), false).await.unwrap();
    assert_eq!(reader.read_body().await.unwrap().unwrap(), "45");
    // It need not wait for the end.
    assert_eq!(reader.read_body().await.unwrap(), None);
    let (_, mut rest) = store.lookup(&key(), &span()).await.unwrap().unwrap();
    rest.seek(5, None).unwrap();
    writer.write_body(Bytes::from_static(b"89"), true).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(read_all(&mut rest).await, b"56789");
}

#[tokio::test]
async fn a_body_that_memory_cannot_keep_is_dropped_as_it_is_read() {
    let store = store(1_000_000);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    let tag = writer.streaming_write_tag().map(<[u8]>::to_vec);
    let (_, mut reader) = store.lookup_streaming_write(&key(), tag.as_deref(), &span()).await.unwrap().unwrap();
    let filling = store.filling_of(&pingora::cache::key::CacheHashKey::combined_bin(&key()), None).unwrap();
    let piece = Bytes::from(vec![b'x'; 100_000]);
    for _ in 0..100 {
        writer.write_body(piece.clone(), false).await.unwrap();
        assert_eq!(reader.read_body().await.unwrap().unwrap().len(), 100_000);
        assert!(filling.bytes_in_memory() <= 1_200_000, "{} bytes", filling.bytes_in_memory());
    }
    writer.finish().await.unwrap();
    assert_eq!(reader.read_body().await.unwrap(), None);
    reader.seek(0, None).unwrap();
    assert!(reader.read_body().await.is_err(), "its beginning is gone");
}

#[tokio::test]
async fn a_response_that_outruns_its_readers_is_cut_off() {
    let store = store(10);
    let mut writer = store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    let tag = writer.streaming_write_tag().map(<[u8]>::to_vec);
    let (_, mut reader) = store.lookup_streaming_write(&key(), tag.as_deref(), &span()).await.unwrap().unwrap();
    let piece = Bytes::from(vec![b'x'; 1 << 20]);
    for _ in 0..64 {
        writer.write_body(piece.clone(), false).await.unwrap();
    }
    assert!(writer.write_body(piece, false).await.is_err());
    drop(writer);
    for _ in 0..64 {
        assert!(reader.read_body().await.unwrap().is_some());
    }
}
