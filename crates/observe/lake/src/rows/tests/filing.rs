//! Rows under their dates.

use kandela_model::tables::{EVENTS, SPANS};

use super::*;

const DAY: i64 = 86_400_000_000_000;

fn starting(start_unix_nano: i64, name: &str) -> kandela_model::Span {
    kandela_model::Span { start_unix_nano, name: name.into(), ..arbitrary::plain_span() }
}

#[test]
fn a_row_belongs_to_the_utc_day_it_began_in() {
    let batch =
        spans(&[starting(0, ""), starting(DAY - 1, ""), starting(DAY, ""), starting(-1, "")]).unwrap();
    assert_eq!(dates(&SPANS, &batch).unwrap(), [0, 0, 1, -1]);
}

#[test]
fn rows_are_split_by_date_and_keep_their_order() {
    let batch =
        spans(&[starting(2 * DAY, "c"), starting(5, "a"), starting(2 * DAY + 9, "d"), starting(3, "b")])
            .unwrap();
    let split = split_by_date(&SPANS, &batch).unwrap();
    let names: Vec<(i32, String)> = split
        .iter()
        .map(|(date, rows)| (*date, spans_from(rows).unwrap().into_iter().map(|span| span.name).collect()))
        .collect();
    assert_eq!(names, [(0, "ab".to_owned()), (2, "cd".to_owned())]);
}

#[test]
fn no_rows_have_no_dates() {
    assert_eq!(split_by_date(&EVENTS, &events(&[]).unwrap()).unwrap(), []);
}

#[test]
fn a_batch_without_the_dating_column_is_refused() {
    let error = dates(&SPANS, &events(&[]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("start_unix_nano"), "{error}");
}

proptest! {
    #[test]
    fn splitting_keeps_every_row_once(given in proptest::collection::vec(any_event(), 0..8)) {
        let batch = events(&given).unwrap();
        let split = split_by_date(&EVENTS, &batch).unwrap();
        prop_assert!(split.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut rows = 0;
        for (date, part) in split {
            let part = events_from(&part).unwrap();
            prop_assert!(part.iter().all(|event| event.ts.day() == date));
            let mut remaining = given.iter().filter(|event| event.ts.day() == date);
            prop_assert!(part.iter().all(|event| remaining.next() == Some(event)));
            rows += part.len();
        }
        prop_assert_eq!(rows, given.len());
    }
}
