//! The store with a disk, driven as Pingora drives it; directories are looked into
//! and damaged behind its back.

use super::*;
use crate::cache::storage::Store;
use crate::cache::storage::tests::{in_memory, key, meta, read_all, span};
use bytes::Bytes;
use deployment::CacheDisk;
use pingora::cache::CacheKey;
use pingora::cache::storage::{HitHandler, Storage as _};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const MEMORY_OBJECT_MAX: u64 = 200_000;

struct Tiers {
    store: &'static Store,
    directory: TempDir,
}

fn nothing_above() -> Above {
    Above { holds: Box::new(|_| false), hears_of_evicted: Box::new(|_| {}) }
}

impl Tiers {
    async fn open(directory: TempDir, bytes: u64) -> Tiers {
        Tiers::below(in_memory(1_000_000, MEMORY_OBJECT_MAX), directory, bytes).await
    }

    /// A disk below this store.
    async fn below(mut store: Store, directory: TempDir, bytes: u64) -> Tiers {
        let config = CacheDisk { directory: directory.path().to_owned(), bytes, object_bytes_max: bytes };
        let objects = store.objects.clone();
        let holds = Box::new(move |key: &HashBinary| objects.contains_key(key));
        let disk = Disk::open(&config, Above { holds, ..nothing_above() }).unwrap();
        eventually(|| disk.index.is_open()).await;
        store.disk = Some(disk);
        Tiers { store: Box::leak(Box::new(store)), directory }
    }

    async fn new() -> Tiers {
        Tiers::open(tempfile::tempdir().unwrap(), 10_000_000).await
    }

    fn disk(&self) -> &Arc<Disk> {
        self.store.disk.as_ref().unwrap()
    }

    /// A new process on the same directory: the lock of the old one is let go.
    async fn reopen(self) -> Tiers {
        self.disk()._lock.unlock().unwrap();
        Tiers::open(self.directory, 10_000_000).await
    }

    async fn fill(&self, key: &CacheKey, body: &Bytes) {
        let mut writer = self.store.get_miss_handler(key, &meta(), &span()).await.unwrap();
        for piece in body.chunks(50_000) {
            writer.write_body(Bytes::copy_from_slice(piece), false).await.unwrap();
        }
        writer.finish().await.unwrap();
        let key = binary(key);
        eventually(|| self.disk().index.peek(&key).is_some()).await;
    }

    async fn lookup(&self, key: &CacheKey) -> Option<(pingora::cache::CacheMeta, HitHandler)> {
        self.store.lookup(key, &span()).await.unwrap()
    }

    async fn body(&self, key: &CacheKey) -> Option<Vec<u8>> {
        let (_, mut reader) = self.lookup(key).await?;
        Some(read_all(&mut reader).await)
    }

    fn files(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.directory.path()).unwrap().flatten().filter(|entry| entry.path().is_dir());
        folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten()).map(|file| file.path()).collect()
    }

    fn file(&self, extension: &str) -> PathBuf {
        let mut found = self.files().into_iter().filter(|path| path.extension().is_some_and(|end| end == extension));
        found.next().unwrap()
    }
}

fn binary(key: &CacheKey) -> HashBinary {
    use pingora::cache::key::CacheHashKey as _;
    key.combined_bin()
}

fn body(length: usize) -> Bytes {
    (0..length).map(|nth| u8::try_from(nth * 31 % 251).unwrap()).collect()
}

async fn eventually(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it happens within 20 s");
}

#[tokio::test]
async fn objects_of_every_size_come_back_from_disk_with_their_header() {
    let mut tiers = Tiers::new().await;
    let lengths = [0, 1, 65_535, 65_536, 65_537, 150_000, 200_001, 1_000_000, 1_100_000];
    let keys = lengths.map(|length| CacheKey::new(format!("{length}"), ""));
    for (key, length) in keys.iter().zip(lengths) {
        tiers.fill(key, &body(length)).await;
    }
    for _ in 0..2 {
        tiers = tiers.reopen().await;
        for (key, length) in keys.iter().zip(lengths) {
            let (found, mut reader) = tiers.lookup(key).await.unwrap();
            assert_eq!((found.headers()["etag"].as_bytes(), found.stale_if_error_sec()), (&b"\"1\""[..], 7));
            assert_eq!(found.headers()["content-length"], length.to_string());
            assert!(read_all(&mut reader).await == body(length), "{length} bytes");
        }
    }
    assert!(tiers.store.objects.contains_key(&binary(&keys[5])), "a small object on disk is brought to memory");
    assert!(!tiers.store.objects.contains_key(&binary(&keys[6])), "a large one is read where it is");
}

#[tokio::test]
async fn a_range_of_an_object_on_disk_reads_its_blocks_alone() {
    let tiers = Tiers::new().await;
    let whole = body(1_000_000);
    tiers.fill(&key(), &whole).await;
    let (_, mut reader) = tiers.lookup(&key()).await.unwrap();
    let path = tiers.file("body");
    let mut damaged = fs::read(&path).unwrap();
    damaged[500_000] ^= 1;
    fs::write(&path, damaged).unwrap();
    for (start, end) in [(0, 10), (65_530, 65_545), (999_999, 1_000_000), (600_000, 1_000_000)] {
        reader.seek(start, Some(end)).unwrap();
        assert!(read_all(&mut reader).await == whole[start..end], "{start}..{end}");
    }
    assert!(reader.seek(1_000_000, None).is_err());
    reader.seek(400_000, None).unwrap();
    let mut read = Vec::new();
    let error = loop {
        match reader.read_body().await {
            Ok(data) => read.extend_from_slice(&data.expect("the damage is found before the end")),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("does not match its checksum"), "{error}");
    assert!(whole[400_000..].starts_with(&read), "what was read before it is good");
    assert!(tiers.lookup(&key()).await.is_none(), "the object is dropped");
    eventually(|| tiers.files().is_empty()).await;
}

#[tokio::test]
async fn a_damaged_or_cut_object_is_not_found() {
    for (length, extension) in [(100, "record"), (150_000, "record"), (150_000, "body"), (1_000_000, "record")] {
        for at_end in [false, true] {
            let tiers = Tiers::new().await;
            tiers.fill(&key(), &body(length)).await;
            let path = tiers.file(extension);
            let mut bytes = fs::read(&path).unwrap();
            if at_end {
                bytes.pop();
            } else {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            fs::write(&path, bytes).unwrap();
            tiers.store.objects.invalidate(&binary(&key()));
            assert!(tiers.lookup(&key()).await.is_none(), "{length} {extension} {at_end}");
            assert_eq!(tiers.disk().index.size(), (0, 0));
            eventually(|| tiers.files().is_empty()).await;
        }
    }
}

#[tokio::test]
async fn leftovers_are_removed_at_start_and_files_of_others_left_alone() {
    let tiers = Tiers::new().await;
    let kept = body(150_000);
    tiers.fill(&key(), &kept).await;
    let (other, cut) = ([0xab; 16], [0xac; 16]);
    let layout = Layout::new(tiers.directory.path());
    fs::write(layout.body(&other, 1), b"a body without a record").unwrap();
    fs::write(layout.unfinished(&other, 1), b"half of a record").unwrap();
    let record = fs::read(tiers.file("record")).unwrap();
    fs::write(layout.record(&cut), &record).unwrap();
    let note = layout.folder(7).join("note.txt");
    fs::write(&note, b"not the cache's").unwrap();
    let tiers = tiers.reopen().await;
    let left = tiers.files();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(note.exists());
    assert_eq!(tiers.body(&key()).await.unwrap(), kept);
}

#[tokio::test]
async fn a_fetch_that_fails_leaves_no_file_and_takes_no_room() {
    let tiers = Tiers::new().await;
    let mut writer = tiers.store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    for _ in 0..10 {
        writer.write_body(body(100_000), false).await.unwrap();
    }
    assert_eq!(tiers.files().len(), 1);
    assert!(tiers.disk().index.unfinished_bytes() > 800_000);
    drop(writer);
    eventually(|| tiers.files().is_empty() && tiers.disk().index.unfinished_bytes() == 0).await;
    assert!(tiers.lookup(&key()).await.is_none());
}

#[tokio::test]
async fn memory_has_little_of_an_object_on_its_way_to_disk_and_readers_get_all_of_it() {
    let tiers = Tiers::open(tempfile::tempdir().unwrap(), 20_000_000).await;
    let piece = body(100_000);
    let mut writer = tiers.store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(piece.clone(), false).await.unwrap();
    let (_, mut slow) = tiers.lookup(&key()).await.unwrap();
    let (_, mut part) = tiers.lookup(&key()).await.unwrap();
    let mut close = tiers.lookup(&key()).await.unwrap().1;
    assert_eq!(close.read_body().await.unwrap().unwrap(), piece);
    for _ in 1..100 {
        writer.write_body(piece.clone(), false).await.unwrap();
        assert_eq!(close.read_body().await.unwrap().unwrap(), piece);
        let filling = tiers.store.filling_of(&binary(&key()), None).unwrap();
        assert!(filling.bytes_in_memory() < 1_300_000, "{} bytes", filling.bytes_in_memory());
    }
    part.seek(1_234_567, Some(1_300_000)).unwrap();
    let whole: Vec<u8> = std::iter::repeat_n(piece, 100).flatten().collect();
    assert!(read_all(&mut part).await == whole[1_234_567..1_300_000]);
    part.seek(9_999_990, Some(10_000_000)).unwrap();
    assert_eq!(read_all(&mut part).await, &whole[9_999_990..], "a second range, of what only memory has");
    writer.finish().await.unwrap();
    assert!(read_all(&mut slow).await == whole);
    assert!(tiers.body(&key()).await.unwrap() == whole);
}

#[tokio::test]
async fn a_purge_reaches_the_disk_and_what_is_on_its_way_there() {
    let tiers = Tiers::new().await;
    let keys = ["a", "b", "c"].map(|name| CacheKey::new(name, ""));
    for (key, length) in keys.iter().zip([100, 150_000, 1_000_000]) {
        tiers.fill(key, &body(length)).await;
    }
    let coming = CacheKey::new("coming", "");
    let mut writer = tiers.store.get_miss_handler(&coming, &meta(), &span()).await.unwrap();
    writer.write_body(body(1_000_000), false).await.unwrap();
    tiers.store.invalidate(PlaceKey::of([1; 16])).await;
    assert_eq!(tiers.files().len(), 1, "only what is being written is left");
    writer.finish().await.unwrap();
    eventually(|| tiers.files().is_empty()).await;
    for key in keys.iter().chain([&coming]) {
        assert!(tiers.lookup(key).await.is_none());
    }
    // The file goes first, then the count of its bytes.
    eventually(|| (tiers.disk().index.size(), tiers.disk().index.unfinished_bytes()) == ((0, 0), 0)).await;
}

#[tokio::test]
async fn a_purge_before_the_directory_was_read_outlives_a_crash() {
    let tiers = Tiers::new().await;
    tiers.fill(&key(), &body(100)).await;
    // The process that was purged ended before it had read its directory.
    let unread = Index::new(1000, nothing_above());
    let (removed, opening) = unread.forget_place(PlaceKey::of([1; 16]));
    assert!(removed.is_empty() && opening);
    tiers.disk().purge(Purge { removed, unread: Some(PlaceKey::of([1; 16])) }).await;
    let purged = tiers.disk().layout.purged();
    assert!(purged.exists());
    let tiers = tiers.reopen().await;
    assert!(tiers.lookup(&key()).await.is_none());
    eventually(|| tiers.files().is_empty() && !purged.exists()).await;
}

#[tokio::test]
async fn a_new_header_is_on_disk_too() {
    for length in [100, 150_000, 1_000_000] {
        let tiers = Tiers::new().await;
        tiers.fill(&key(), &body(length)).await;
        let (mut newer, _) = tiers.lookup(&key()).await.unwrap();
        newer.response_header_mut().insert_header("etag", "\"2\"").unwrap();
        assert!(tiers.store.update_meta(&key(), &newer, &span()).await.unwrap());
        let tiers = tiers.reopen().await;
        let (found, mut reader) = tiers.lookup(&key()).await.unwrap();
        assert_eq!(found.headers()["etag"], "\"2\"");
        assert!(read_all(&mut reader).await == body(length));
        let (objects, bytes) = tiers.disk().index.size();
        let on_disk: u64 =
            tiers.files().iter().map(|path| fs::metadata(path).unwrap().len().next_multiple_of(4096)).sum();
        assert_eq!((objects, bytes), (1, on_disk));
    }
}

#[tokio::test]
async fn what_is_stale_soon_is_not_worth_a_write() {
    let tiers = Tiers::new().await;
    let now = SystemTime::now();
    let mut brief =
        pingora::cache::CacheMeta::new(now + Duration::from_secs(5), now, 0, 0, meta().response_header_copy());
    brief.extensions_mut().insert(PlaceKey::of([1; 16]));
    let mut writer = tiers.store.get_miss_handler(&key(), &brief, &span()).await.unwrap();
    writer.write_body(body(100), true).await.unwrap();
    writer.finish().await.unwrap();
    tiers.fill(&CacheKey::new("lasting", ""), &body(100)).await;
    assert_eq!(tiers.files().len(), 1);
    assert!(tiers.lookup(&key()).await.is_some());
}

#[tokio::test]
async fn what_the_disk_is_too_busy_for_stays_in_memory() {
    let tiers = Tiers::new().await;
    let busy = Arc::clone(&tiers.disk().behind);
    let waiting = busy.try_acquire_many_owned(u32::try_from(BEHIND_KIB_MAX).unwrap()).unwrap();
    let mut writer = tiers.store.get_miss_handler(&key(), &meta(), &span()).await.unwrap();
    writer.write_body(body(100), true).await.unwrap();
    writer.finish().await.unwrap();
    assert_eq!(tiers.body(&key()).await.unwrap(), body(100));
    drop(waiting);
    // One that came later is written, so the first one would have been by now.
    tiers.fill(&CacheKey::new("later", ""), &body(100)).await;
    assert_eq!(tiers.files().len(), 1);
}

#[tokio::test]
async fn a_disk_that_does_not_answer_holds_up_only_who_asks_it() {
    let tiers = Tiers::new().await;
    let (in_memory, large) = (CacheKey::new("small", ""), CacheKey::new("large", ""));
    tiers.fill(&in_memory, &body(100)).await;
    tiers.fill(&large, &body(1_000_000)).await;
    let turns = u32::try_from(FILE_OPERATIONS_MAX).unwrap();
    let stuck = Arc::clone(&tiers.disk().turns).try_acquire_many_owned(turns).unwrap();
    assert_eq!(tiers.body(&in_memory).await.unwrap(), body(100));
    let brief = tokio::time::timeout(Duration::from_millis(50), tiers.body(&large)).await;
    assert!(brief.is_err(), "it waits for its turn");
    drop(stuck);
    assert!(tiers.body(&large).await.unwrap() == body(1_000_000));
}

#[tokio::test]
async fn the_largest_object_of_memory_is_written_behind_too() {
    let memory = in_memory(200 << 20, 64 << 20);
    let tiers = Tiers::below(memory, tempfile::tempdir().unwrap(), 100 << 20).await;
    tiers.fill(&key(), &body(64 << 20)).await;
    assert_eq!(tiers.disk().index.size().0, 1);
    assert!(tiers.store.objects.contains_key(&binary(&key())));
}

#[tokio::test]
async fn a_directory_has_one_owner() {
    let tiers = Tiers::new().await;
    let config = CacheDisk { directory: tiers.directory.path().to_owned(), bytes: 1000, object_bytes_max: 1000 };
    assert!(matches!(Disk::open(&config, nothing_above()), Err(DiskError::InUse { .. })));
    let nowhere = CacheDisk { directory: Path::new("/proc/nowhere").to_owned(), ..config };
    assert!(matches!(Disk::open(&nowhere, nothing_above()), Err(DiskError::Unusable { .. })));
}
