//! How an HTTP/2 connection begins. Until a request's head is there its peer has proved nothing, and hyper would spend 14
//! KiB on it and up to 16 more on a frame: so the settings that some peers wait for are sent by hand, the first frames are
//! kept as they are, and hyper gets the connection with the first request.

use std::io;

/// The bytes with which a client begins.
const PREFACE_BYTES: usize = 24;
/// The bytes before a frame's payload.
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// The server's first word: settings that change nothing. Hyper's own follow.
pub(crate) const EMPTY_SETTINGS: [u8; FRAME_HEAD_BYTES] = [0, 0, 0, SETTINGS, 0, 0, 0, 0, 0];
/// The server's last word to a peer whose first request is too large: `ENHANCE_YOUR_CALM`.
pub(crate) const GO_AWAY: [u8; FRAME_HEAD_BYTES + 8] =
    [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// Follows frames through the bytes of a client, from its preface on.
struct Frames {
    /// What of the preface or of a payload is still to come.
    skip: usize,
    head: [u8; FRAME_HEAD_BYTES],
    head_bytes: usize,
}

/// The first bytes of a frame.
#[derive(Clone, Copy)]
struct FrameHead([u8; FRAME_HEAD_BYTES]);

impl FrameHead {
    fn length(self) -> usize {
        let [high, middle, low, ..] = self.0;
        usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)
    }

    fn ends_a_request_s_head(self) -> bool {
        matches!(self.0[3], HEADERS | CONTINUATION) && self.0[4] & END_HEADERS != 0
    }

    fn acknowledges_settings(self) -> bool {
        self.0[3] == SETTINGS && self.0[4] & ACK != 0 && self.length() == 0
    }
}

impl Frames {
    fn new() -> Self {
        Self {
            skip: PREFACE_BYTES,
            head: [0; FRAME_HEAD_BYTES],
            head_bytes: 0,
        }
    }

    /// The bytes that belong to what is skipped; they are gone from `bytes`.
    fn skipped<'b>(&mut self, bytes: &mut &'b [u8]) -> &'b [u8] {
        let (skipped, rest) = bytes.split_at(self.skip.min(bytes.len()));
        self.skip -= skipped.len();
        *bytes = rest;
        skipped
    }

    /// The head of the next frame, if it is complete now; its payload is skipped next.
    fn head(&mut self, bytes: &mut &[u8]) -> Option<FrameHead> {
        let (part, rest) = bytes.split_at((FRAME_HEAD_BYTES - self.head_bytes).min(bytes.len()));
        self.head[self.head_bytes..][..part.len()].copy_from_slice(part);
        self.head_bytes += part.len();
        *bytes = rest;
        if self.head_bytes < FRAME_HEAD_BYTES {
            return None;
        }
        self.head_bytes = 0;
        let head = FrameHead(self.head);
        self.skip = head.length();
        Some(head)
    }
}

/// Follows a connection's first frames, up to the end of the first request's head.
pub(crate) struct Opening {
    frames: Frames,
    /// What may still come before that end.
    left_bytes: usize,
    /// Whether the payload that is being skipped ends a request's head.
    is_last: bool,
}

impl Opening {
    /// Of a connection that may send so many bytes before its first request's head is there.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            frames: Frames::new(),
            left_bytes: most_bytes,
            is_last: false,
        }
    }

    /// Looks at the next bytes of the peer; `true` when a whole head has come and nothing more is to be looked at.
    ///
    /// # Errors
    /// There is too much before it, or will be.
    pub fn see(&mut self, mut bytes: &[u8]) -> io::Result<bool> {
        loop {
            let skipped = self.frames.skipped(&mut bytes).len();
            self.left_bytes = self.left_bytes.saturating_sub(skipped);
            if self.frames.skip == 0 && self.is_last {
                return Ok(true);
            }
            if bytes.is_empty() {
                return Ok(false);
            }
            let Some(head) = self.frames.head(&mut bytes) else {
                return Ok(false);
            };
            if self.left_bytes < FRAME_HEAD_BYTES + head.length() {
                return Err(io::Error::new(
                    io::ErrorKind::QuotaExceeded,
                    "too much before the first request",
                ));
            }
            self.left_bytes -= FRAME_HEAD_BYTES;
            self.is_last = head.ends_a_request_s_head();
        }
    }
}

/// Takes out of what a client sends its acknowledgment of [`EMPTY_SETTINGS`], of which hyper knows nothing. It is the first
/// that comes.
pub(crate) struct Unacknowledged(Frames);

impl Unacknowledged {
    pub fn new() -> Self {
        Self(Frames::new())
    }

    /// Passes bytes on; `true` when the acknowledgment was among them, after which everything is passed on. What has begun
    /// and may be one is held back.
    pub fn pass(&mut self, mut bytes: &[u8], passed: &mut Vec<u8>) -> bool {
        loop {
            passed.extend_from_slice(self.0.skipped(&mut bytes));
            if bytes.is_empty() {
                return false;
            }
            let Some(head) = self.0.head(&mut bytes) else {
                return false;
            };
            if head.acknowledges_settings() {
                passed.extend_from_slice(bytes);
                return true;
            }
            passed.extend_from_slice(&head.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [.., high, middle, low] = length.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD_BYTES + length, 7);
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
    fn what_is_too_large_is_known_by_its_head() {
        for kind in [0, 1, 4, 9, 200] {
            let bytes = opened(&[frame(4, 0, 0), frame(kind, 0, 959)]);
            let head = PREFACE_BYTES + 2 * FRAME_HEAD_BYTES;
            assert!(seen(&bytes[..head], 5).is_err(), "{kind}");
            assert!(seen(&bytes[..head - 1], 5).is_ok(), "{kind}");
        }
        let fits = 1_000 - PREFACE_BYTES - FRAME_HEAD_BYTES;
        assert!(seen(&opened(&[frame(1, 4, fits)]), 5).unwrap().is_some());
        assert!(seen(&opened(&[frame(1, 4, fits + 1)]), 5).is_err());
        // Empty frames count, too.
        assert!(seen(&opened(&vec![frame(9, 0, 0); 200]), 5).is_err());
        // What follows the head is a body, and the protocol's business.
        let body = opened(&[frame(1, 4, 5), frame(0, 0, 16_384)]);
        assert!(seen(&body, 40_000).is_ok());
    }

    #[test]
    fn one_acknowledgment_is_taken_out_wherever_it_stands() {
        let ack = frame(4, 1, 0);
        // Settings that are no acknowledgment, and payloads that look like one.
        let before = opened(&[frame(4, 0, 6), frame(1, 4, 5), frame(0, 1, 9)]);
        let after = [ack.clone(), frame(0, 0, 3), ack.clone()].concat();
        for piece in [1, 3, 9, 10, 1_000] {
            let (mut filter, mut passed, mut found) = (Unacknowledged::new(), Vec::new(), false);
            for part in [&before[..], &ack, &after].concat().chunks(piece) {
                if found {
                    passed.extend_from_slice(part);
                } else {
                    found = filter.pass(part, &mut passed);
                }
            }
            assert!(found);
            assert_eq!(passed, [&before[..], &after].concat(), "{piece}");
        }
    }

    /// Where the first request's head ends, and whether there is too much before it, read off whole bytes.
    fn end_of_head(bytes: &[u8], most_bytes: usize) -> Result<Option<usize>, ()> {
        let mut at = PREFACE_BYTES;
        while let Some(head) = bytes.get(at..at + FRAME_HEAD_BYTES) {
            let length =
                usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            at += FRAME_HEAD_BYTES + length;
            if most_bytes < at {
                return Err(());
            }
            if matches!(head[3], 1 | 9) && head[4] & 4 != 0 {
                return Ok((at <= bytes.len()).then_some(at));
            }
        }
        Ok(None)
    }

    /// The bytes without the first acknowledgment and without what may be the beginning of one.
    fn without_acknowledgment(bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut at = PREFACE_BYTES;
        while let Some(head) = bytes.get(at..at + FRAME_HEAD_BYTES) {
            if head[..4] == [0, 0, 0, 4] && head[4] & 1 == 1 {
                return (
                    [&bytes[..at], &bytes[at + FRAME_HEAD_BYTES..]].concat(),
                    true,
                );
            }
            at += FRAME_HEAD_BYTES
                + (usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]));
        }
        (bytes[..at.min(bytes.len())].to_vec(), false)
    }

    fn any_frames() -> impl Strategy<Value = Vec<u8>> {
        let kind = prop_oneof![Just(0), Just(1), Just(4), Just(9), any::<u8>()];
        let flags = prop_oneof![Just(0), Just(1), Just(4), any::<u8>()];
        let some = (kind, flags, prop_oneof![Just(0), 0_usize..90])
            .prop_map(|(kind, flags, length)| frame(kind, flags, length));
        let frames = prop::collection::vec(some, 0..12);
        // The end may be missing, and anything may follow.
        (
            frames,
            0_usize..12,
            prop::collection::vec(any::<u8>(), 0..40),
        )
            .prop_map(|(frames, cut, more)| {
                let mut bytes = opened(&frames);
                bytes.truncate(bytes.len() - cut);
                bytes.extend(more);
                bytes
            })
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_pieces_the_opening_ends_where_the_head_does(
            bytes in any_frames(),
            piece in 1_usize..50,
            most_bytes in 30_usize..600,
        ) {
            let mut opening = Opening::new(most_bytes);
            let mut seen = Ok(None);
            for (number, part) in bytes.chunks(piece).enumerate() {
                match opening.see(part) {
                    Ok(false) => continue,
                    Ok(true) => seen = Ok(Some(number * piece + part.len())),
                    Err(_) => seen = Err(()),
                }
                break;
            }
            // It is noticed with the piece in which it ends.
            let end = end_of_head(&bytes, most_bytes);
            let noticed = end.map(|end| end.map(|end| (end.div_ceil(piece) * piece).min(bytes.len())));
            prop_assert_eq!(seen, noticed);
        }

        #[test]
        fn whatever_comes_in_whatever_pieces_one_acknowledgment_is_taken_out(
            bytes in any_frames(),
            piece in 1_usize..50,
        ) {
            let (mut filter, mut passed, mut found) = (Unacknowledged::new(), Vec::new(), false);
            for part in bytes.chunks(piece) {
                if found {
                    passed.extend_from_slice(part);
                } else {
                    found = filter.pass(part, &mut passed);
                }
            }
            prop_assert_eq!((passed, found), without_acknowledgment(&bytes));
        }
    }
}
