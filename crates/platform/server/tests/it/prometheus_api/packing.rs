//! Compression of answers.

use std::io::Read as _;

use super::{now, requests, send};
use crate::support::start;

#[tokio::test]
async fn a_long_answer_is_compressed_as_the_client_accepts_it() {
    let running = start(|_| ()).await;
    let began = now() - 2_000;
    send(&running, &requests(began, 200)).await;
    let query = [("query", "requests_total[2h]".to_owned())];
    let url = reqwest::Url::parse_with_params(&running.url("/api/v1/query"), query).unwrap();
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let asked = async |accept: &str| {
        let answer = client.get(url.clone()).header("Accept-Encoding", accept).send().await.unwrap();
        let encoding =
            answer.headers().get("content-encoding").map(|value| value.to_str().unwrap().to_owned());
        assert!(answer.headers().get_all("vary").iter().any(|value| value == "Accept-Encoding"));
        (encoding, answer.bytes().await.unwrap())
    };
    let result = |body: &[u8]| {
        let document: serde_json::Value = serde_json::from_slice(body).unwrap();
        document["data"]["result"].clone()
    };
    let (none, plain) = asked("identity").await;
    assert_eq!(none, None);
    let (gzip, packed) = asked("gzip, deflate").await;
    assert_eq!(gzip.as_deref(), Some("gzip"));
    assert!(packed.len() * 3 < plain.len(), "{} of {}", packed.len(), plain.len());
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
    assert_eq!(result(&unpacked), result(&plain));
    let (zstd, packed) = asked("gzip, zstd").await;
    assert_eq!(zstd.as_deref(), Some("zstd"));
    assert_eq!(result(&zstd::decode_all(&*packed).unwrap()), result(&plain));
}

#[tokio::test]
async fn a_short_answer_is_sent_as_it_is() {
    let running = start(|_| ()).await;
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let url = running.url("/api/v1/query?query=1");
    let answer = client.get(url).header("Accept-Encoding", "gzip").send().await.unwrap();
    assert!(answer.headers().get("content-encoding").is_none());
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(answer.content_length().is_some());
}
