//! Prometheus text, versions 0.0.4 and 1.0.0, as Prometheus' own parser reads it.
//!
//! That parser is lenient: blanks go anywhere between tokens, commas between labels may be missing, strings run over line
//! ends, families may be interleaved. What it refuses is refused here too, but for its trouble with NUL bytes: there a NUL
//! within a comment silently ends the page.

use std::borrow::Cow;

use kandela_model::{METRIC_NAME, MetricBatch, MetricKind, Timestamp};

use super::cursor::Cursor;
use super::error::{ExpositionError, Fault, Quote};
use super::labels::{LineLabels, Text, unescape, unescape_text_help};
use super::number::parse_number;
use super::sink::{LineSample, Sink, sort_labels};
use super::{Format, Notes, ParseOptions};

pub(super) fn parse(
    body: &[u8],
    options: &ParseOptions,
    batch: &mut MetricBatch,
) -> Result<Notes, ExpositionError> {
    let page = readable(body).map_err(|fault| fault.locate(body))?;
    let sink = Sink::new(Format::Text, options, batch);
    read(&page, sink).map_err(|fault| fault.locate(body))
}

/// The body as text. Prometheus looks into no comment, so bytes that are no UTF-8 are harmless there.
fn readable(body: &[u8]) -> Result<Cow<'_, str>, Fault> {
    if let Ok(page) = simdutf8::basic::from_utf8(body) {
        return Ok(Cow::Borrowed(page));
    }
    let mut page = String::with_capacity(body.len());
    for chunk in body.utf8_chunks() {
        page.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            let line_start = page.rfind('\n').map_or(0, |newline| newline + 1);
            if !is_plain_comment(page.get(line_start..).unwrap_or_default()) {
                return Err(Fault::new(
                    page.len(),
                    "bytes that are no UTF-8",
                    "encode names, label values and HELP texts as UTF-8",
                ));
            }
            page.extend(std::iter::repeat_n('?', chunk.invalid().len()));
        }
    }
    Ok(Cow::Owned(page))
}

/// Whether a line is a comment that Prometheus passes over unread, seen from what stands before some byte of it.
fn is_plain_comment(line: &str) -> bool {
    let blank = |c| matches!(c, ' ' | '\t');
    let Some(comment) = line.trim_start_matches(blank).strip_prefix('#') else { return false };
    let word = comment.trim_start_matches(blank);
    let is_metadata = ["HELP", "TYPE"]
        .iter()
        .any(|known| word.strip_prefix(known).is_some_and(|after| after.starts_with(blank)));
    !comment.starts_with(blank) || !is_metadata
}

fn read<'p>(page: &'p str, mut sink: Sink<'p, '_>) -> Result<Notes, Fault> {
    let mut cursor = Cursor::new(page);
    let mut labels = LineLabels::default();
    loop {
        cursor.skip_blanks();
        match cursor.peek() {
            None => return sink.finish(),
            Some(b'\n') => {
                cursor.eat(b'\n');
            }
            Some(b'#') => comment(&mut cursor, &mut sink)?,
            Some(_) => sample(&mut cursor, &mut labels, &mut sink)?,
        }
    }
}

fn comment<'p>(cursor: &mut Cursor<'p>, sink: &mut Sink<'p, '_>) -> Result<(), Fault> {
    cursor.eat(b'#');
    let is_help = |ahead: &mut Cursor<'p>| ahead.eat_word("HELP") && ahead.skip_blanks();
    let is_type = |ahead: &mut Cursor<'p>| ahead.eat_word("TYPE") && ahead.skip_blanks();
    if cursor.skip_blanks() {
        let mut ahead = *cursor;
        if is_help(&mut ahead) {
            *cursor = ahead;
            let (family, help) = metadata(cursor, "HELP")?;
            sink.help(family, unescape_text_help(help));
            return Ok(());
        }
        let mut ahead = *cursor;
        if is_type(&mut ahead) {
            *cursor = ahead;
            let at = cursor.at();
            let (family, word) = metadata(cursor, "TYPE")?;
            sink.kind(
                family,
                kind(word.trim_matches([' ', '\t'])).ok_or_else(|| {
                    Fault::new(
                        at,
                        format_args!("{} is no metric type", Quote(word)),
                        "write counter, gauge, histogram, summary or untyped",
                    )
                })?,
            );
            return Ok(());
        }
    }
    cursor.line();
    Ok(())
}

/// The family of a metadata line and what follows its name and one blank.
fn metadata<'p>(cursor: &mut Cursor<'p>, word: &str) -> Result<(Cow<'p, str>, &'p str), Fault> {
    let at = cursor.at();
    let family = match cursor.peek() {
        Some(b'"') => unescape(cursor.quoted(true)?.raw),
        _ => Cow::Borrowed(cursor.metric_name()),
    };
    if family.is_empty() {
        let what = format!("{word} is followed by {} instead of a metric name", cursor.upcoming());
        return Err(Fault::new(at, what, "start names with a letter, _ or :, or quote them"));
    }
    let rest = cursor.line();
    let mut after_blank = rest.chars();
    after_blank.next();
    Ok((family, after_blank.as_str()))
}

fn kind(word: &str) -> Option<MetricKind> {
    Some(match word {
        "counter" => MetricKind::Counter,
        "gauge" => MetricKind::Gauge,
        "histogram" => MetricKind::Histogram,
        "summary" => MetricKind::Summary,
        "untyped" => MetricKind::Unknown,
        _ => return None,
    })
}

fn sample<'p>(
    cursor: &mut Cursor<'p>,
    labels: &mut LineLabels<'p>,
    sink: &mut Sink<'p, '_>,
) -> Result<(), Fault> {
    let at = cursor.at();
    labels.clear();
    let name = cursor.metric_name();
    if !name.is_empty() {
        labels.push(Text::Page(METRIC_NAME), Text::Page(name));
    } else if cursor.peek() != Some(b'{') {
        let what = format!("a line starts with {}", cursor.upcoming());
        return Err(Fault::new(at, what, "start it with a metric name, # or a quoted name in braces"));
    }
    cursor.skip_blanks();
    if cursor.eat(b'{') {
        label_set(cursor, labels, name.is_empty(), at)?;
    }
    sort_labels(labels, at)?;

    cursor.skip_blanks();
    let value_at = cursor.at();
    let token = cursor.loose_token();
    let value = parse_number(token).ok_or_else(|| {
        let what = if token.is_empty() {
            format!("{} stands where the value belongs", cursor.upcoming())
        } else {
            format!("{} is no number", Quote(token))
        };
        Fault::new(value_at, what, "give the sample a decimal number, NaN, +Inf or -Inf")
    })?;
    cursor.skip_blanks();
    let ts = timestamp(cursor)?;
    cursor.skip_blanks();
    if !cursor.is_at_end() && cursor.peek() != Some(b'\n') {
        let what = format!("{} follows the sample", cursor.upcoming());
        return Err(Fault::new(cursor.at(), what, "end the line after the value and an optional timestamp"));
    }
    sink.sample(labels, LineSample { at, value, ts })?;
    Ok(())
}

fn timestamp(cursor: &mut Cursor<'_>) -> Result<Option<Timestamp>, Fault> {
    let at = cursor.at();
    let token = cursor.loose_token();
    if token.is_empty() {
        return Ok(None);
    }
    let millis: i64 = token.parse().map_err(|_| {
        let what = format!("{} is no timestamp", Quote(token));
        Fault::new(at, what, "give whole milliseconds since 1970, or leave the timestamp out")
    })?;
    Ok(Some(Timestamp::from_millis(millis)))
}

/// Reads labels up to the closing brace, and the metric's name where it stands among them.
fn label_set<'p>(
    cursor: &mut Cursor<'p>,
    labels: &mut LineLabels<'p>,
    mut nameless: bool,
    line_at: usize,
) -> Result<(), Fault> {
    loop {
        cursor.skip_blanks();
        let at = cursor.at();
        let name = match cursor.peek() {
            Some(b'}') => break,
            Some(b'"') => {
                let quoted = cursor.quoted(true)?;
                let text = labels.text(quoted);
                cursor.skip_blanks();
                if matches!(cursor.peek(), Some(b',' | b'}')) {
                    if !nameless || quoted.raw.is_empty() {
                        let what = format!("{} stands where a label belongs", Quote(quoted.raw));
                        return Err(Fault::new(at, what, "name the metric once, and give labels a value"));
                    }
                    nameless = false;
                    labels.push(Text::Page(METRIC_NAME), text);
                    cursor.eat(b',');
                    continue;
                }
                text
            }
            _ => {
                let name = cursor.label_name();
                if name.is_empty() {
                    let what = format!("{} stands where a label belongs", cursor.upcoming());
                    return Err(Fault::new(at, what, "write labels as name=\"value\", and close the brace"));
                }
                Text::Page(name)
            }
        };
        cursor.skip_blanks();
        let has_equals = cursor.eat(b'=');
        cursor.skip_blanks();
        if !has_equals || cursor.peek() != Some(b'"') {
            let what = format!("label {} has no quoted value", Quote(labels.resolve(name)));
            return Err(Fault::new(at, what, "write labels as name=\"value\""));
        }
        let value = cursor.quoted(true)?;
        let value = labels.text(value);
        labels.push(name, value);
        cursor.skip_blanks();
        cursor.eat(b',');
    }
    cursor.eat(b'}');
    if nameless {
        return Err(Fault::new(
            line_at,
            "a sample has no metric name",
            "name the metric: {\"name\"} or name{}",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_page(page: &[u8]) -> Result<MetricBatch, ExpositionError> {
        let mut batch = MetricBatch::default();
        parse(page, &ParseOptions::scrape(Timestamp::from_millis(5_000)), &mut batch).map(|_| batch)
    }

    fn lines(page: &str) -> Vec<String> {
        let batch = read_page(page.as_bytes()).unwrap();
        let line = |sample: &kandela_model::BatchSample| {
            format!("{} {} {}", batch.labels(sample.series), sample.value, sample.ts.millis())
        };
        batch.samples.iter().map(line).collect()
    }

    fn refusal(page: &str) -> String {
        read_page(page.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn a_page_of_every_kind_is_read() {
        let page = "# A comment\n\
            # HELP http_requests_total The \\\\ total\\nnumber.\n\
            # TYPE http_requests_total counter\n\
            http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000\n\
            \n\
            \t msdos{path=\"C:\\\\DIR\",error=\"no \\\"file\\\"\\n\"}   1.5e9  \n\
            weird +Inf -3982045\n\
            {\"my.metric\", \"error.text\"=\"x\", } NaN";
        assert_eq!(
            lines(page),
            [
                r#"http_requests_total{code="200", method="post"} 1027 1395066363000"#,
                "msdos{error=\"no \\\"file\\\"\\n\", path=\"C:\\\\DIR\"} 1500000000 5000",
                "weird inf -3982045",
                r#"my.metric{error.text="x"} NaN 5000"#,
            ]
        );
        let batch = read_page(page.as_bytes()).unwrap();
        let metadata = &batch.metadata[0];
        assert_eq!(
            (metadata.family.as_str(), metadata.kind, metadata.help.as_str()),
            ("http_requests_total", MetricKind::Counter, "The \\ total\nnumber.")
        );
        let described: Vec<_> = batch.series().iter().map(|series| series.metadata).collect();
        assert_eq!(described, [Some(0), None, None, None]);
    }

    #[test]
    fn what_prometheus_is_lenient_about_is_read() {
        assert_eq!(lines("a{b=\"1\" c=\"2\"}3"), [r#"a{b="1", c="2"} 3 5000"#]);
        assert_eq!(lines("a { b = \"1\" , } 3"), [r#"a{b="1"} 3 5000"#]);
        assert_eq!(lines("a{b=\"1\n2\"} 3"), ["a{b=\"1\\n2\"} 3 5000"]);
        assert_eq!(lines("#a 1\n#\n# HELP\n# TYPEa b\na 1"), ["a 1 5000"]);
        assert_eq!(lines("a 1\n# TYPE b gauge\nb 1\na 2 7\n"), ["a 1 5000", "b 1 5000", "a 2 7"]);
        assert!(lines("").is_empty());
    }

    #[test]
    fn bounds_and_quantiles_get_their_canonical_reading() {
        let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_count 1\nh_sum 1\n\
            # TYPE s summary\ns{quantile=\"1\"} 1\n# TYPE g gauge\ng{le=\"1\"} 1\n";
        assert_eq!(
            lines(page),
            [
                r#"h_bucket{le="1.0"} 1 5000"#,
                r#"h_bucket{le="+Inf"} 1 5000"#,
                "h_count 1 5000",
                "h_sum 1 5000",
                r#"s{quantile="1.0"} 1 5000"#,
                r#"g{le="1"} 1 5000"#,
            ]
        );
        let batch = read_page(page.as_bytes()).unwrap();
        assert!(batch.series().iter().all(|series| series.metadata.is_some()));
    }

    #[test]
    fn a_fault_is_named_with_its_place_and_a_remedy() {
        assert_eq!(
            refusal("a 1\nb{c=\"ö\"} x1\n"),
            "line 2, column 10: \"x1\" is no number; give the sample a decimal number, NaN, +Inf or -Inf"
        );
    }

    #[test]
    fn what_prometheus_refuses_is_refused() {
        for (page, what) in [
            ("a", "where the value belongs"),
            ("a{b=\"1\"", "where a label belongs"),
            ("a{b=1} 1", "no quoted value"),
            ("a{b} 1", "no quoted value"),
            ("a{,} 1", "where a label belongs"),
            ("a{b=\"1\",,} 1", "where a label belongs"),
            ("a{b=\"1} 1", "unfinished string"),
            ("a{b=\"1\",b=\"2\"} 1", "stands twice"),
            ("a 1 2 3", "follows the sample"),
            ("a 1 1.5", "no timestamp"),
            ("a 1 # {} 1", "no timestamp"),
            ("a 0x1p-3", "no number"),
            ("a 1_000", "no number"),
            ("a 1e999", "no number"),
            ("a 1\r\n", "no number"),
            ("1a 1", "starts with"),
            ("{} 1", "no metric name"),
            ("{\"\"} 1", "where a label belongs"),
            ("{\"a\",\"b\"} 1", "where a label belongs"),
            ("a{\"b\"} 1", "where a label belongs"),
            ("{__name__=\"a\"} 1", "no metric name"),
            ("# TYPE a meh", "no metric type"),
            ("# TYPE a", "no metric type"),
            ("# HELP 1 x", "instead of a metric name"),
        ] {
            let refusal = refusal(page);
            assert!(refusal.contains(what), "{page:?}: {refusal}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_harmless_in_comments_only() {
        for page in
            [&b"# caf\xe9\na 1\n"[..], b"#\xe9\na 1\n", b"# HELP\xe9 a\na 1\n", b"#HELP a \xe9\na 1\n"]
        {
            assert_eq!(read_page(page).unwrap().samples.len(), 1, "{page:?}");
        }
        let refusal = read_page(b"# ok\na{b=\"\xe9\"} 1\n").unwrap_err().to_string();
        assert!(refusal.starts_with("line 2, column 6: bytes that are no UTF-8"), "{refusal}");
        assert!(read_page(b"# HELP a \xff\n").is_err());
    }

    #[test]
    fn times_of_the_page_count_only_where_they_are_honoured() {
        let mut options = ParseOptions::scrape(Timestamp::from_millis(9));
        options.honor_timestamps = false;
        let mut batch = MetricBatch::default();
        parse(b"a 1 5\n", &options, &mut batch).unwrap();
        assert_eq!(batch.samples[0].ts.millis(), 9);
    }

    #[test]
    fn label_sets_past_the_limit_are_refused() {
        let options = ParseOptions { max_label_bytes: 40, ..ParseOptions::scrape(Timestamp::from_millis(0)) };
        let refusal = parse(b"a 1\nb 1\nc 1\nd 1\n", &options, &mut MetricBatch::default()).unwrap_err();
        assert_eq!(refusal, ExpositionError::TooLarge { limit: 40 });
    }

    #[test]
    fn classic_histograms_become_native_ones_on_request() {
        let options =
            ParseOptions { convert_to_nhcb: true, ..ParseOptions::scrape(Timestamp::from_millis(0)) };
        let page = "# TYPE h histogram\n\
            h_bucket{x=\"1\",le=\"1\"} 1\nh_bucket{x=\"1\",le=\"+Inf\"} 3\nh_count{x=\"1\"} 3\nh_sum{x=\"1\"} 4\n\
            h_bucket{x=\"2\",le=\"1\"} 5\nh_bucket{x=\"2\",le=\"+Inf\"} 4\nh_count{x=\"2\"} 4\nh_sum{x=\"2\"} 4\n";
        let mut batch = MetricBatch::default();
        let notes = parse(page.as_bytes(), &options, &mut batch).unwrap();
        assert_eq!(notes.dropped_histograms, 1);
        assert!(batch.samples.is_empty());
        let [series] = batch.histograms.as_slice() else { panic!("{:?}", batch.histograms) };
        assert_eq!(batch.labels(series.series).to_string(), r#"h{x="1"}"#);
        assert_eq!(series.histogram.custom_bounds, [1.0]);
        assert_eq!(series.histogram.positive_buckets, [1.0, 2.0]);
        assert_eq!(series.histogram.sum, 4.0);
    }
}
