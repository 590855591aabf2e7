//! Reads the fields of an encoded message by hand, without decoding what they contain.

use crate::Malformed;

/// The fields of an encoded message, in the order in which they stand.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

/// One field.
pub(crate) struct Field<'a> {
    pub(crate) number: u32,
    pub(crate) value: Scalar<'a>,
    /// Tag and value as they stand.
    pub(crate) raw: &'a [u8],
}

/// A field's value by its wire type.
#[derive(Clone, Copy)]
pub(crate) enum Scalar<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    /// The next field; groups are refused, no version of the schema ever had one.
    #[inline]
    fn read(&mut self) -> Option<Field<'a>> {
        let start = self.rest;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3)
            .ok()
            .filter(|number| (1..1 << 29).contains(number))?;
        let value = match tag & 7 {
            0 => Scalar::Varint(self.varint()?),
            1 => Scalar::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Scalar::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Scalar::Fixed32
            }
            _ => return None,
        };
        let raw = &start[..start.len() - self.rest.len()];
        Some(Field { number, value, raw })
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let (&first, rest) = self.rest.split_first()?;
        if first < 0x80 {
            self.rest = rest;
            return Some(u64::from(first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Option<u64> {
        let (value, used) = varint(self.rest)?;
        self.rest = &self.rest[used..];
        Some(value)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, Malformed>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.read();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or(Malformed::Encoding))
    }
}

impl<'a> Field<'a> {
    pub(crate) fn varint(&self) -> Result<u64, Malformed> {
        match self.value {
            Scalar::Varint(value) => Ok(value),
            _ => Err(Malformed::Type { field: self.number }),
        }
    }

    pub(crate) fn fixed64(&self) -> Result<u64, Malformed> {
        match self.value {
            Scalar::Fixed64(value) => Ok(value),
            _ => Err(Malformed::Type { field: self.number }),
        }
    }

    pub(crate) fn bytes(&self) -> Result<&'a [u8], Malformed> {
        match self.value {
            Scalar::Bytes(value) => Ok(value),
            _ => Err(Malformed::Type { field: self.number }),
        }
    }
}

/// Reads a varint of at most 64 bits and tells how many bytes it took.
pub(crate) fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(10).enumerate() {
        if index == 9 && byte > 1 {
            return None;
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn varints_are_read_as_prost_writes_them(value: u64, tail: Vec<u8>) {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(value, &mut bytes);
            let length = bytes.len();
            bytes.extend(tail);
            prop_assert_eq!(varint(&bytes), Some((value, length)));
        }

        #[test]
        fn raw_fields_in_a_row_are_the_message(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let fields: Result<Vec<_>, _> = Fields::new(&bytes).collect();
            if let Ok(fields) = fields {
                let raw: Vec<u8> = fields.iter().flat_map(|field| field.raw).copied().collect();
                prop_assert_eq!(raw, bytes);
            }
        }
    }

    #[test]
    fn overlong_and_unfinished_varints_are_refused() {
        assert_eq!(varint(&[0xff; 10]), None);
        assert_eq!(varint(&[0x80; 11]), None);
        assert_eq!(varint(&[0x80]), None);
        assert_eq!(varint(&[0x80, 0x80, 0x00]), Some((0, 3)));
        // Of a tenth byte only one bit is one of the 64.
        let ten = |last| [[0x80; 9].as_slice(), &[last]].concat();
        assert_eq!(varint(&ten(0)), Some((0, 10)));
        assert_eq!(varint(&ten(1)), Some((1 << 63, 10)));
        assert_eq!(varint(&ten(2)), None);
    }
}
