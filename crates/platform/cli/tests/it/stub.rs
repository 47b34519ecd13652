//! A server that answers as a scenario says.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// The fields of a form.
pub(crate) type Form = HashMap<String, String>;

/// Status and body.
pub(crate) type Answer = (u16, String);

/// Answers each request, of which it is told the path and the form, until the test ends; gives its URL.
pub(crate) fn serve(answer: impl Fn(&str, &Form) -> Answer + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || listener.incoming().for_each(|connection| reply(connection.unwrap(), &answer)));
    url
}

/// An instant vector as Prometheus answers with it: labels in JSON and a value for each series.
pub(crate) fn vector(series: &[(&str, &str)]) -> Answer {
    let series =
        series.iter().map(|(labels, value)| format!(r#"{{"metric":{labels},"value":[0,"{value}"]}}"#));
    data("vector", &series.collect::<Vec<_>>().join(","))
}

/// Values a second apart, of one series.
pub(crate) fn matrix(labels: &str, values: &[&str]) -> Answer {
    let values = values.iter().enumerate().map(|(at, value)| format!(r#"[{at},"{value}"]"#));
    let values = values.collect::<Vec<_>>().join(",");
    data("matrix", &format!(r#"{{"metric":{labels},"values":[{values}]}}"#))
}

pub(crate) fn data(kind: &str, result: &str) -> Answer {
    (200, format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":[{result}]}}}}"#))
}

pub(crate) fn refusal(status: u16, kind: &str) -> Answer {
    (status, format!(r#"{{"status":"error","errorType":"{kind}","error":"refused"}}"#))
}

fn reply(connection: TcpStream, answer: &impl Fn(&str, &Form) -> Answer) {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => break,
            head => lines.push(head.to_ascii_lowercase()),
        }
    }
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).unwrap();
    let path = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let (status, body) = answer(path, &url::form_urlencoded::parse(&body).into_owned().collect());
    let mut connection = reader.into_inner();
    let length = body.len();
    // A client that has gone away says so itself.
    let _ = write!(
        connection,
        "HTTP/1.1 {status} -\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}
