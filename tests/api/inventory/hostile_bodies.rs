//! Bodies that are deep, long, doubled, numeric beyond reason, or cut off. Whatever
//! they are: no 500, and nothing is kept of what is refused.

use std::{collections::BTreeMap, fs, path::Path};

use axum::body::{Body, Bytes};
use chandlery_tests::{Host, PATIENCE, Running, program, read_to_end, status};
use futures::channel::mpsc::UnboundedSender;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::{at, expect_empty, expect_text, host, host_with, register};

/// All that take JSON, with a way to say what is there afterwards.
const TAKERS: [(&str, &str); 8] = [
    ("POST", "/ns/register"),
    ("POST", "/new/register"),
    ("POST", "/search"),
    ("PUT", "/ns/"),
    ("POST", "/ns/add-namespace"),
    ("PUT", "/ns/hooks/"),
    ("PUT", "/ns/units/app/hooks/"),
    ("POST", "/ns/units/app/tags/"),
];

async fn sent(host: &Host, (method, path): (&str, &str), body: impl Into<Bytes>) -> u16 {
    let request = axum::http::Request::builder().method(method).uri(at(path));
    let request = request.header("content-type", "application/json");
    host.send(request.body(Body::from(body.into())).unwrap()).await.status
}

/// Everything that can be read of the inventory.
async fn all(host: &Host) -> Vec<String> {
    let mut all = Vec::new();
    for path in ["/", "/ns/", "/ns/units/app/", "/ns/units/app/versions/v1/", "/ns/hooks/"] {
        all.push(host.get(&at(path)).await.text().to_owned());
    }
    all
}

fn nested(open: &str, close: &str, times: usize) -> String {
    format!("{}{}", open.repeat(times), close.repeat(times))
}

fn hostile() -> Vec<Vec<u8>> {
    const DEEP: usize = 100_000;
    let deep = nested("[", "]", DEEP);
    let digits = "9".repeat(1000);
    let mut texts = vec![
        String::new(),
        " ".repeat(1000),
        deep.clone(),
        "[".repeat(DEEP),
        nested(r#"{"a":"#, "}", DEEP),
        r#"{"name":"#.repeat(DEEP),
        "\"".to_owned() + &"a".repeat(1_000_000),
        "[]".to_owned(),
        "12".to_owned(),
        digits.clone(),
        "1e999999999".to_owned(),
        "NaN".to_owned(),
        "\u{feff}{}".to_owned(),
        "{\"name\":\"a\0b\"}".to_owned(),
        "{'name':'app'}".to_owned(),
        r#"{"name":"app",}"#.to_owned(),
    ];
    for member in
        ["name", "version", "api_version", "description", "slack", "release_id", "query", "limit"]
    {
        texts.push(format!(r#"{{"name":"-","version":"-","{member}":{deep}}}"#));
        texts.push(format!(r#"{{"name":"-","version":"-","{member}":{digits}}}"#));
        texts.push(format!(r#"{{"name":"-","version":"-","{member}":{{"a":1}}}}"#));
    }
    let mut bodies: Vec<_> = texts.into_iter().map(String::into_bytes).collect();
    bodies.push(b"{\"name\":\xff\xfe}".to_vec());
    bodies.push(b"\xef\xbb".to_vec());
    bodies
}

#[tokio::test]
async fn no_hostile_body_is_kept_or_breaks_anything() {
    let host = host_with(["1"]).await;
    let before = all(&host).await;
    for taker in TAKERS {
        for body in hostile() {
            let status = sent(&host, taker, body.clone()).await;
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            assert!(matches!(status, 400 | 404 | 413), "{taker:?} {shown}: {status}");
        }
        assert_eq!(all(&host).await, before, "{taker:?}");
    }
    expect_empty(host.get(&at("/new/")).await, 404);
}

#[tokio::test]
async fn the_last_of_repeated_keys_counts() {
    let host = host().await;
    let body = r#"{"name":"other","NAME":"app","version":"9","version":"1","description":"a",
        "description":"b","metadata":{"k":"1","k":"2"},
        "inputs":[{"id":"x","id":"y","default":{"z":1,"z":2}}]}"#;
    host.post_bytes(&at("/ns/register"), "application/json", body).await.expect(200);
    let kept = host.get(&at("/ns/units/app/versions/v1/")).await.expect(200).json();
    assert_eq!((&kept["description"], &kept["metadata"]), (&json!("b"), &json!({ "k": "2" })));
    assert_eq!(kept["inputs"][0]["id"], "y");
    assert_eq!(kept["inputs"][0]["default"], json!({ "z": 2 }));
    expect_empty(host.get(&at("/ns/units/other/")).await, 404);

    let many: String = (0..50_000).map(|it| format!(r#""description":"{it}","#)).collect();
    let body = format!(r#"{{{many}"name":"app","version":"2"}}"#);
    let status = sent(&host, ("POST", "/ns/register"), body).await;
    assert!(matches!(status, 200 | 413), "{status}");
    if status == 200 {
        let kept = host.get(&at("/ns/units/app/versions/v2/")).await.expect(200).json();
        assert_eq!(kept["description"], "49999");
    }
}

#[tokio::test]
async fn a_depth_that_a_release_may_have_comes_back_whole() {
    let host = host().await;
    // 127 with the three levels around it.
    let deep = |levels: usize| {
        let value = nested("[", "]", levels);
        format!(r#"{{"name":"app","version":"1","inputs":[{{"id":"x","default":{value}}}]}}"#)
    };
    assert_eq!(sent(&host, ("POST", "/ns/register"), deep(125)).await, 400);
    assert_eq!(sent(&host, ("POST", "/ns/register"), deep(124)).await, 200);
    let value: Value = serde_json::from_str(&nested("[", "]", 124)).unwrap();
    let kept = host.get(&at("/ns/units/app/versions/v1/")).await.expect(200).json();
    assert_eq!(kept["inputs"][0]["default"], value);
    host.get(&at("/ns/units/app/versions/v1/?full=1")).await.expect(200);
}

#[tokio::test]
async fn numbers_of_a_thousand_digits_are_refused_where_they_are_kept() {
    let host = host().await;
    let digits = "1".repeat(1000);
    for (member, place) in [
        (format!(r#""api_version":{digits}"#), "api_version"),
        (format!(r#""inputs":[{{"id":"x","default":{digits}}}]"#), "inputs.[0].default"),
        (
            format!(r#""depends":[{{"release_id":"lib-v1","mapping":{{"a":-{digits}.5}}}}]"#),
            "depends",
        ),
        (format!(r#""version":"{digits}""#), "version"),
        (format!(r#""version":"1.{digits}""#), "version"),
    ] {
        let body = format!(r#"{{"name":"app","version":"1",{member}}}"#);
        let answer =
            host.post_bytes(&at("/ns/register"), "application/json", body).await.expect(400);
        let message = answer.text();
        let named = message.contains(place) || message.starts_with("Invalid version string");
        assert!(named && message.len() < 2000, "{message}");
    }
    // What nobody knows may be anything.
    let body = format!(r#"{{"name":"app","version":"1","unknown":[{digits},1e99999]}}"#);
    host.post_bytes(&at("/ns/register"), "application/json", body).await.expect(200);
}

#[tokio::test]
async fn one_bad_dependency_of_a_thousand_refuses_them_all() {
    let host = host().await;
    let depends = |last: &str| {
        let good = (0..999).map(|it| format!("lib-v{it}"));
        let all: Vec<_> =
            good.chain([last.to_owned()]).map(|it| json!({ "release_id": it })).collect();
        json!({ "name": "app", "version": "1", "depends": all })
    };
    let unresolved = "The dependency '_/lib-latest' needs its version resolved.";
    expect_text(register(&host, "ns", &depends("lib-latest")).await, 400, unresolved);
    expect_text(register(&host, "ns", &depends("x")).await, 400, "Invalid release format: x.");
    expect_empty(host.get(&at("/ns/")).await, 404);
    register(&host, "ns", &depends("lib-v999")).await.expect(200);
    // A thousand times the same one, in another release.
    let same = json!({
        "name": "app", "version": "2", "depends": vec![json!({ "release_id": "lib-v1" }); 1_000],
    });
    register(&host, "ns", &same).await.expect(200);
    host.get(&at("/ns/units/app/versions/v2/")).await.expect(200);
}

#[tokio::test]
async fn a_register_of_5_mib_is_refused_however_it_is_sent() {
    let host = host().await;
    let body = json!({ "name": "app", "version": "1", "logo": "x".repeat(5 << 20) }).to_string();
    assert_eq!(sent(&host, ("POST", "/ns/register"), body.clone()).await, 413);
    // In pieces, without a length that could be looked at first.
    let pieces: Vec<_> =
        body.as_bytes().chunks(50_000).map(|it| Ok::<_, std::io::Error>(it.to_vec())).collect();
    let body = Body::from_stream(futures::stream::iter(pieces));
    let request = axum::http::Request::post(at("/ns/register")).body(body).unwrap();
    host.send(request).await.expect(413);
    expect_empty(host.get(&at("/ns/")).await, 404);
}

const HEAD: &str = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\
    Content-Type: application/octet-stream\r\n\r\n";
const TAIL: &str = "\r\n--XX--\r\n";

fn upload_head(version: &str, length: usize) -> String {
    format!(
        "POST /api/v1/inventory/ns/units/app/versions/{version}/upload HTTP/1.1\r\n\
         Host: localhost\r\nContent-Type: multipart/form-data; boundary=XX\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    )
}

async fn register_over(server: &Running, version: &str) {
    let body = format!(r#"{{"name":"app","version":"{version}"}}"#);
    let request = format!(
        "POST /api/v1/inventory/ns/register HTTP/1.1\r\nHost: localhost\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status(&server.raw(request).await), 200);
}

/// The files below a folder, by their length.
fn files(folder: &Path) -> Vec<u64> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            // It may go while it is looked at.
            false => found.extend(fs::metadata(&path).ok().map(|it| it.len())),
        }
    }
    found
}

async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_upload_cut_off_at_any_stage_leaves_nothing() {
    let program = program!();
    let server = program.serve(&[]);
    register_over(&server, "1").await;
    let bytes = "b".repeat(100_000);
    let body = format!("{HEAD}{bytes}{TAIL}");
    let whole = format!("{}{body}", upload_head("v1", body.len()));
    let (head, at_bytes) = (whole.len() - body.len(), whole.len() - body.len() + HEAD.len());
    let stages = [
        10,
        head - 2,
        head,
        head + 3,
        at_bytes - 1,
        at_bytes,
        at_bytes + 1,
        at_bytes + 50_000,
        whole.len() - TAIL.len(),
        whole.len() - TAIL.len() + 4,
        whole.len() - 3,
        // All that a reader of the parts needs, and not all that was promised.
        whole.len() - 2,
        whole.len() - 1,
    ];
    for stage in stages {
        // Once the way a client ends that wants its answer, once the way a cable does.
        let mut stream = server.connect().await;
        stream.write_all(&whole.as_bytes()[..stage]).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert!(answer.is_empty() || status(&answer) == 400, "at {stage}: {answer}");
        let mut stream = server.connect().await;
        stream.write_all(&whole.as_bytes()[..stage]).await.unwrap();
        drop(stream);
    }
    let (code, _) = server.get("/api/v1/inventory/ns/units/app/versions/v1/download").await;
    assert_eq!(code, 404);
    // Bytes that came whole and belong to nothing are the collector's.
    let staged = program.data().join("blobs").join("staging");
    until("a half upload is left", || files(&staged).is_empty()).await;

    assert_eq!(status(&server.raw(&whole).await), 200);
    let (code, kept) = server.get("/api/v1/inventory/ns/units/app/versions/v1/download").await;
    assert!(code == 200 && kept == bytes);
}

#[tokio::test]
async fn an_upload_with_a_wrong_length_is_refused() {
    let program = program!();
    let server = program.serve(&[]);
    register_over(&server, "1").await;
    let body = format!("{HEAD}bytes{TAIL}");
    for length in [0, 1, HEAD.len(), HEAD.len() + 5, body.len() - 3, body.len() + 1] {
        // What stands behind the length is no request, and must not become one.
        let mut stream = server.connect().await;
        let request = format!("{}{body}", upload_head("v1", length));
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = read_to_end(&mut stream).await;
        assert_eq!(status(&answer), 400, "{length}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let mut stream = server.connect().await;
    let longer = format!("{}{HEAD}bytes", upload_head("v1", body.len() + 100));
    stream.write_all(longer.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(status(&read_to_end(&mut stream).await), 400);
    let (code, _) = server.get("/api/v1/inventory/ns/units/app/versions/v1/download").await;
    assert_eq!(code, 404);
}

type Sender = UnboundedSender<Result<Bytes, std::io::Error>>;

fn piece(sender: &Sender, text: impl Into<Bytes>) {
    // The server may have answered and left.
    let _ = sender.unbounded_send(Ok(text.into()));
}

#[tokio::test]
async fn of_uploads_that_come_in_turns_one_wins_and_its_bytes_are_whole() {
    const PIECES: usize = 40;
    let host = host_with(["1"]).await;
    let path = at("/ns/units/app/versions/v1/upload");
    let mut senders = Vec::new();
    let mut uploads = Vec::new();
    for _ in 0..6 {
        let (sender, receiver) = futures::channel::mpsc::unbounded();
        let request = axum::http::Request::post(&path)
            .header("content-type", "multipart/form-data; boundary=XX")
            .body(Body::from_stream(receiver));
        uploads.push(host.send(request.unwrap()));
        senders.push(sender);
    }
    let of = |upload: usize| char::from(b'a' + upload as u8).to_string().repeat(10_000);
    let sends = async {
        for sender in &senders {
            piece(sender, HEAD);
        }
        for _ in 0..PIECES {
            for (upload, sender) in senders.iter().enumerate() {
                piece(sender, of(upload));
                tokio::task::yield_now().await;
            }
        }
        // The first is cut off, the second breaks off with an error, the others end.
        let mut ends = senders.into_iter();
        drop(ends.next());
        let broken = ends.next().unwrap();
        let _ = broken.unbounded_send(Err(std::io::Error::other("the network is gone")));
        for sender in ends {
            piece(&sender, TAIL);
        }
    };
    let (answers, ()) = futures::future::join(futures::future::join_all(uploads), sends).await;
    let mut statuses = BTreeMap::new();
    for answer in &answers {
        *statuses.entry(answer.status).or_insert(0) += 1;
    }
    assert_eq!(statuses, BTreeMap::from([(200, 1), (400, 2), (409, 3)]));
    let winner = answers.iter().position(|it| it.status == 200).unwrap();
    let kept = host.get(&at("/ns/units/app/versions/v1/download")).await.expect(200);
    assert!(kept.text() == of(winner).repeat(PIECES));
    let staged = host.data().join("blobs").join("staging");
    until("a lost upload is left", || files(&staged).is_empty()).await;
}
