//! Laws: what is written is read back, nothing makes a parser panic, time grows with the answer.

use std::time::Duration;

use kandela_model::Timestamp;
use proptest::prelude::*;
use rustix::time::{ClockId, clock_gettime};

use super::generate::{Expected, expected, families, write};
use super::*;

const FORMATS: [Format; 3] = [Format::Text, Format::OpenMetrics, Format::Protobuf];

fn found(batch: &MetricBatch) -> Vec<Expected> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let sample = |sample: &kandela_model::BatchSample| Expected {
        labels: batch.labels(sample.series).iter().map(owned).collect(),
        value: sample.value,
        ts: Some(sample.ts.millis()).filter(|ms| *ms != NEVER),
    };
    batch.samples.iter().map(sample).collect()
}

/// A time of scrape that no generated sample states.
const NEVER: i64 = -1;

proptest! {
    #[test]
    fn openmetrics_that_is_written_is_read_back_in_both_readings(families in families()) {
        let page = write(&families, true);
        for options in [ParseOptions::spec, ParseOptions::scrape].map(|with| with(Timestamp::from_millis(NEVER))) {
            let (batch, _) = read(Format::OpenMetrics, page.as_bytes(), &options)
                .map_err(|error| TestCaseError::fail(format!("{error}\n{page}")))?;
            prop_assert_eq!(found(&batch), expected(&families));
            let described: Vec<_> = batch.metadata.iter().map(|m| (&m.family, m.kind, &m.help)).collect();
            prop_assert_eq!(described, families.iter().map(|f| (&f.name, f.kind, &f.help)).collect::<Vec<_>>());
            prop_assert!(batch.series().iter().all(|series| series.metadata.is_some()));
        }
    }

    #[test]
    fn text_that_is_written_is_read_back(families in families()) {
        let page = write(&families, false);
        let options = ParseOptions::scrape(Timestamp::from_millis(NEVER));
        let (batch, _) = read(Format::Text, page.as_bytes(), &options)
            .map_err(|error| TestCaseError::fail(format!("{error}\n{page}")))?;
        prop_assert_eq!(found(&batch), expected(&families));
        let helps: Vec<_> = batch.metadata.iter().map(|m| &m.help).collect();
        prop_assert_eq!(helps, families.iter().map(|f| &f.help).collect::<Vec<_>>());
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        for format in FORMATS {
            let _ = read(format, &body, &ParseOptions::spec(Timestamp::from_millis(0)));
            let _ = read(format, &body, &scrape_options());
        }
    }

    #[test]
    fn a_page_with_one_byte_changed_never_panics_and_says_where(
        families in families(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(b"\n\t \"\\{}#,=0e+.\xff\x00aN".to_vec()),
    ) {
        for (format, page) in [(Format::OpenMetrics, write(&families, true)), (Format::Text, write(&families, false))] {
            let mut body = page.into_bytes();
            if !body.is_empty() {
                let at = at.index(body.len());
                body[at] = byte;
            }
            let lines = body.split(|byte| *byte == b'\n').count();
            for options in [ParseOptions::spec(Timestamp::from_millis(0)), scrape_options()] {
                if let Err(ExpositionError::Page { line, column, .. }) = read(format, &body, &options) {
                    prop_assert!((1..=lines).contains(&line) && column >= 1, "line {} of {}", line, lines);
                }
            }
        }
    }

    #[test]
    fn what_the_specification_accepts_a_scrape_accepts(page in "(# (TYPE|HELP|UNIT|EOF) )?[a_]{1,2}(\\{[ab,=\"]{0,8}\\})?( [0-9N. ]{1,4})?\n?") {
        let page = format!("{page}# EOF\n");
        let spec = ParseOptions::spec(Timestamp::from_millis(0));
        if read(Format::OpenMetrics, page.as_bytes(), &spec).is_ok() {
            prop_assert!(read(Format::OpenMetrics, page.as_bytes(), &scrape_options()).is_ok(), "{page}");
        }
    }
}

/// What this thread has had of a processor, which others who use the machine do not lengthen.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// The processor time of the fastest of three readings.
fn fastest(format: Format, body: &[u8], options: &ParseOptions) -> Duration {
    let once = || {
        let start = processor_time();
        let _ = read(format, body, options);
        processor_time() - start
    };
    (0..3).map(|_| once()).min().unwrap_or_default()
}

/// Pages of one shape that could tempt a parser into quadratic work. A page 32 times as large may take 160 times as long, since
/// it fits no cache; quadratic work would take 1,024 times.
#[test]
fn time_grows_with_the_page_and_no_faster() {
    type Shape = (&'static str, Format, fn(usize) -> String);
    let shapes: [Shape; 7] = [
        ("families", Format::OpenMetrics, |n| {
            (0..n).map(|i| format!("# TYPE f{i} counter\nf{i}_total 1\n")).collect::<String>() + "# EOF\n"
        }),
        ("metrics of one family", Format::OpenMetrics, |n| {
            (0..n).map(|i| format!("a{{x=\"{i}\"}} 1\n")).collect::<String>() + "# EOF\n"
        }),
        ("quantiles of one point", Format::OpenMetrics, |n| {
            let quantile = |i: usize| format!("a{{quantile=\"0.{i:09}\"}} 1\n");
            "# TYPE a summary\n".to_owned() + &(0..n).map(quantile).collect::<String>() + "# EOF\n"
        }),
        ("labels of one sample", Format::Text, |n| {
            let label = |i: usize| format!("l{}=\"1\",", i * 7919 % n);
            format!("a{{{}}} 1\n", (0..n).map(label).collect::<String>())
        }),
        ("escapes of one value", Format::Text, |n| format!("a{{x=\"{}\"}} 1\n", "\\n".repeat(n))),
        ("an unfinished string", Format::Text, |n| format!("a{{x=\"{}", "\\\"\n".repeat(n))),
        ("blanks and comments", Format::Text, |n| "# \t\n \n#\n".repeat(n)),
    ];
    for (name, format, shape) in shapes {
        for options in [ParseOptions::spec(Timestamp::from_millis(0)), scrape_options()] {
            let (small, large) = (shape(1_000), shape(32_000));
            let (short, long) =
                (fastest(format, small.as_bytes(), &options), fastest(format, large.as_bytes(), &options));
            assert!(long < short * 160, "{name}: {short:?} then {long:?}");
        }
    }
}
