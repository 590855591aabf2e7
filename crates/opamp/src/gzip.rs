//! gzip with a limit on what comes out.

/// Compresses a body.
pub fn compress(body: &[u8]) -> Vec<u8> {
    let _ = body;
    unimplemented!()
}

/// Why a compressed body cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GunzipError {
    /// The bytes are no gzip.
    #[error("not gzip")]
    Corrupt(#[source] std::io::Error),
    /// What comes out is larger than allowed.
    #[error("decompressed body larger than {limit_bytes} bytes")]
    TooLarge {
        /// The limit that it exceeds.
        limit_bytes: usize,
    },
}

/// Decompresses a body of at most `limit_bytes` decompressed bytes.
///
/// # Errors
/// [`GunzipError`]; memory stays within the limit whatever the body claims.
pub fn decompress(body: &[u8], limit_bytes: usize) -> Result<Vec<u8>, GunzipError> {
    let _ = (body, limit_bytes);
    unimplemented!()
}
