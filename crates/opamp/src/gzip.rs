//! gzip with a limit on what comes out.

use std::io::{self, Read as _, Write as _};

use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Why a compressed body cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GunzipError {
    /// The bytes are no gzip.
    #[error("not gzip")]
    Corrupt(#[source] io::Error),
    /// What comes out is larger than allowed.
    #[error("decompressed body larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that it exceeds.
        limit_bytes: usize,
    },
}

/// Compresses a body.
pub fn compress(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 2 + 32), Compression::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

/// Decompresses a body of at most `limit_bytes` decompressed bytes.
///
/// # Errors
/// [`GunzipError`]; memory stays within the limit whatever the body claims.
///
/// ```
/// use opamp::gzip::{GunzipError, compress, decompress};
///
/// let body = compress(&vec![0; 100_000]);
/// assert_eq!(decompress(&body, 100_000)?.len(), 100_000);
/// assert!(matches!(decompress(&body, 99_999), Err(GunzipError::TooLarge { .. })));
/// # Ok::<(), GunzipError>(())
/// ```
pub fn decompress(body: &[u8], limit_bytes: usize) -> Result<Vec<u8>, GunzipError> {
    let mut out = Vec::new();
    let one_more = u64::try_from(limit_bytes)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    MultiGzDecoder::new(body)
        .take(one_more)
        .read_to_end(&mut out)
        .map_err(GunzipError::Corrupt)?;
    if limit_bytes < out.len() {
        return Err(GunzipError::TooLarge { limit_bytes });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ht_04_bodies_round_trip(body: Vec<u8>) {
            prop_assert_eq!(decompress(&compress(&body), body.len()).unwrap(), body);
        }

        #[test]
        fn any_bytes_are_read_without_panic(body: Vec<u8>) {
            if let Ok(out) = decompress(&body, 1000) {
                prop_assert!(out.len() <= 1000);
            }
        }
    }

    #[test]
    fn ht_11_a_bomb_stops_at_the_limit() {
        let bomb = compress(&vec![0; 50 << 20]);
        assert!(bomb.len() < 1 << 20);
        assert!(matches!(
            decompress(&bomb, 1 << 20),
            Err(GunzipError::TooLarge {
                limit_bytes: 0x10_0000
            })
        ));
    }

    #[test]
    fn a_cut_body_is_corrupt() {
        let body = compress(b"some content that is long enough");
        assert!(matches!(
            decompress(&body[..body.len() - 5], 1000),
            Err(GunzipError::Corrupt(_))
        ));
        assert!(matches!(
            decompress(b"", 1000),
            Err(GunzipError::Corrupt(_))
        ));
    }
}
