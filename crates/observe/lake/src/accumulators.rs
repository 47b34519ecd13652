//! Running sums of increments, kept across restarts.
//!
//! A file beside the log, replaced as a whole at every flush; what came since is in the log itself.

use std::collections::HashMap;
use std::path::Path;

use kandela_model::Timestamp;
use kandela_model::tables::HISTOGRAMS;

use crate::error::{LakeError, Result};
use crate::head::Accumulators;
use crate::rows;

const FILE: &str = "accumulators";

/// Writes the sums; where there are none and were none, nothing.
pub(crate) fn save(root: &Path, accumulators: &Accumulators) -> Result<()> {
    if accumulators.floats.is_empty() && accumulators.histograms.is_empty() {
        return Ok(());
    }
    let mut body = (accumulators.floats.len() as u64).to_le_bytes().to_vec();
    for (id, sum) in &accumulators.floats {
        body.extend_from_slice(&id.to_le_bytes());
        body.extend_from_slice(&sum.to_bits().to_le_bytes());
    }
    let no_time = Timestamp::default();
    let histograms: Vec<_> = accumulators.histograms.iter().map(|(id, sum)| (*id, no_time, sum)).collect();
    body.extend_from_slice(&rows::encode(&rows::histograms(&histograms)?)?);
    body.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    let (path, fresh) = (root.join(FILE), root.join(format!("{FILE}.new")));
    let failed = |e| LakeError::io(format!("write {}", path.display()), e);
    std::fs::write(&fresh, &body).map_err(failed)?;
    std::fs::rename(&fresh, &path).map_err(failed)
}

/// Reads the sums; none where there is no file.
pub(crate) fn load(root: &Path) -> Result<Accumulators> {
    let path = root.join(FILE);
    let body = match std::fs::read(&path) {
        Ok(body) => body,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Accumulators::default()),
        Err(e) => return Err(LakeError::io(format!("read {}", path.display()), e)),
    };
    decode(&body).ok_or_else(|| LakeError::Damaged {
        what: "sums of delta counters",
        place: path.display().to_string(),
        reason: "the checksum does not match; remove the file to let the counters start again at zero"
            .to_owned(),
    })
}

fn decode(body: &[u8]) -> Option<Accumulators> {
    let (body, checksum) = body.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*checksum) {
        return None;
    }
    let (count, mut rest) = body.split_first_chunk::<8>()?;
    let mut floats = HashMap::new();
    for _ in 0..u64::from_le_bytes(*count) {
        let (id, after) = rest.split_first_chunk::<8>()?;
        let (sum, after) = after.split_first_chunk::<8>()?;
        floats.insert(i64::from_le_bytes(*id), f64::from_bits(u64::from_le_bytes(*sum)));
        rest = after;
    }
    let batch = rows::decode(&HISTOGRAMS, rest).ok()?;
    let histograms = rows::histograms_from(&batch).ok()?.map(|(id, _, sum)| (id, sum)).collect();
    Some(Accumulators { floats, histograms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kandela_model::Histogram;

    fn sums() -> Accumulators {
        Accumulators {
            floats: HashMap::from([(7, 1.5), (-9, 3.0)]),
            histograms: HashMap::from([(
                4,
                Histogram { schema: 2, count: 3.0, sum: 1.0, zero_count: 3.0, ..Histogram::default() },
            )]),
        }
    }

    #[test]
    fn sums_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &sums()).unwrap();
        let back = load(folder.path()).unwrap();
        assert_eq!(back.floats, sums().floats);
        assert_eq!(back.histograms, sums().histograms);
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &sums()).unwrap();
        let path = folder.path().join(FILE);
        let mut body = std::fs::read(&path).unwrap();
        body[12] ^= 1;
        std::fs::write(&path, body).unwrap();
        assert!(matches!(load(folder.path()), Err(LakeError::Damaged { .. })));
    }
}
