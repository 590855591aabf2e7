//! The SHA-256 of a file, as `sha256sum` shows it.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// A file is read in pieces of so many bytes.
const PIECE_BYTES: usize = 1024 * 1024;

/// A file's hash in hexadecimal digits, and its size.
pub(crate) fn of_file(path: &Path) -> io::Result<(String, u64)> {
    copy(&mut File::open(path)?, &mut io::sink())
}

/// Copies everything and gives its hash and size.
pub(crate) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut bytes = 0;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
        to.write_all(&piece[..read])?;
        bytes += read as u64;
    }
    let mut hex = String::with_capacity(64);
    for byte in hasher.finalize() {
        // Writing to a text cannot fail.
        write!(hex, "{byte:02x}").unwrap_or_default();
    }
    Ok((hex, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let mut copied = Vec::new();
        let (hash, bytes) = copy(&mut b"abc".as_slice(), &mut copied).expect("copied");
        assert_eq!(
            hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!((bytes, copied.as_slice()), (3, b"abc".as_slice()));
    }
}
