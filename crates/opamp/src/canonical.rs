//! Digests of reported state that do not depend on how a peer orders its maps.
//!
//! Go encodes maps in random order, so equal health has other bytes in each message. A part is
//! therefore brought into a canonical form before it is hashed: fields as they stand, then the
//! entries of maps sorted by key, the last of equal keys winning. Times of health are left out of
//! the form and collected apart. The form is never decoded, but it is unambiguous: a field's tag
//! never begins with a byte below 8, so 0, 1 and 2 can mark entries, ends and nested messages.
//!
//! Digests are stored (see `WireState`): a change of the form needs a new version there.

use opamp_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::fields::{Field, Fields};
use crate::shape::{Bounds, Kind, Shape};
use crate::{Limits, Malformed};

const ENTRY: u8 = 0;
const END: u8 = 1;
const NESTED: u8 = 2;

/// Digest of raw bytes.
pub(crate) fn digest_bytes(bytes: &[u8]) -> Digest {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    let (half, _) = hash
        .split_first_chunk::<16>()
        .expect("32 bytes are at least 16");
    Digest::new(*half)
}

/// Digest of a part's canonical form.
pub(crate) fn digest(
    shape: &'static Shape,
    part: &[u8],
    limits: &Limits,
) -> Result<Digest, Malformed> {
    digest_with_times(shape, part, limits).map(|(digest, _)| digest)
}

/// Digest of a part's canonical form, and the times that are left out of it.
pub(crate) fn digest_with_times(
    shape: &'static Shape,
    part: &[u8],
    limits: &Limits,
) -> Result<(Digest, Vec<u64>), Malformed> {
    let mut writer = Writer {
        out: Vec::with_capacity(part.len() + 64),
        entries: Vec::new(),
        times: Vec::new(),
        bounds: Bounds::new(limits),
    };
    writer.message(shape, part, limits.depth)?;
    Ok((digest_bytes(&writer.out), writer.times))
}

struct Writer<'a, 'l> {
    out: Vec<u8>,
    /// A stack: entries of the maps of all messages on the path, each message's own on top.
    entries: Vec<Entry<'a>>,
    times: Vec<u64>,
    bounds: Bounds<'l>,
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    field: u8,
    shape: &'static Shape,
    key: &'a [u8],
    value: &'a [u8],
}

impl<'a> Writer<'a, '_> {
    fn message(&mut self, shape: &Shape, message: &'a [u8], depth: u32) -> Result<(), Malformed> {
        let depth = self.bounds.descend(depth)?;
        let base = self.entries.len();
        let mut times = [0; 2];
        for field in Fields::new(message) {
            let field = field?;
            match field.number {
                2 if shape.timed => times[0] = field.fixed64()?,
                5 if shape.timed => times[1] = field.fixed64()?,
                _ => self.field(shape, &field, depth)?,
            }
        }
        if shape.timed {
            self.times.extend(times);
        }
        if self.entries.len() != base {
            self.sorted_entries(base, depth)?;
        }
        self.out.push(END);
        Ok(())
    }

    #[inline]
    fn field(&mut self, shape: &Shape, field: &Field<'a>, depth: u32) -> Result<(), Malformed> {
        match shape.nested(field.number) {
            Some(nested) if nested.kind == Kind::Map => {
                self.bounds.count()?;
                let (key, value) = entry(field.bytes()?)?;
                self.entries.push(Entry {
                    field: nested.number,
                    shape: nested.shape,
                    key,
                    value,
                });
            }
            Some(nested) if nested.kind == Kind::Maps => {
                self.out.extend([NESTED, nested.number]);
                self.message(nested.shape, field.bytes()?, depth)?;
            }
            _ => self.out.extend_from_slice(field.raw),
        }
        Ok(())
    }

    fn sorted_entries(&mut self, base: usize, depth: u32) -> Result<(), Malformed> {
        self.entries[base..].sort_by_key(|entry| (entry.field, entry.key));
        let end = self.entries.len();
        for index in base..end {
            let entry = self.entries[index];
            let next = self.entries[index + 1..end].first();
            if next.is_some_and(|next| (next.field, next.key) == (entry.field, entry.key)) {
                continue;
            }
            self.out.extend([ENTRY, entry.field]);
            self.out.extend((entry.key.len() as u64).to_le_bytes());
            self.out.extend_from_slice(entry.key);
            self.message(entry.shape, entry.value, depth)?;
        }
        self.entries.truncate(base);
        Ok(())
    }
}

/// Key and value of a map's entry, both empty where they are missing.
fn entry(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut key, mut value): (&[u8], Option<&[u8]>) = (&[], None);
    for field in Fields::new(bytes) {
        let field = field?;
        match field.number {
            1 => key = field.bytes()?,
            // Parts of one value would have to be merged; nobody sends them.
            2 if value.is_some() => return Err(Malformed::Encoding),
            2 => value = Some(field.bytes()?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_default()))
}
