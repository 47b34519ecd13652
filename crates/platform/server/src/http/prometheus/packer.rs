//! How bodies are compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::ACCEPT_ENCODING;
use http::{HeaderMap, HeaderValue};

/// zstd's fastest ordinary level; it packs better than gzip's best.
const ZSTD_LEVEL: i32 = 1;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    /// What `Accept-Encoding` prefers; zstd before gzip where it likes both as much.
    pub(super) fn accepted(request: &HeaderMap) -> Self {
        let mut best = (Self::Identity, 0.0);
        let listed = request.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
        for item in listed.flat_map(|value| value.split(',')) {
            let mut parts = item.split(';').map(str::trim);
            let encoding = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                "gzip" | "x-gzip" => Self::Gzip,
                "zstd" => Self::Zstd,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.trim().parse::<f32>().ok());
            let quality = quality.unwrap_or(1.0);
            if quality > best.1 || (quality == best.1 && quality > 0.0 && encoding == Self::Zstd) {
                best = (encoding, quality);
            }
        }
        best.0
    }

    pub(super) const fn name(self) -> Option<HeaderValue> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some(HeaderValue::from_static("gzip")),
            Self::Zstd => Some(HeaderValue::from_static("zstd")),
        }
    }
}

/// What compresses one body.
pub(super) enum Packer {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Packer {
    /// Does without compression where there is no memory for it, and says so in `encoding`.
    pub(super) fn new(encoding: &mut Encoding) -> Self {
        match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Zstd => match zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL) {
                Ok(encoder) => Self::Zstd(encoder),
                Err(_) => {
                    *encoding = Encoding::Identity;
                    Self::Identity
                }
            },
        }
    }

    /// Packs what is written; gives what came out so far.
    pub(super) fn push(&mut self, written: &mut Vec<u8>) -> Vec<u8> {
        let packed = match self {
            Self::Identity => return std::mem::replace(written, Vec::with_capacity(written.capacity())),
            Self::Gzip(encoder) => encoder.write_all(written).map(|()| std::mem::take(encoder.get_mut())),
            Self::Zstd(encoder) => encoder.write_all(written).map(|()| std::mem::take(encoder.get_mut())),
        };
        written.clear();
        // Writing into a vector cannot fail.
        packed.unwrap_or_default()
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Identity => Vec::new(),
            Self::Gzip(encoder) => encoder.finish().unwrap_or_default(),
            Self::Zstd(encoder) => encoder.finish().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(value: &'static str) -> Encoding {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        Encoding::accepted(&headers)
    }

    #[test]
    fn the_encoding_is_the_one_that_the_client_prefers() {
        assert_eq!(accepted("gzip, deflate, br, zstd"), Encoding::Zstd);
        assert_eq!(accepted("gzip;q=1.0, zstd;q=0.5"), Encoding::Gzip);
        assert_eq!(accepted("gzip;q=0, identity"), Encoding::Identity);
        assert_eq!(accepted("br"), Encoding::Identity);
        assert_eq!(Encoding::accepted(&HeaderMap::new()), Encoding::Identity);
    }
}
