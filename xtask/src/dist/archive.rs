//! Tar and gzip with nothing in them of who packed, where, or when.

use std::io::Write;

use anyhow::Context;
use flate2::{Compression, GzBuilder};

/// Something in an archive.
pub(crate) struct Entry {
    path: String,
    mode: u32,
    /// Absent for a directory.
    content: Option<Vec<u8>>,
}

impl Entry {
    pub(crate) fn directory(path: impl Into<String>, mode: u32) -> Self {
        Self { path: format!("{}/", path.into()), mode, content: None }
    }

    pub(crate) fn file(path: impl Into<String>, mode: u32, content: Vec<u8>) -> Self {
        Self { path: path.into(), mode, content: Some(content) }
    }
}

/// The entries as a tar archive: sorted by path, owned by user and group 0, last changed in 1970.
///
/// # Errors
/// When a path is longer than the format can hold.
pub(crate) fn tar(entries: &[Entry]) -> anyhow::Result<Vec<u8>> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut builder = tar::Builder::new(Vec::new());
    for entry in sorted {
        let content = entry.content.as_deref().unwrap_or_default();
        let kind = if entry.content.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory };
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(entry.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, &entry.path, content)
            .with_context(|| format!("{} cannot be packed", entry.path))?;
    }
    Ok(builder.into_inner()?)
}

/// Gzip with no name and no time in its header.
pub(crate) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    /// "Unknown" in RFC 1952, section 2.3.1: else the header would tell the packing machine's system.
    const UNKNOWN_SYSTEM: u8 = 255;
    let mut encoder =
        GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_order_of_entries_does_not_show_in_the_archive() {
        let one = [Entry::directory("a", 0o755), Entry::file("a/b", 0o644, b"x".to_vec())];
        let other = [Entry::file("a/b", 0o644, b"x".to_vec()), Entry::directory("a", 0o755)];
        assert_eq!(tar(&one).expect("tar"), tar(&other).expect("tar"));
    }

    #[test]
    fn an_archive_unpacks_to_what_went_in_with_its_modes() {
        let packed = tar(&[Entry::directory("a", 0o1777), Entry::file("a/b", 0o755, b"binary".to_vec())])
            .expect("tar");
        let unzipped = gunzip(&gzip(&packed).expect("gzip"));
        let mut archive = tar::Archive::new(unzipped.as_slice());
        let mut seen = Vec::new();
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("entry");
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("content");
            let path = entry.path().expect("path").display().to_string();
            let header = entry.header();
            assert_eq!((header.mtime().expect("mtime"), header.uid().expect("uid")), (0, 0));
            seen.push((path, header.mode().expect("mode"), content));
        }
        assert_eq!(
            seen,
            [("a/".to_owned(), 0o1777, Vec::new()), ("a/b".to_owned(), 0o755, b"binary".to_vec())]
        );
    }

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain).expect("gunzip");
        plain
    }
}
