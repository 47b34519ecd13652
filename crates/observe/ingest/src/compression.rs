//! HTTP content codings of request bodies, unpacked up to a limit.

use std::borrow::Cow;
use std::io::Read;

/// The largest window, as a power of two, that a zstd frame may ask for: 8 MiB, as RFC 9659 asks of HTTP.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Why a body could not be unpacked. All of these are the sender's fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// The coding is not known.
    #[error("content encoding {encoding:?} is not known; send gzip, zstd or identity")]
    Encoding {
        /// As it came.
        encoding: String,
    },
    /// The body is larger than the limit once unpacked.
    #[error("the body is larger than the limit of {limit} bytes once decompressed; send smaller requests")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The body is not what the coding says.
    #[error("the body is not valid {encoding}: {reason}")]
    Corrupt {
        /// The coding.
        encoding: &'static str,
        /// What the decoder says.
        reason: String,
    },
}

impl DecompressError {
    /// The HTTP status to answer with.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Encoding { .. } => 415,
            Self::TooLarge { .. } => 413,
            Self::Corrupt { .. } => 400,
        }
    }
}

/// Unpacks `bytes` as the header `Content-Encoding` says; empty means that they are not packed. Never holds more than
/// `limit` bytes of output.
///
/// # Errors
/// When the coding is not known, the bytes are not valid, or more than `limit` bytes come out.
pub fn decompress<'a>(
    encoding: &str,
    bytes: &'a [u8],
    limit: usize,
) -> Result<Cow<'a, [u8]>, DecompressError> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "" | "identity" if bytes.len() > limit => Err(DecompressError::TooLarge { limit }),
        "" | "identity" => Ok(Cow::Borrowed(bytes)),
        "gzip" | "x-gzip" => read_all("gzip", flate2::read::MultiGzDecoder::new(bytes), limit),
        "zstd" => {
            let corrupt = |error: std::io::Error| corrupt("zstd", &error);
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).map_err(corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(corrupt)?;
            read_all("zstd", decoder, limit)
        }
        _ => Err(DecompressError::Encoding { encoding: encoding.to_owned() }),
    }
}

fn read_all(
    encoding: &'static str,
    decoder: impl Read,
    limit: usize,
) -> Result<Cow<'static, [u8]>, DecompressError> {
    let mut out = Vec::new();
    let one_too_many = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(one_too_many).read_to_end(&mut out).map_err(|error| corrupt(encoding, &error))?;
    if out.len() > limit { Err(DecompressError::TooLarge { limit }) } else { Ok(Cow::Owned(out)) }
}

fn corrupt(encoding: &'static str, error: &std::io::Error) -> DecompressError {
    DecompressError::Corrupt { encoding, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("memory takes all");
        encoder.finish().expect("memory takes all")
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).expect("memory takes all")
    }

    #[test]
    fn a_body_that_is_not_packed_is_not_copied() {
        assert!(matches!(decompress("", b"abc", 3), Ok(Cow::Borrowed(b"abc"))));
        assert!(matches!(decompress("identity", b"abc", 3), Ok(Cow::Borrowed(b"abc"))));
        assert_eq!(decompress("", b"abcd", 3), Err(DecompressError::TooLarge { limit: 3 }));
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let zeros = vec![0; 10 << 20];
        for (encoding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            let error = decompress(encoding, &body, 1 << 20).unwrap_err();
            assert_eq!(error, DecompressError::TooLarge { limit: 1 << 20 });
            assert_eq!(error.status(), 413);
            assert_eq!(decompress(encoding, &body, 10 << 20).map(|out| out.len()), Ok(10 << 20));
        }
    }

    #[test]
    fn a_zstd_frame_that_asks_for_a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(b"small").unwrap();
        encoder.flush().unwrap();
        encoder.write_all(b"er").unwrap();
        let body = encoder.finish().unwrap();
        assert!(matches!(decompress("zstd", &body, 1 << 30), Err(DecompressError::Corrupt { .. })));
    }

    #[test]
    fn other_codings_are_answered_415() {
        assert_eq!(decompress("br", b"", 10).unwrap_err().status(), 415);
        assert_eq!(decompress("gzip", b"nonsense", 10).unwrap_err().status(), 400);
    }

    proptest! {
        #[test]
        fn packed_bodies_come_back(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(decompress("gzip", &gzip(&bytes), bytes.len()).unwrap().into_owned(), bytes.clone());
            prop_assert_eq!(decompress("ZSTD", &zstd(&bytes), bytes.len()).unwrap().into_owned(), bytes);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            for encoding in ["gzip", "zstd"] {
                let _ = decompress(encoding, &bytes, 1_000);
            }
        }
    }
}
