//! Files and records of other releases.

use super::*;

async fn with_format(folder: &Path, json: &'static str) {
    let store = Store::open(folder).await.unwrap();
    let set = move |change: &mut dyn Change| {
        change.put(Table("meta"), b"format", json.as_bytes().to_vec());
        Ok(())
    };
    store.write_unaudited(set).await.unwrap();
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_newer_file_is_refused_with_the_version_that_it_needs() {
    let folder = tempfile::tempdir().unwrap();
    with_format(folder.path(), r#"{"format":2,"needs":"0.9.0","more":true}"#).await;
    let refused = Store::open(folder.path()).await.err().unwrap().to_string();
    assert!(refused.contains("use version 0.9.0 or newer"), "{refused}");
    assert!(refused.contains(env!("CARGO_PKG_VERSION")), "{refused}");

    let again = Store::open(folder.path()).await.err().unwrap().to_string();
    assert_eq!(again, refused, "the refusal changed nothing and let go of the folder");
}

#[tokio::test]
async fn a_format_record_that_makes_no_sense_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    with_format(folder.path(), "{").await;
    let refused = Store::open(folder.path()).await.err().unwrap().to_string();
    assert!(refused.contains("its format record cannot be read"), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_no_store_is_an_error_and_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    let not_ours = b"these are not records ".repeat(1000);
    std::fs::write(&file, &not_ours).unwrap();
    assert!(Store::open(folder.path()).await.is_err());
    assert_eq!(std::fs::read(&file).unwrap(), not_ours);
}

#[test]
fn a_newer_record_is_refused_with_what_it_needs() {
    let mut bytes = encode(&Thing(1));
    bytes[0] = 2;
    let refused = decode::<Thing>(&bytes).unwrap_err().to_string();
    assert!(refused.contains("it has format 2, and this server reads up to 1"), "{refused}");
    for broken in [&b""[..], b"\0{}", b"\x01{"] {
        assert!(decode::<Thing>(broken).is_err());
    }
}

#[test]
fn an_older_record_is_brought_up_to_date() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Newer {
        number: u32,
    }
    impl Record for Newer {
        const WHAT: &'static str = "thing";
        const FORMAT: u8 = 2;

        fn upgrade(_: u8, json: &[u8]) -> Result<Self> {
            let number = serde_json::from_slice(json).map_err(|it| Error::store("reading", it))?;
            Ok(Newer { number })
        }
    }
    assert_eq!(decode::<Newer>(&encode(&Thing(7))).unwrap(), Newer { number: 7 });
    assert_eq!(decode::<Newer>(&encode(&Newer { number: 8 })).unwrap(), Newer { number: 8 });
}
