//! What a run over functions prints.

use std::collections::BTreeMap;

use serde_json::json;

use super::measure::Record;

/// Gaps below this count as this.
const SOLVED: f64 = 1e-8;

/// The mean log10 gap of each function, a column for each contender, and the mean over functions, for each dimension.
pub(super) fn print_table(records: &[Record]) {
    for (dimension, of_dimension) in by(records, |record| record.case.dimension) {
        let contenders = names(&of_dimension);
        println!("{dimension}-D: mean log10(max(gap, {SOLVED:e}))");
        print!("{:>8}", "function");
        contenders.iter().for_each(|name| print!(" {:>16}", shortened(name)));
        println!();
        for (function, of_function) in by(&of_dimension, |record| record.case.function) {
            print!("{function:>8}");
            contenders
                .iter()
                .for_each(|name| print!(" {:>16.3}", mean_of(&of_function, name, |r| score(r.gap))));
            println!();
        }
        let line = |label: &str, what: &dyn Fn(&Record) -> f64| {
            print!("{label:>8}");
            contenders.iter().for_each(|name| print!(" {:>16.3}", mean_of(&of_dimension, name, what)));
            println!();
        };
        line("mean", &|record| score(record.gap));
        if of_dimension.iter().any(|record| score(record.recommended) != score(record.gap)) {
            line("advised", &|record| score(record.recommended));
        }
        line("ms/trial", &|record| record.overhead_ms);
        println!();
    }
}

/// One JSON object: the means, and every run.
pub(super) fn print_json(records: &[Record]) -> anyhow::Result<()> {
    let mut means = Vec::new();
    for (dimension, of_dimension) in by(records, |record| record.case.dimension) {
        for name in names(&of_dimension) {
            means.push(json!({
                "dimension": dimension,
                "contender": name,
                "mean_log10_gap": mean_of(&of_dimension, &name, |record| score(record.gap)),
                "mean_log10_gap_recommended": mean_of(&of_dimension, &name, |record| score(record.recommended)),
                "overhead_ms": mean_of(&of_dimension, &name, |record| record.overhead_ms),
            }));
        }
    }
    println!("{}", serde_json::to_string_pretty(&json!({"suite": "bbob", "means": means, "runs": records}))?);
    Ok(())
}

fn score(gap: f64) -> f64 {
    gap.max(SOLVED).log10()
}

fn by(records: &[Record], key: impl Fn(&Record) -> u32) -> BTreeMap<u32, Vec<Record>> {
    let mut groups = BTreeMap::<u32, Vec<Record>>::new();
    for record in records {
        groups.entry(key(record)).or_default().push(record.clone());
    }
    groups
}

/// The contenders, in the order in which they ran.
fn names(records: &[Record]) -> Vec<String> {
    let mut names = Vec::<String>::new();
    for record in records {
        if !names.contains(&record.contender) {
            names.push(record.contender.clone());
        }
    }
    names
}

fn shortened(name: &str) -> &str {
    name.get(..16).unwrap_or(name)
}

fn mean_of(records: &[Record], contender: &str, what: impl Fn(&Record) -> f64) -> f64 {
    let found: Vec<f64> = records.iter().filter(|r| r.contender == contender).map(what).collect();
    found.iter().sum::<f64>() / found.len() as f64
}
