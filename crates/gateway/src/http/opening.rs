//! The first frames of an HTTP/2 connection, whose sizes are looked at before they gather in memory: until a request's
//! head is there, its peer has proved nothing, and a frame may have 16 KiB by the protocol's own rule.

use std::io;

/// The bytes with which a client begins.
const PREFACE_BYTES: usize = 24;
/// The bytes before a frame's payload.
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Follows a connection's first frames, up to the end of the first request's head.
pub(crate) struct Opening {
    most_bytes: usize,
    /// What of the preface or of a payload is still to come.
    skip: usize,
    head: [u8; FRAME_HEAD_BYTES],
    head_bytes: usize,
    /// Whether the payload that is being skipped ends a request's head.
    is_last: bool,
}

impl Opening {
    /// Of a connection whose frames and heads have at most so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            skip: PREFACE_BYTES,
            head: [0; FRAME_HEAD_BYTES],
            head_bytes: 0,
            is_last: false,
        }
    }

    /// Looks at the next bytes of the peer; `true` when a whole head has come and nothing more is to be looked at.
    ///
    /// # Errors
    /// A frame is too large.
    pub fn see(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if self.skip == 0 && self.is_last {
                return Ok(true);
            }
            if bytes.is_empty() {
                return Ok(false);
            }
            let taken = (FRAME_HEAD_BYTES - self.head_bytes).min(bytes.len());
            self.head[self.head_bytes..][..taken].copy_from_slice(&bytes[..taken]);
            self.head_bytes += taken;
            bytes = &bytes[taken..];
            if self.head_bytes == FRAME_HEAD_BYTES {
                self.begin_frame()?;
            }
        }
    }

    fn begin_frame(&mut self) -> io::Result<()> {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if self.most_bytes < FRAME_HEAD_BYTES + length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a frame before the first request is too large",
            ));
        }
        self.skip = length;
        self.head_bytes = 0;
        self.is_last = matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD_BYTES + length, 0);
        frame
    }

    fn opened(frames: &[Vec<u8>]) -> Vec<u8> {
        [&[b'P'; PREFACE_BYTES][..], &frames.concat()].concat()
    }

    /// After how many bytes nothing more is looked at, when they come in pieces of this size; the error if there is one.
    fn seen(bytes: &[u8], piece: usize) -> io::Result<Option<usize>> {
        let mut opening = Opening::new(1_000);
        for (number, part) in bytes.chunks(piece).enumerate() {
            if opening.see(part)? {
                return Ok(Some(number * piece + part.len()));
            }
        }
        Ok(None)
    }

    #[test]
    fn it_ends_with_the_first_head_whatever_the_pieces() {
        let bytes = opened(&[
            frame(4, 0, 30),
            frame(8, 0, 4),
            frame(1, 0, 500),
            frame(9, 4, 70),
        ]);
        for piece in [1, 2, 7, 9, 100] {
            let end = seen(&bytes, piece).unwrap().unwrap();
            assert_eq!(end.div_ceil(piece), bytes.len().div_ceil(piece), "{piece}");
        }
        assert_eq!(seen(&bytes[..bytes.len() - 1], 1).unwrap(), None);
        assert_eq!(seen(&opened(&[frame(1, 4, 0)]), 1).unwrap(), Some(33));
    }

    #[test]
    fn a_frame_that_is_too_large_is_known_by_its_head() {
        for kind in [0, 1, 4, 9, 200] {
            let bytes = opened(&[frame(4, 0, 0), frame(kind, 0, 992)]);
            let head = PREFACE_BYTES + 2 * FRAME_HEAD_BYTES;
            assert!(seen(&bytes[..head], 5).is_err(), "{kind}");
            assert!(seen(&bytes[..head - 1], 5).is_ok(), "{kind}");
        }
        assert!(seen(&opened(&[frame(1, 0, 991)]), 5).is_ok());
        // What follows the head is a body, and the protocol's business.
        assert!(seen(&opened(&[frame(1, 4, 5), frame(0, 0, 16_384)]), 40_000).is_ok());
    }
}
