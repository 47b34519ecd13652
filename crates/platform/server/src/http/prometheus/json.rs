//! JSON as Prometheus' HTTP API writes it, appended to a buffer.

use kandela_model::LabelsRef;

use super::go::{push_float, push_rfc3339};

/// Appends a text. As Go does for what may end up in a page, `<`, `>` and `&` are escaped.
pub(super) fn push_text(out: &mut Vec<u8>, text: &str) {
    push_quoted(out, text, true);
}

/// Appends a label's name or value, in which `<`, `>` and `&` stay.
fn push_label(out: &mut Vec<u8>, text: &str) {
    push_quoted(out, text, false);
}

fn push_quoted(out: &mut Vec<u8>, text: &str, for_pages: bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..0x20 => &[b'\\', b'u', b'0', b'0', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xf)]],
            b'<' if for_pages => b"\\u003c",
            b'>' if for_pages => b"\\u003e",
            b'&' if for_pages => b"\\u0026",
            // The line and paragraph separators end a line in old JavaScript.
            0xe2 if for_pages && bytes.get(at + 1..at + 3) == Some(&[0x80, 0xa8]) => b"\\u2028",
            0xe2 if for_pages && bytes.get(at + 1..at + 3) == Some(&[0x80, 0xa9]) => b"\\u2029",
            _ => continue,
        };
        out.extend_from_slice(bytes.get(written..at).unwrap_or_default());
        out.extend_from_slice(escaped);
        written = at + if *byte == 0xe2 { 3 } else { 1 };
    }
    out.extend_from_slice(bytes.get(written..).unwrap_or_default());
    out.push(b'"');
}

/// Appends a document, its texts escaped as [`push_text`] does.
pub(super) fn push_document(out: &mut Vec<u8>, document: &serde_json::Value) {
    let text = document.to_string();
    let mut written = 0;
    // What is escaped stands nowhere but in texts.
    for (at, found) in text.match_indices(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        out.extend_from_slice(text.get(written..at).unwrap_or_default().as_bytes());
        for c in found.chars() {
            out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
        }
        written = at + found.len();
    }
    out.extend_from_slice(text.get(written..).unwrap_or_default().as_bytes());
}

/// Appends labels as an object, in ascending order of names.
pub(super) fn push_labels(out: &mut Vec<u8>, labels: LabelsRef<'_>) {
    out.push(b'{');
    for (place, (name, value)) in labels.iter().enumerate() {
        separate(out, place);
        push_label(out, name);
        out.push(b':');
        push_label(out, value);
    }
    out.push(b'}');
}

/// Appends a list, each item by `push`.
pub(super) fn push_list<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    mut push: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (place, item) in items.into_iter().enumerate() {
        separate(out, place);
        push(out, item);
    }
    out.push(b']');
}

/// Appends a list of texts.
pub(super) fn push_texts<T: AsRef<str>>(out: &mut Vec<u8>, texts: impl IntoIterator<Item = T>) {
    push_list(out, texts, |out, text| push_text(out, text.as_ref()));
}

/// Appends the comma before every item but the first.
pub(super) fn separate(out: &mut Vec<u8>, place: usize) {
    if place > 0 {
        out.push(b',');
    }
}

/// Appends a key that is plain ASCII, and its colon.
pub(super) fn push_key(out: &mut Vec<u8>, key: &str) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Appends a whole number.
pub(super) fn push_int(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends seconds since the epoch: `1435781430.781`. Prometheus' times are whole milliseconds; one that is finer keeps its
/// microseconds.
pub(super) fn push_timestamp(out: &mut Vec<u8>, micros: i64) {
    if micros < 0 {
        out.push(b'-');
    }
    let micros = micros.unsigned_abs();
    push_int(out, micros / 1_000_000);
    let fraction = micros % 1_000_000;
    if fraction == 0 {
        return;
    }
    let (width, mut fraction) =
        if fraction.is_multiple_of(1_000) { (3, fraction / 1_000) } else { (6, fraction) };
    out.push(b'.');
    let start = out.len();
    out.resize(start + width, b'0');
    for place in out.iter_mut().skip(start).rev() {
        *place = b'0' + (fraction % 10) as u8;
        fraction /= 10;
    }
}

/// Appends a number that JSON has as such; infinities and NaN, which it has not, are 0.
pub(super) fn push_number(out: &mut Vec<u8>, value: f64) {
    push_float(out, if value.is_finite() { value } else { 0.0 });
}

/// Appends a float as the text that Prometheus makes of it: `"1.5"`, `"+Inf"`.
pub(super) fn push_value(out: &mut Vec<u8>, value: f64) {
    out.push(b'"');
    push_float(out, value);
    out.push(b'"');
}

/// Appends a point in time as a text; `None` is Go's zero time.
pub(super) fn push_time(out: &mut Vec<u8>, micros: Option<i64>) {
    out.push(b'"');
    match micros {
        Some(micros) => push_rfc3339(out, micros),
        None => out.extend_from_slice(b"0001-01-01T00:00:00Z"),
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use kandela_model::Labels;
    use proptest::prelude::*;

    use super::*;

    fn written(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_have_as_many_digits_as_they_need() {
        for (micros, text) in [
            (1_435_781_430_781_000, "1435781430.781"),
            (1_435_781_430_000_000, "1435781430"),
            (1_435_781_430_001_000, "1435781430.001"),
            (1_435_781_430_100_000, "1435781430.100"),
            (1_435_781_430_781_123, "1435781430.781123"),
            (-1_500_000, "-1.500"),
            (0, "0"),
        ] {
            assert_eq!(written(|out| push_timestamp(out, micros)), text);
        }
    }

    #[test]
    fn only_texts_that_are_no_labels_are_escaped_for_pages() {
        let labels = Labels::new([("a", "<&>\u{2028}\"\\\u{1}\n")]).unwrap();
        let pushed = written(|out| push_labels(out, labels.as_ref()));
        assert_eq!(pushed, "{\"a\":\"<&>\u{2028}\\\"\\\\\\u0001\\n\"}");
        assert_eq!(written(|out| push_text(out, "<&>\u{2028}é")), r#""\u003c\u0026\u003e\u2028é""#);
    }

    #[test]
    fn documents_are_escaped_for_pages_too() {
        let document = serde_json::json!({"op": ">", "of": ["a&<\u{2028}\"", 1]});
        let pushed = written(|out| push_document(out, &document));
        assert_eq!(pushed, r#"{"of":["a\u0026\u003c\u2028\"",1],"op":"\u003e"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&pushed).unwrap(), document);
    }

    proptest! {
        #[test]
        fn every_text_reads_back(text in any::<String>()) {
            for for_pages in [true, false] {
                let pushed = written(|out| push_quoted(out, &text, for_pages));
                prop_assert_eq!(&serde_json::from_str::<String>(&pushed).unwrap(), &text);
            }
        }
    }
}
