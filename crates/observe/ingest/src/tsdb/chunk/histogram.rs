//! Chunks of native histograms, whole and float. All histograms of a chunk share one layout of buckets.

use kandela_model::{
    BucketSpan, CUSTOM_BOUNDS_SCHEMA, Histogram, HistogramError, ResetHint, STALE_NAN, Timestamp, is_stale,
};

use super::bits::BitReader;
use super::start::StartTimes;
use super::xor::XorValue;
use super::{ChunkError, check};

/// Buckets that a histogram may have. Empty ones take a single bit, so the chunk's size alone does not bound memory well.
const MAX_BUCKETS: usize = 1 << 20;

/// What all histograms of a chunk share.
struct Layout {
    schema: i32,
    zero_threshold: f64,
    positive: Vec<BucketSpan>,
    negative: Vec<BucketSpan>,
    bounds: Vec<f64>,
}

impl Layout {
    fn read(reader: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        let zero_threshold = read_zero_threshold(reader)?;
        let schema = i32::try_from(reader.varbit_int()?)
            .map_err(|_| ChunkError::Malformed("a histogram schema is out of range"))?;
        let positive = read_spans(reader)?;
        let negative = read_spans(reader)?;
        let custom = schema == i32::from(CUSTOM_BOUNDS_SCHEMA);
        let bounds = if custom { read_bounds(reader)? } else { Vec::new() };
        Ok(Self { schema, zero_threshold, positive, negative, bounds })
    }

    /// How many buckets each side has. Each takes at least `bits_each` of what is left, so more cannot be meant.
    fn buckets(&self, left: usize, bits_each: usize) -> Result<(usize, usize), ChunkError> {
        let count = |spans: &[BucketSpan]| spans.iter().map(|span| u64::from(span.length)).sum::<u64>();
        let (positive, negative) = (count(&self.positive), count(&self.negative));
        let most = (left / bits_each).min(MAX_BUCKETS) as u64;
        if positive.saturating_add(negative) > most {
            return Err(ChunkError::Malformed("the spans speak of more buckets than the chunk holds"));
        }
        Ok((positive as usize, negative as usize))
    }
}

/// One byte for zero and the usual powers of two, else nine.
fn read_zero_threshold(reader: &mut BitReader<'_>) -> Result<f64, ChunkError> {
    Ok(match reader.byte()? {
        0 => 0.0,
        255 => reader.float()?,
        // 1 stands for 2^-243; a float's exponent field counts from -1023.
        exponent => f64::from_bits((u64::from(exponent) + 1_023 - 244) << 52),
    })
}

fn read_spans(reader: &mut BitReader<'_>) -> Result<Vec<BucketSpan>, ChunkError> {
    // A span takes at least two bits.
    let count = bounded(reader.varbit_uint()?, reader.remaining() / 2)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let length = u32::try_from(reader.varbit_uint()?);
        let offset = i32::try_from(reader.varbit_int()?);
        let (Ok(length), Ok(offset)) = (length, offset) else {
            return Err(ChunkError::Malformed("a bucket span is out of range"));
        };
        spans.push(BucketSpan { offset, length });
    }
    Ok(spans)
}

/// Bounds of three decimals, as people write them, are stored as whole thousandths.
fn read_bounds(reader: &mut BitReader<'_>) -> Result<Vec<f64>, ChunkError> {
    let count = bounded(reader.varbit_uint()?, reader.remaining() / 5)?;
    let mut bounds = Vec::with_capacity(count);
    for _ in 0..count {
        bounds.push(match reader.varbit_uint()? {
            0 => reader.float()?,
            thousandths => (thousandths - 1) as f64 / 1_000.0,
        });
    }
    Ok(bounds)
}

fn bounded(count: u64, most: usize) -> Result<usize, ChunkError> {
    usize::try_from(count)
        .ok()
        .filter(|count| *count <= most)
        .ok_or(ChunkError::Malformed("a list is longer than the chunk"))
}

/// How the numbers of a histogram follow each other.
trait Counts: Sized {
    /// Whether counts may be fractions.
    const FLOAT: bool;
    /// Bits that the first count of a bucket takes at least.
    const BITS_EACH: usize;
    fn first_count(reader: &mut BitReader<'_>) -> Result<Self, ChunkError>;
    fn first_bucket(reader: &mut BitReader<'_>) -> Result<Self, ChunkError>;
    fn next(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError>;
    fn count(&self) -> f64;
    /// The absolute counts of a side's buckets.
    fn absolute(buckets: &[Self]) -> Vec<f64>;
}

/// A whole number, stored by differences of differences. A bucket holds its difference to the bucket before.
#[derive(Clone, Copy, Debug, Default)]
struct Whole {
    value: i64,
    delta: i64,
}

impl Counts for Whole {
    const FLOAT: bool = false;
    const BITS_EACH: usize = 1;

    fn first_count(reader: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        Ok(Self { value: reader.varbit_uint()? as i64, delta: 0 })
    }

    fn first_bucket(reader: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        Ok(Self { value: reader.varbit_int()?, delta: 0 })
    }

    fn next(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.delta = self.delta.wrapping_add(reader.varbit_int()?);
        self.value = self.value.wrapping_add(self.delta);
        Ok(())
    }

    fn count(&self) -> f64 {
        self.value as u64 as f64
    }

    fn absolute(buckets: &[Self]) -> Vec<f64> {
        let mut running = 0i64;
        let add = |bucket: &Self| {
            running = running.wrapping_add(bucket.value);
            running as f64
        };
        buckets.iter().map(add).collect()
    }
}

impl Counts for XorValue {
    const FLOAT: bool = true;
    const BITS_EACH: usize = 64;

    fn first_count(reader: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        reader.float().map(Self::starting_at)
    }

    fn first_bucket(reader: &mut BitReader<'_>) -> Result<Self, ChunkError> {
        reader.float().map(Self::starting_at)
    }

    fn next(&mut self, reader: &mut BitReader<'_>) -> Result<(), ChunkError> {
        self.read(reader)
    }

    fn count(&self) -> f64 {
        self.value()
    }

    fn absolute(buckets: &[Self]) -> Vec<f64> {
        buckets.iter().map(Self::value).collect()
    }
}

struct State<C> {
    layout: Layout,
    ts: i64,
    delta: i64,
    count: C,
    zero_count: C,
    sum: XorValue,
    positive: Vec<C>,
    negative: Vec<C>,
}

struct Histograms<'a, C> {
    reader: BitReader<'a>,
    starts: StartTimes,
    total: u16,
    read: u16,
    gauge: bool,
    state: Option<State<C>>,
}

/// Calls `visit` with every histogram of a chunk, its time in milliseconds, and why it was refused where it was.
pub(super) fn read(
    float: bool,
    with_starts: bool,
    data: &[u8],
    visit: impl FnMut(i64, Result<Histogram, HistogramError>),
) -> Result<(), ChunkError> {
    if float {
        Histograms::<XorValue>::new(with_starts, data)?.run(visit)
    } else {
        Histograms::<Whole>::new(with_starts, data)?.run(visit)
    }
}

impl<'a, C: Counts> Histograms<'a, C> {
    fn new(with_starts: bool, data: &'a [u8]) -> Result<Self, ChunkError> {
        let ([high, low, third], rest) = data.split_first_chunk::<3>().ok_or(ChunkError::Truncated)?;
        // With start timestamps, the two bits of the reset header moved into the number of samples.
        let (flags, high, starts) =
            if with_starts { (*high, high & 0x3f, *third) } else { (*third, *high, 0) };
        Ok(Self {
            reader: BitReader::new(rest),
            starts: StartTimes::new(starts),
            total: u16::from_be_bytes([high, *low]),
            read: 0,
            gauge: flags & 0xc0 == 0xc0,
            state: None,
        })
    }

    fn run(
        mut self,
        mut visit: impl FnMut(i64, Result<Histogram, HistogramError>),
    ) -> Result<(), ChunkError> {
        while self.read < self.total {
            let before = self.state.as_ref().map_or(0, |state| state.ts);
            let state = match self.state.take() {
                None => Self::first(&mut self.reader)?,
                Some(state) => Self::following(state, &mut self.reader)?,
            };
            let start = self.starts.read(&mut self.reader, self.read, state.ts, before)?;
            visit(state.ts, self.histogram(&state, start));
            self.state = Some(state);
            self.read += 1;
        }
        Ok(())
    }

    fn first(reader: &mut BitReader<'_>) -> Result<State<C>, ChunkError> {
        let layout = Layout::read(reader)?;
        let (positive, negative) = layout.buckets(reader.remaining(), C::BITS_EACH)?;
        let ts = reader.varbit_int()?;
        let count = C::first_count(reader)?;
        let zero_count = C::first_count(reader)?;
        let sum = XorValue::starting_at(reader.float()?);
        let positive = (0..positive).map(|_| C::first_bucket(reader)).collect::<Result<_, _>>()?;
        let negative = (0..negative).map(|_| C::first_bucket(reader)).collect::<Result<_, _>>()?;
        Ok(State { layout, ts, delta: 0, count, zero_count, sum, positive, negative })
    }

    fn following(mut state: State<C>, reader: &mut BitReader<'_>) -> Result<State<C>, ChunkError> {
        state.delta = state.delta.wrapping_add(reader.varbit_int()?);
        state.ts = state.ts.wrapping_add(state.delta);
        state.count.next(reader)?;
        state.zero_count.next(reader)?;
        state.sum.read(reader)?;
        if !is_stale(state.sum.value()) {
            state.positive.iter_mut().try_for_each(|bucket| bucket.next(reader))?;
            state.negative.iter_mut().try_for_each(|bucket| bucket.next(reader))?;
        }
        Ok(state)
    }

    fn histogram(&self, state: &State<C>, start: Option<i64>) -> Result<Histogram, HistogramError> {
        if is_stale(state.sum.value()) {
            return Ok(Histogram { sum: STALE_NAN, is_float: C::FLOAT, ..Histogram::default() });
        }
        let histogram = Histogram {
            schema: 0,
            count: state.count.count(),
            sum: state.sum.value(),
            zero_threshold: state.layout.zero_threshold,
            zero_count: state.zero_count.count(),
            positive_spans: state.layout.positive.clone(),
            positive_buckets: C::absolute(&state.positive),
            negative_spans: state.layout.negative.clone(),
            negative_buckets: C::absolute(&state.negative),
            custom_bounds: state.layout.bounds.clone(),
            is_float: C::FLOAT,
            reset_hint: self.hint(),
            start: start.map(Timestamp::from_millis),
        };
        check(state.layout.schema, histogram)
    }

    /// A chunk ends where counts start again, so within one they do not. What the header says of the chunk before is not
    /// relied on, as Prometheus does not: that chunk may be gone, or another may have come in between.
    fn hint(&self) -> ResetHint {
        match self.read {
            _ if self.gauge => ResetHint::Gauge,
            0 => ResetHint::Unknown,
            _ => ResetHint::NotReset,
        }
    }
}
