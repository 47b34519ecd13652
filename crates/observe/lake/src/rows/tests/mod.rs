//! What is laid out as rows comes back.

mod arbitrary;
mod attributes;
mod encoded;
mod filing;

use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, Field, Schema};
use kandela_model::{Histogram, STALE_NAN, Timestamp, Value, is_stale};
use proptest::prelude::*;

use super::*;
use arbitrary::{
    any_event, any_exemplar, any_histogram, any_log, any_profile, any_span, any_timestamp, some,
};

proptest! {
    #[test]
    fn spans_come_back(given in some(any_span())) {
        prop_assert_eq!(spans_from(&spans(&given).unwrap()).unwrap(), given);
    }

    #[test]
    fn logs_come_back_with_their_bodies_as_text(given in some(any_log())) {
        let mut as_text = given.clone();
        as_text.iter_mut().for_each(|log| log.body = Value::Str(body_text(&log.body)));
        prop_assert_eq!(logs_from(&logs(&given).unwrap()).unwrap(), as_text);
    }

    #[test]
    fn events_come_back(given in some(any_event())) {
        prop_assert_eq!(events_from(&events(&given).unwrap()).unwrap(), given);
    }

    #[test]
    fn profiles_come_back(given in some(any_profile())) {
        prop_assert_eq!(profiles_from(&profiles(&given).unwrap()).unwrap(), given);
    }

    #[test]
    fn exemplars_come_back(given in some((any::<i64>(), any_exemplar()))) {
        let rows: Vec<_> = given.iter().map(|(series_id, exemplar)| (*series_id, exemplar)).collect();
        prop_assert_eq!(exemplars_from(&exemplars(&rows).unwrap()).unwrap(), given);
    }

    #[test]
    fn histograms_come_back(given in some((any::<i64>(), any_timestamp(), any_histogram()))) {
        let rows: Vec<_> = given.iter().map(|(series_id, ts, histogram)| (*series_id, *ts, histogram)).collect();
        let back: Vec<_> = histograms_from(&histograms(&rows).unwrap()).unwrap().collect();
        prop_assert_eq!(back, given);
    }

    #[test]
    fn a_slice_of_a_batch_holds_its_own_rows(given in some(any_span()), from in any::<prop::sample::Index>()) {
        let from = from.index(given.len() + 1);
        let batch = spans(&given).unwrap().slice(from, given.len() - from);
        prop_assert_eq!(spans_from(&batch).unwrap(), &given[from..]);
    }
}

#[test]
fn a_stale_histogram_has_no_sum_and_any_other_nan_is_kept_to_the_bit() {
    let odd_nan = f64::from_bits(0xfff8_0000_0000_1234);
    let of = |sum| Histogram { sum, ..Histogram::default() };
    let (stale, nan) = (of(STALE_NAN), of(odd_nan));
    let batch = histograms(&[(1, Timestamp::default(), &stale), (1, Timestamp::default(), &nan)]).unwrap();
    let sums: &Float64Array = batch.column_by_name("sum").unwrap().as_any().downcast_ref().unwrap();
    assert_eq!((sums.is_null(0), sums.is_null(1)), (true, false));
    let back: Vec<_> = histograms_from(&batch).unwrap().map(|(_, _, histogram)| histogram.sum).collect();
    assert!(is_stale(back[0]));
    assert_eq!(back[1].to_bits(), odd_nan.to_bits());
}

#[test]
fn ids_are_lower_case_hex() {
    let span =
        kandela_model::Span { span_id: [0xAB, 0, 1, 0x7f, 0xff, 9, 0x10, 2], ..arbitrary::plain_span() };
    let batch = spans(&[span]).unwrap();
    let ids: &StringArray = batch.column_by_name("span_id").unwrap().as_any().downcast_ref().unwrap();
    assert_eq!(ids.value(0), "ab00017fff091002");
}

#[test]
fn neighbours_of_one_resource_share_it() {
    let span = arbitrary::plain_span();
    let back = spans_from(&spans(&[span.clone(), span]).unwrap()).unwrap();
    assert!(
        Arc::ptr_eq(&back[0].resource, &back[1].resource) && Arc::ptr_eq(&back[0].service, &back[1].service)
    );
}

#[test]
fn columns_may_come_in_another_order_and_text_type() {
    let event = kandela_model::Event {
        ts: Timestamp::from_micros(7),
        stream: "autopilot".into(),
        seq: 0,
        epoch: 1,
        kind: kandela_model::EventKind::Decision,
        subject: "checkout".into(),
        verdict: Some("holds".into()),
        payload: "{}".into(),
    };
    let batch = events(std::slice::from_ref(&event)).unwrap();
    let (mut fields, mut columns): (Vec<Field>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()).rev() {
        let wanted =
            if field.data_type() == &DataType::Utf8 { &DataType::Utf8View } else { field.data_type() };
        fields.push(Field::new(field.name(), wanted.clone(), field.is_nullable()));
        columns.push(cast(column, wanted).unwrap());
    }
    let other = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    assert_eq!(events_from(&other).unwrap(), [event]);
}

#[test]
fn a_batch_of_another_table_is_refused_by_the_column_it_lacks() {
    let error = spans_from(&events(&[]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "a row in table spans: column trace_id is missing");
}

#[test]
fn an_id_that_is_no_hex_is_refused() {
    let batch = spans(&[arbitrary::plain_span()]).unwrap();
    let mut columns = batch.columns().to_vec();
    columns[1] = Arc::new(StringArray::from(vec!["xyz"]));
    let broken = RecordBatch::try_new(batch.schema(), columns).unwrap();
    let error = spans_from(&broken).unwrap_err();
    assert_eq!(error.to_string(), r#"a row in table spans: id "xyz" is not 16 hex digits"#);
}
