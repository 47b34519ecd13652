//! Batches as bytes.

use kandela_model::tables::{ALL, Column, ColumnType, HISTOGRAMS, LOGS, SPANS};

use super::*;
use crate::schema::arrow_schema;

proptest! {
    #[test]
    fn encoded_spans_come_back(given in some(any_span()), from in any::<prop::sample::Index>()) {
        let from = from.index(given.len() + 1);
        let batch = spans(&given).unwrap().slice(from, given.len() - from);
        let decoded = decode(&SPANS, &encode(&batch).unwrap()).unwrap();
        prop_assert_eq!(&decoded, &batch);
        prop_assert_eq!(spans_from(&decoded).unwrap(), &given[from..]);
    }

    #[test]
    fn encoded_histograms_come_back(given in some((any::<i64>(), any_timestamp(), any_histogram()))) {
        let rows: Vec<_> = given.iter().map(|(series_id, ts, histogram)| (*series_id, *ts, histogram)).collect();
        let batch = histograms(&rows).unwrap();
        prop_assert_eq!(decode(&HISTOGRAMS, &encode(&batch).unwrap()).unwrap(), batch);
    }

    #[test]
    fn mangled_bytes_are_refused_or_read_but_never_panic(
        given in some(any_span()),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = encode(&spans(&given).unwrap()).unwrap();
        for (at, value) in edits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let cut = length.index(2 * bytes.len());
        bytes.truncate(cut.max(1));
        if let Ok(batch) = decode(&SPANS, &bytes) {
            prop_assert!(batch.num_rows() <= bytes.len());
        }
    }
}

/// Whether each row of these columns, and each element of lists within, takes a byte at least: [`decode`] counts on it.
fn takes_a_byte(columns: &[Column]) -> bool {
    let required = |column: &Column| !column.nullable && column.kind != ColumnType::Bool;
    let within = |column: &Column| match column.kind {
        ColumnType::List(ColumnType::Struct(columns)) => takes_a_byte(columns),
        ColumnType::List(element) => *element != ColumnType::Bool,
        _ => true,
    };
    columns.iter().any(required) && columns.iter().all(within)
}

#[test]
fn no_row_of_any_table_is_encoded_in_nothing() {
    for table in ALL {
        assert!(takes_a_byte(table.columns), "table {}", table.name);
    }
}

#[test]
fn an_attribute_costs_its_text_and_a_few_bytes() {
    let with = |count: i64| {
        let attributes = (0..count).map(|i| (format!("key{i:03}"), Value::Int(i))).collect();
        let span = kandela_model::Span { attributes, ..arbitrary::plain_span() };
        encode(&spans(&[span]).unwrap()).unwrap().len() as i64
    };
    let a_hundred = with(200) - with(100);
    assert!(
        (1_400..1_600).contains(&a_hundred),
        "{a_hundred} bytes for 100 keys of 6 and numbers of 8 bytes"
    );
}

#[test]
fn a_claim_of_more_rows_than_bytes_is_refused_before_they_are_made() {
    let error = decode(&LOGS, &[1, 0xff, 0xff, 0xff, 0xff, 0x0f]).unwrap_err();
    assert!(error.to_string().contains("4294967295 rows"), "{error}");
}

#[test]
fn every_table_can_be_empty() {
    for table in ALL {
        let batch = RecordBatch::new_empty(arrow_schema(table));
        assert_eq!(decode(table, &encode(&batch).unwrap()).unwrap(), batch);
    }
}

#[test]
fn bytes_may_lie_at_any_address() {
    let batch = spans(&[arbitrary::plain_span()]).unwrap();
    let encoded = encode(&batch).unwrap();
    for shift in 0..8 {
        let bytes = [&vec![0; shift], encoded.as_slice()].concat();
        assert_eq!(decode(&SPANS, &bytes[shift..]).unwrap(), batch);
    }
}

#[test]
fn rows_of_another_table_are_refused() {
    let encoded = encode(&events(&[]).unwrap()).unwrap();
    assert!(decode(&SPANS, &encoded).is_err());
    assert!(decode(&SPANS, &[]).is_err());
}
