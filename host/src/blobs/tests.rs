//! Blobs as the operations see them.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::memory::InMemory;
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use super::*;
use crate::store::{Store, blob_refs};

const LIMIT: u64 = 16 << 20;

fn parts(bytes: &[u8], size: usize) -> impl Stream<Item = Result<Bytes>> + Send + use<> {
    let parts: Vec<_> = bytes.chunks(size).map(|it| Ok(Bytes::copy_from_slice(it))).collect();
    stream::iter(parts)
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn some_bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|it| (it * 31 + it / 257) as u8 ^ seed).collect()
}

async fn all(blobs: &Blobs, sha256: &str, range: Range<u64>) -> Result<Vec<u8>> {
    let parts: Vec<Bytes> = blobs.get(sha256, range).await?.try_collect().await?;
    Ok(parts.concat())
}

async fn open() -> (tempfile::TempDir, Blobs, Store) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).await.unwrap();
    (folder, blobs, Store::in_memory().await.unwrap())
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

async fn check_round_trip(blobs: &Blobs, bytes: &[u8], part: usize) {
    let stored = blobs.put(parts(bytes, part), LIMIT).await.unwrap();
    assert_eq!((stored.sha256.as_str(), stored.size), (&*digest(bytes), bytes.len() as u64));
    assert_eq!(blobs.size(&stored.sha256).await.unwrap(), Some(bytes.len() as u64));
    assert_eq!(all(blobs, &stored.sha256, 0..stored.size).await.unwrap(), bytes);

    let (from, to) = (bytes.len() / 3, bytes.len() * 2 / 3);
    let middle = all(blobs, &stored.sha256, from as u64..to as u64).await.unwrap();
    assert_eq!(middle, bytes[from..to]);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy");
    blobs.copy_to(&stored.sha256, &path).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
}

#[tokio::test]
async fn what_is_put_is_what_is_got_on_a_disk_and_in_an_object_store() {
    let (_folder, on_disk, _) = open().await;
    let staging = tempfile::tempdir().unwrap();
    let elsewhere = Blobs::over(Arc::new(InMemory::new()), staging.path());
    for length in [0, 1, 511, 256 << 10, (512 << 10) + 1, 3 << 20] {
        for blobs in [&on_disk, &elsewhere] {
            check_round_trip(blobs, &some_bytes(length, 1), 100_000).await;
        }
    }
    assert!(files(&on_disk.staging()).is_empty());
    assert!(files(staging.path()).is_empty());
}

#[tokio::test]
async fn an_upload_that_fails_or_is_given_up_leaves_nothing() {
    let (folder, blobs, _) = open().await;
    let bytes = some_bytes(2 << 20, 1);

    let large = blobs.put(parts(&bytes, 1 << 16), (2 << 20) - 1).await.unwrap_err();
    assert!(matches!(large, Error::TooLarge { what: "package", limit_bytes: 2_097_151 }));

    let cut_off = parts(&bytes, 1 << 16).chain(stream::iter([Err(Error::invalid("body", "cut"))]));
    assert!(matches!(blobs.put(cut_off, LIMIT).await, Err(Error::Invalid { .. })));

    let endless = parts(&bytes, 1 << 16).chain(stream::pending());
    let mut given_up = Box::pin(blobs.put(endless, LIMIT));
    let staged = || !files(&blobs.staging()).is_empty();
    while !staged() {
        assert!(futures::poll!(&mut given_up).is_pending());
        tokio::task::yield_now().await;
    }
    drop(given_up);
    while staged() {
        tokio::task::yield_now().await;
    }
    assert!(files(folder.path()).is_empty());
    assert_eq!(blobs.size(&digest(&bytes)).await.unwrap(), None);
}

#[tokio::test]
async fn names_that_are_no_digests_are_not_there() {
    let (folder, blobs, _) = open().await;
    std::fs::write(folder.path().join("secret"), "x").unwrap();
    let upper = "A".repeat(64);
    for name in ["", "..", "../../secret", "ab/../../secret", &upper, &"g".repeat(64)] {
        assert_eq!(blobs.size(name).await.unwrap(), None);
        assert!(blobs.hold(name).await.unwrap().is_none());
        let got = blobs.get(name, 0..1).await.err().unwrap();
        assert!(matches!(got, Error::NotFound { what: "blob", .. }), "{got}");
    }
    let got = blobs.copy_to(&"a".repeat(64), &folder.path().join("copy")).await.unwrap_err();
    assert!(matches!(got, Error::NotFound { what: "blob", .. }), "{got}");
    assert!(!folder.path().join("copy").exists());
}

#[tokio::test]
async fn a_changed_bit_is_found_and_putting_the_bytes_again_mends_it() {
    let (folder, blobs, _) = open().await;
    let bytes = some_bytes(700_000, 3);
    let stored = blobs.put(parts(&bytes, 1 << 16), LIMIT).await.unwrap();
    let file = files(folder.path()).pop().unwrap();
    let copy = folder.path().join("copy");
    for bit in [0, 8 * 300_000 + 3, 8 * 699_999 + 7] {
        let mut rotten = bytes.clone();
        rotten[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&file, &rotten).unwrap();

        let mut stream = blobs.get(&stored.sha256, 0..stored.size).await.unwrap();
        let (mut got, mut error) = (0, None);
        while let Some(part) = stream.next().await {
            match part {
                Ok(it) => got += it.len(),
                Err(it) => error = Some(it.to_string()),
            }
        }
        assert!(error.unwrap().contains("its bytes have changed"));
        assert!(got < bytes.len(), "nobody gets the whole of something wrong");
        assert!(blobs.copy_to(&stored.sha256, &copy).await.is_err());
        assert!(!copy.exists());
    }
    std::fs::write(&file, &bytes[..1000]).unwrap();
    assert!(all(&blobs, &stored.sha256, 0..stored.size).await.is_err(), "a short one too");

    blobs.put(parts(&bytes, 1 << 16), LIMIT).await.unwrap();
    assert_eq!(all(&blobs, &stored.sha256, 0..stored.size).await.unwrap(), bytes);
}

#[tokio::test]
async fn what_nobody_needs_is_collected_and_nothing_else() {
    let (folder, blobs, store) = open().await;
    let now = Duration::ZERO;
    let needed = blobs.put(parts(b"needed", 9), LIMIT).await.unwrap();
    let leased = blobs.put(parts(b"leased", 9), LIMIT).await.unwrap();
    let orphan = blobs.put(parts(b"orphan", 9), LIMIT).await.unwrap().sha256;
    let stranger = folder.path().join("objects").join("README");
    std::fs::write(&stranger, "not a blob").unwrap();

    let refer = |sha256: String, owner: &'static str| {
        store.write_unaudited(move |change| {
            let _: () = blob_refs::refer(change, &sha256, owner);
            Ok(())
        })
    };
    let release = |sha256: String, owner: &'static str| {
        store.write_unaudited(move |change| {
            let _: () = blob_refs::release(change, &sha256, owner);
            Ok(())
        })
    };
    refer(needed.sha256.clone(), "version/a").await.unwrap();
    refer(needed.sha256.clone(), "version/a").await.unwrap();
    refer(needed.sha256.clone(), "version/b").await.unwrap();
    let stored = needed;
    let needed = stored.sha256.clone();
    drop(stored);

    let hour = Duration::from_secs(3600);
    assert_eq!(blobs.collect(&store, hour).await.unwrap(), Collected::default(), "all are young");
    let collected = blobs.collect(&store, now).await.unwrap();
    assert_eq!(collected, Collected { blobs: 1, bytes: 6 });
    assert_eq!(blobs.size(&orphan).await.unwrap(), None);
    assert_eq!(blobs.size(&leased.sha256).await.unwrap(), Some(6));
    assert!(stranger.exists());

    release(needed.clone(), "version/a").await.unwrap();
    assert_eq!(blobs.collect(&store, now).await.unwrap().blobs, 0, "b still needs it");
    let held = blobs.hold(&needed).await.unwrap().unwrap();
    release(needed.clone(), "version/b").await.unwrap();
    release(needed.clone(), "version/b").await.unwrap();
    assert_eq!(blobs.collect(&store, now).await.unwrap().blobs, 0, "it is held");
    drop((held, leased));
    assert_eq!(blobs.collect(&store, now).await.unwrap().blobs, 2);
    assert!(blobs.hold(&needed).await.unwrap().is_none());
}

#[tokio::test]
async fn nothing_is_collected_when_the_store_cannot_be_asked() {
    let (_folder, blobs, store) = open().await;
    let sha256 = blobs.put(parts(b"bytes", 9), LIMIT).await.unwrap().sha256;
    store.close().await.unwrap();
    assert!(blobs.collect(&store, Duration::ZERO).await.is_err());
    assert_eq!(blobs.size(&sha256).await.unwrap(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_and_collections_of_the_same_bytes_never_lose_what_a_record_needs() {
    let (_folder, blobs, store) = open().await;
    let uploads = (0..6).map(|client| {
        let (blobs, store) = (blobs.clone(), store.clone());
        tokio::spawn(async move {
            for round in 0..40u32 {
                let bytes = (round % 3).to_string().into_bytes();
                let stored = blobs.put(parts(&bytes, 9), LIMIT).await.unwrap();
                let (sha256, owner) = (stored.sha256.clone(), format!("version/{client}"));
                let needs = sha256.clone();
                let refer = move |change: &mut dyn crate::store::Change| {
                    blob_refs::refer(change, &needs, &owner);
                    Ok(owner)
                };
                let owner = store.write_unaudited(refer).await.unwrap();
                drop(stored);
                tokio::task::yield_now().await;
                assert_eq!(all(&blobs, &sha256, 0..1).await.unwrap(), bytes);
                let release = move |change: &mut dyn crate::store::Change| {
                    let _: () = blob_refs::release(change, &sha256, &owner);
                    Ok(())
                };
                store.write_unaudited(release).await.unwrap();
            }
        })
    });
    let uploads = futures::future::join_all(uploads);
    let collector = blobs.spawn_collector(store.clone(), Duration::from_millis(1), Duration::ZERO);
    for upload in uploads.await {
        upload.unwrap();
    }
    collector.abort();
    drop(collector.await);
    blobs.collect(&store, Duration::ZERO).await.unwrap();
    for bytes in ["0", "1", "2"] {
        assert_eq!(blobs.size(&digest(bytes.as_bytes())).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_a_crash_left_goes_at_the_next_start_or_the_next_round() {
    let (folder, blobs, store) = open().await;
    let kept = blobs.put(parts(b"kept", 9), LIMIT).await.unwrap().sha256;
    let needs = kept.clone();
    store
        .write_unaudited(move |it| {
            let _: () = blob_refs::refer(it, &needs, "version/a");
            Ok(())
        })
        .await
        .unwrap();

    // Killed while writing, after the rename, and between the two: a half upload, and a
    // whole blob that no record points at yet.
    std::fs::write(blobs.staging().join("upload-x"), "half").unwrap();
    std::fs::create_dir(blobs.staging().join("work")).unwrap();
    let orphan = blobs.put(parts(b"orphan", 9), LIMIT).await.unwrap().sha256;
    drop(blobs);

    let blobs = Blobs::open(folder.path()).await.unwrap();
    assert!(files(&blobs.staging()).is_empty());
    assert_eq!(blobs.collect(&store, Duration::ZERO).await.unwrap().blobs, 1);
    assert_eq!(blobs.size(&orphan).await.unwrap(), None);
    assert_eq!(all(&blobs, &kept, 0..4).await.unwrap(), b"kept");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_range_is_a_part_of_the_bytes(
        length in 1..800_000usize, from in 0..800_000u64, size in 0..800_000u64, part in 1..300_000usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (_folder, blobs, _) = open().await;
            let bytes = some_bytes(length, 9);
            let stored = blobs.put(parts(&bytes, part), LIMIT).await.unwrap();
            let range = from.min(stored.size)..(from + size).min(stored.size);
            let got = all(&blobs, &stored.sha256, range.clone()).await.unwrap();
            assert_eq!(got, bytes[range.start as usize..range.end as usize]);
        });
    }
}
