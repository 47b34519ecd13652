//! What the shop tells whoever listens for OTLP, and what it keeps to itself.

mod common;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use common::{Shop, get, post, wait_until};

/// Bodies that came, by path.
type Received = Arc<Mutex<BTreeMap<String, Vec<Vec<u8>>>>>;

/// Takes whatever is sent to it.
fn listen() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("is bound"));
    let received = Received::default();
    let to = received.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || while take_one(&stream, &to).is_some() {});
        }
    });
    (url, received)
}

/// Takes one request; none at the connection's end.
fn take_one(stream: &TcpStream, to: &Received) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    to.lock().expect("no thread panicked").entry(path).or_default().push(body);
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn contains(body: &[u8], text: &str) -> bool {
    body.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn metrics_traces_and_logs_are_sent_and_no_session_is() {
    let (url, received) = listen();
    let shop = Shop::start(&["--otlp", &url]);
    let gateway = shop.url("gateway", 0);
    let session = "session-of-somebody-4711";
    get(&format!("{gateway}/browse?category=1"));
    post(&format!("{gateway}/cart/lines"), session, r#"{"item":7,"quantity":1}"#);
    assert_eq!(post(&format!("{gateway}/checkout"), session, "").status, 202);

    let holds = |path: &str, text: &str| {
        let received = received.lock().expect("no thread panicked");
        received.get(path).is_some_and(|bodies| bodies.iter().any(|body| contains(body, text)))
    };
    for (path, text) in [
        ("/v1/traces", "GET /browse"),
        ("/v1/traces", "INSERT orders"),
        ("/v1/traces", "process orders"),
        ("/v1/metrics", "http.server.request.duration"),
        ("/v1/metrics", "db.client.operation.duration"),
        ("/v1/logs", "serving"),
    ] {
        wait_until(&format!("{text} comes by {path}"), || holds(path, text));
    }
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs"] {
        assert!(!holds(path, session), "{path} tells who bought something");
    }
}
