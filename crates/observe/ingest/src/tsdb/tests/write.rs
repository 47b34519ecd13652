//! Lays a folder out as Prometheus does, from the descriptions of the formats.

use std::collections::BTreeMap;
use std::path::Path;

pub(super) struct Series {
    pub(super) labels: Vec<(&'static str, &'static str)>,
    /// One chunk of one sample each: time and value.
    pub(super) samples: Vec<(i64, f64)>,
}

pub(super) fn series(name: &'static str, samples: &[(i64, f64)]) -> Series {
    Series { labels: vec![("__name__", name), ("job", "shop")], samples: samples.to_vec() }
}

pub(in crate::tsdb) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(in crate::tsdb) fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, (value << 1 ^ value >> 63) as u64);
}

pub(in crate::tsdb) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_uvarint(out, text.len() as u64);
    out.extend(text.as_bytes());
}

fn put_checksum(out: &mut Vec<u8>, of: &[u8]) {
    out.extend(crc32c::crc32c(of).to_be_bytes());
}

/// An XOR chunk of one sample.
fn chunk(ts: i64, value: f64) -> Vec<u8> {
    let mut out = vec![0, 1];
    put_varint(&mut out, ts);
    out.extend(value.to_bits().to_be_bytes());
    out
}

pub(super) fn block(folder: &Path, min: i64, max: i64, all: &[Series]) {
    std::fs::create_dir_all(folder.join("chunks")).unwrap();
    let meta = format!(r#"{{"ulid":"x","version":1,"minTime":{min},"maxTime":{max},"stats":{{}}}}"#);
    std::fs::write(folder.join("meta.json"), meta).unwrap();

    let mut chunks = vec![0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0];
    let mut places = BTreeMap::new();
    for (number, series) in all.iter().enumerate() {
        for (ts, value) in &series.samples {
            places.insert((number, *ts), chunks.len() as u64);
            let data = chunk(*ts, *value);
            put_uvarint(&mut chunks, data.len() as u64);
            let checked = [&[1], &data[..]].concat();
            chunks.extend(&checked);
            put_checksum(&mut chunks, &checked);
        }
    }
    std::fs::write(folder.join("chunks/000001"), chunks).unwrap();

    let texts: Vec<&str> = {
        let pairs =
            all.iter().flat_map(|series| series.labels.iter().flat_map(|(name, value)| [*name, *value]));
        let sorted: std::collections::BTreeSet<&str> = pairs.collect();
        sorted.into_iter().collect()
    };
    let mut index = vec![0xba, 0xaa, 0xd7, 0x00, 2];
    let symbols_at = index.len() as u64;
    let mut symbols = (texts.len() as u32).to_be_bytes().to_vec();
    texts.iter().for_each(|text| put_text(&mut symbols, text));
    index.extend((symbols.len() as u32).to_be_bytes());
    index.extend(&symbols);
    put_checksum(&mut index, &symbols);
    let series_at = index.len() as u64;
    for (number, series) in all.iter().enumerate() {
        index.resize(index.len().next_multiple_of(16), 0);
        let entry = entry(number, series, &texts, &places);
        put_uvarint(&mut index, entry.len() as u64);
        index.extend(&entry);
        put_checksum(&mut index, &entry);
    }
    let postings_at = index.len() as u64;
    index.extend([0; 20]);
    let mut toc = Vec::new();
    for at in [symbols_at, series_at, 0, 0, postings_at, postings_at] {
        toc.extend(at.to_be_bytes());
    }
    index.extend(&toc);
    put_checksum(&mut index, &toc);
    std::fs::write(folder.join("index"), index).unwrap();
}

fn entry(number: usize, series: &Series, texts: &[&str], places: &BTreeMap<(usize, i64), u64>) -> Vec<u8> {
    let symbol = |text: &str| texts.iter().position(|known| *known == text).unwrap() as u64;
    let mut out = Vec::new();
    put_uvarint(&mut out, series.labels.len() as u64);
    for (name, value) in &series.labels {
        put_uvarint(&mut out, symbol(name));
        put_uvarint(&mut out, symbol(value));
    }
    put_uvarint(&mut out, series.samples.len() as u64);
    let mut last: Option<(i64, u64)> = None;
    for (ts, _) in &series.samples {
        let place = places[&(number, *ts)];
        match last {
            None => {
                put_varint(&mut out, *ts);
                put_uvarint(&mut out, 0);
                put_uvarint(&mut out, place);
            }
            Some((last_ts, last_place)) => {
                put_uvarint(&mut out, (*ts - last_ts) as u64);
                put_uvarint(&mut out, 0);
                put_varint(&mut out, (place - last_place) as i64);
            }
        }
        last = Some((*ts, place));
    }
    out
}

/// A segment of a log that holds `records`, uncompressed, each in a page of its own so that damage to one spares others.
pub(super) fn log(path: &Path, records: &[Vec<u8>]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut out = Vec::new();
    for record in records {
        out.push(1);
        out.extend((record.len() as u16).to_be_bytes());
        put_checksum(&mut out, record);
        out.extend(record);
        out.resize(out.len().next_multiple_of(32 << 10), 0);
    }
    std::fs::write(path, out).unwrap();
}

pub(super) fn series_record(all: &[(u64, &Series)]) -> Vec<u8> {
    let mut out = vec![1];
    for (number, series) in all {
        out.extend(number.to_be_bytes());
        put_uvarint(&mut out, series.labels.len() as u64);
        for (name, value) in &series.labels {
            put_text(&mut out, name);
            put_text(&mut out, value);
        }
    }
    out
}

pub(super) fn samples_record(samples: &[(u64, i64, f64)]) -> Vec<u8> {
    let mut out = vec![2];
    let (base, base_ts, _) = samples[0];
    out.extend(base.to_be_bytes());
    out.extend(base_ts.to_be_bytes());
    for (number, ts, value) in samples {
        put_varint(&mut out, *number as i64 - base as i64);
        put_varint(&mut out, ts - base_ts);
        out.extend(value.to_bits().to_be_bytes());
    }
    out
}

pub(super) fn head_chunks(path: &Path, chunks: &[(u64, i64, f64)]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut out = vec![0x01, 0x30, 0xbc, 0x91, 1, 0, 0, 0];
    for (number, ts, value) in chunks {
        let start = out.len();
        out.extend(number.to_be_bytes());
        out.extend(ts.to_be_bytes());
        out.extend(ts.to_be_bytes());
        out.push(1);
        let data = chunk(*ts, *value);
        put_uvarint(&mut out, data.len() as u64);
        out.extend(data);
        let checked = out[start..].to_vec();
        put_checksum(&mut out, &checked);
    }
    // Files are made in full size before they are filled.
    out.resize(out.len() + 4_096, 0);
    std::fs::write(path, out).unwrap();
}
