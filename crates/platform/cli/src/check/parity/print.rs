//! What differs, for people.

use super::ask::{Data, Differing, NotedDifferently, Report};
use super::difference::Difference;
use crate::output::{State, grouped, line, width, wrapped};

/// Differences of a query, and of its data, that are shown.
const SHOWN: usize = 3;

pub(super) fn print(report: &Report, strict: bool) {
    let Report { queries, agree, agree_in_error, agree_in_nothing, unasked, .. } = report;
    let uncompared = agree_in_error.len() + agree_in_nothing.len();
    let (agreed, all) = (grouped(*agree as u64), grouped(*queries as u64));
    line(&match uncompared {
        0 => format!("{agreed} of {all} queries agree"),
        _ => format!(
            "{agreed} of {all} queries agree, {} of them without data to compare",
            grouped(uncompared as u64)
        ),
    });
    line(&format!("  here   {}", report.here));
    line(&format!("  there  {}", report.there));
    line(&format!("  from {} to {} UTC", report.from, report.to));
    if !agree_in_error.is_empty() {
        line(&format!("  {} of them with the same error on both", grouped(agree_in_error.len() as u64)));
    }
    if !agree_in_nothing.is_empty() {
        line(&format!("  {} of them empty on both", grouped(agree_in_nothing.len() as u64)));
    }
    if *unasked > 0 {
        line(&format!("  {} could not be asked", grouped(*unasked as u64)));
    }
    let on_other_data = report.differing.iter().filter(|one| matches!(one.data, Data::Differ { .. })).count();
    if on_other_data > 0 {
        let differ = report.differing.len() - unasked;
        line(&format!(
            "  of the {} that differ, {} stand on data that differ",
            grouped(differ as u64),
            grouped(on_other_data as u64)
        ));
    }
    report.differing.iter().for_each(differing);
    let erring =
        agree_in_error.iter().map(|one| format!("{}: {}: {}", one.source, one.query, one.failed.message));
    without_data("err on both servers, and were not compared", &erring.collect::<Vec<_>>());
    let silent = agree_in_nothing.iter().map(|one| format!("{}: {}", one.source, one.query));
    without_data("have no data on either server, and were not compared", &silent.collect::<Vec<_>>());
    if !report.noted_differently.is_empty() {
        let state = if strict { State::Fail } else { State::Warn };
        line("");
        line(&format!("{} notes differ, in queries that agree", state.marked()));
        report.noted_differently.iter().for_each(noted);
    }
}

/// Queries of which it is not known whether they would agree on data.
fn without_data(why: &str, queries: &[String]) {
    if queries.is_empty() {
        return;
    }
    line("");
    line(&format!("{} {} {why}", State::Warn.marked(), grouped(queries.len() as u64)));
    first_few(queries, 0);
}

fn differing(Differing { query, source, asked, data }: &Differing) {
    line("");
    let [first, rest @ ..] = &wrapped(query, width() - 7)[..] else { return };
    line(&format!("{} {first}", State::Fail.marked()));
    rest.iter().for_each(|text| line(&format!("       {text}")));
    indented(source, 2);
    let told = asked.iter().flat_map(|asked| {
        let when = if asked.at.is_some() { "" } else { "as a range: " };
        asked.differences.iter().map(move |difference| format!("{when}{difference}"))
    });
    let mut told: Vec<String> = told.collect();
    told.dedup();
    first_few(&told, 0);
    match data {
        Data::NotAsked => {}
        Data::Same => indented("the data under it are the same: the engines differ", 2),
        Data::Unknown { why } => {
            indented(&format!("whether the data under it differ is not known: {why}"), 2);
        }
        Data::Differ { differences, more } => {
            indented("the data under it differ:", 2);
            first_few(&differences.iter().map(Difference::to_string).collect::<Vec<_>>(), *more);
        }
    }
}

/// The first few, and how many there are besides, `more` of which are not in the list.
fn first_few(told: &[String], more: usize) {
    told.iter().take(SHOWN).for_each(|text| indented(text, 4));
    let more = told.len().saturating_sub(SHOWN) + more;
    if more > 0 {
        indented(&format!("and {} more; --format json gives them", grouped(more as u64)), 4);
    }
}

fn noted(NotedDifferently { query, source, only_here, only_there }: &NotedDifferently) {
    indented(query, 2);
    indented(source, 4);
    only_here.iter().for_each(|note| indented(&format!("only here: {note}"), 4));
    only_there.iter().for_each(|note| indented(&format!("only there: {note}"), 4));
}

/// Text that begins `by` columns from the left, and goes on two further.
fn indented(text: &str, by: usize) {
    for (at, part) in wrapped(text, width().saturating_sub(by + 2)).iter().enumerate() {
        let margin = by + if at == 0 { 0 } else { 2 };
        line(&format!("{:margin$}{part}", ""));
    }
}
