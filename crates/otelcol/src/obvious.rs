//! Forms so simple that every reader of YAML reads them alike, and no parser is needed to know what they mean.
//!
//! Keys and values without quotes that have none of YAML's indicators where these mean something, quotes without escapes,
//! brackets on one line. Nearly all of what is written of configurations is like that. Where anything else stands, there is
//! no answer, and the parser gives one.

mod reading;
mod says;

pub(crate) use reading::read;
pub(crate) use says::says;

/// What ends a scalar, and so what may stand in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Block,
    Flow,
}

/// Letters, digits and what means nothing to YAML wherever it stands between them.
fn is_word(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(begins_word) && bytes.all(is_in_word)
}

const fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn is_in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/')
}

/// Whether a text without quotes can be nothing but itself: no comment, no key, no bracket that counts.
fn is_plain(text: &str, place: Place) -> bool {
    let bytes = text.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
        return false;
    };
    let is_number = *first == b'-' && bytes.get(1).is_some_and(u8::is_ascii_digit);
    let begins =
        first.is_ascii_alphanumeric() || matches!(first, b'_' | b'/' | b'.' | b'$') || is_number;
    // Three dots at the margin end a document; a value never stands there, but nothing is lost.
    begins
        && last.is_ascii_graphic()
        && *last != b':'
        && bytes.iter().enumerate().all(|(at, byte)| match byte {
            b'_' | b'-' | b'.' | b'/' | b'$' | b'=' | b'%' | b'@' | b'+' | b'*' | b'(' | b')' => {
                true
            }
            // A key ends with a colon before a blank; in brackets, before one of them.
            b':' => bytes.get(at + 1).is_some_and(|next| {
                next.is_ascii_alphanumeric() || matches!(next, b'/' | b'.' | b'_' | b'-' | b'$')
            }),
            b' ' | b'{' | b'}' | b'[' | b']' | b',' | b';' | b'"' | b'\'' | b'<' | b'>' | b'|' => {
                place == Place::Block
            }
            // Behind a blank it begins a comment.
            b'#' => place == Place::Block && at.checked_sub(1).is_some_and(|at| bytes[at] != b' '),
            byte => byte.is_ascii_alphanumeric(),
        })
}

/// Whether a text can stand in these quotes as it is.
fn is_quotable(text: &str, quote: char) -> bool {
    let is_obvious = |byte: u8| {
        matches!(byte, b' '..=b'~')
            && match quote {
                '"' => !matches!(byte, b'"' | b'\\'),
                _ => byte != b'\'',
            }
    };
    text.bytes().all(is_obvious)
}
