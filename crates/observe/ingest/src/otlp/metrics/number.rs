//! Gauges, sums and summaries.

use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{NumberDataPoint, SummaryDataPoint};

use super::series::{CommonLabels, Family, Point, Sink};
use super::{Fault, Temporality};

pub(super) fn add_gauge(
    point: &NumberDataPoint,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    add_number(point, Temporality::Cumulative, family, common, sink)
}

pub(super) fn add_sum(
    point: &NumberDataPoint,
    temporality: i32,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    add_number(point, Temporality::read(temporality)?, family, common, sink)
}

fn add_number(
    raw: &NumberDataPoint,
    temporality: Temporality,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let point = Point::new(raw.start_time_unix_nano, raw.time_unix_nano, raw.flags, temporality)?;
    let value = match raw.value {
        Some(Value::AsDouble(value)) => value,
        Some(Value::AsInt(value)) => value as f64,
        None if point.is_stale => 0.0,
        None => return Err(Fault::NoValue),
    };
    let mut labels = common.of_point(&raw.attributes, sink.options())?;
    let series = sink.series(&mut labels, family.name.as_str(), family)?;
    sink.value(series, point, value);
    sink.exemplars(series, &raw.exemplars);
    Ok(())
}

pub(super) fn add_summary(
    raw: &SummaryDataPoint,
    family: &Family,
    common: &CommonLabels<'_>,
    sink: &mut Sink<'_>,
) -> Result<(), Fault> {
    let cumulative = Temporality::Cumulative;
    let point = Point::new(raw.start_time_unix_nano, raw.time_unix_nano, raw.flags, cumulative)?;
    let mut labels = common.of_point(&raw.attributes, sink.options())?;
    let sum = sink.series(&mut labels, format!("{}_sum", family.name), family)?;
    sink.value(sum, point, raw.sum);
    let count = sink.series(&mut labels, format!("{}_count", family.name), family)?;
    sink.value(count, point, raw.count as f64);
    for entry in &raw.quantile_values {
        labels.set("quantile", entry.quantile.to_string());
        let series = sink.series(&mut labels, family.name.as_str(), family)?;
        sink.value(series, point, entry.value);
    }
    Ok(())
}
