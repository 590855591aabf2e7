//! OpAMP's header before each message on a WebSocket.

use crate::Malformed;
use crate::fields::{Fields, varint};

/// The only header that is defined: the varint 0.
pub const HEADER: u8 = 0;

/// Takes the header off a WebSocket message.
///
/// Peers older than OpAMP 0.7.0 send no header; a protobuf message never begins with 0, so such
/// messages are recognised and returned whole.
///
/// # Errors
/// [`Malformed::Empty`] without any bytes, [`Malformed::Header`] for a header other than 0.
///
/// ```
/// use opamp::ws::strip_header;
///
/// assert_eq!(strip_header(&[0x00, 0x10, 0x01])?, [0x10, 0x01]);
/// assert_eq!(strip_header(&[0x10, 0x01])?, [0x10, 0x01], "an old peer");
/// assert!(strip_header(&[0x07, 0x10, 0x01]).is_err());
/// # Ok::<(), opamp::Malformed>(())
/// ```
pub fn strip_header(message: &[u8]) -> Result<&[u8], Malformed> {
    match message {
        [] => Err(Malformed::Empty),
        [HEADER, data @ ..] => Ok(data),
        _ => strip_unusual_header(message),
    }
}

/// A header of 0 in more bytes than one, a message without a header, or neither.
fn strip_unusual_header(message: &[u8]) -> Result<&[u8], Malformed> {
    let (value, used) = varint(message).ok_or(Malformed::Encoding)?;
    let begins_with_a_field = Fields::new(message)
        .next()
        .is_some_and(|field| field.is_ok());
    match value {
        0 => Ok(&message[used..]),
        _ if begins_with_a_field => Ok(message),
        value => Err(Malformed::Header { value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ws_04_the_header_is_as_long_as_its_varint() {
        assert_eq!(
            strip_header(&[0x80, 0x00, 0x10, 0x01]).unwrap(),
            [0x10, 0x01]
        );
        let ten = [
            0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0x10, 0x01,
        ];
        assert_eq!(strip_header(&ten).unwrap(), [0x10, 0x01]);
    }

    #[test]
    fn ws_05_a_header_alone_is_an_empty_message() {
        assert!(strip_header(&[0x00]).unwrap().is_empty());
    }

    #[test]
    fn ws_03_other_headers_are_malformed() {
        assert!(matches!(strip_header(&[]), Err(Malformed::Empty)));
        assert!(matches!(
            strip_header(&[0x01, 0x0a]),
            Err(Malformed::Header { value: 1 })
        ));
        assert!(matches!(strip_header(&[0x80]), Err(Malformed::Encoding)));
        assert!(matches!(
            strip_header(&[0xff; 12]),
            Err(Malformed::Encoding)
        ));
        assert!(matches!(
            strip_header(b"{\"json\":1}"),
            Err(Malformed::Header { .. })
        ));
    }

    #[test]
    fn headerless_messages_of_old_peers_are_whole() {
        let message = [0x0a, 0x01, 0x07, 0x10, 0x05];
        assert_eq!(strip_header(&message).unwrap(), message);
    }
}
