//! What a simulated agent takes from a `ServerToAgent`, read in place.

use std::{sync::Arc, time::Duration};

use super::content::{Content, Contents, Files};

/// Bit of `ServerToAgentFlags`: the agent must report everything.
pub(crate) const REPORT_FULL_STATE: u64 = 1;
/// Bit of `ServerToAgentFlags`: the agent must report its components.
pub(crate) const REPORT_AVAILABLE_COMPONENTS: u64 = 2;

/// A message from the server, as far as a simulated agent acts on it.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// `ServerToAgentFlags`.
    pub flags: u64,
    /// `ServerCapabilities`; 0 stands for unchanged.
    pub capabilities: u64,
    /// A uid to go by from now on.
    pub new_uid: Option<[u8; 16]>,
    /// An offered configuration.
    pub offer: Option<Offer>,
    /// The server refused what was sent.
    pub error: Option<Refusal>,
    /// The restart command.
    pub restart: bool,
}

/// An offered configuration.
#[derive(Debug, PartialEq)]
pub(crate) struct Offer {
    /// `config_hash`, opaque.
    pub hash: Box<[u8]>,
    /// The files; `None` when the server sent the hash alone.
    pub content: Option<Arc<Content>>,
    /// Whether the hash is the one that belongs to the content.
    pub hash_matches: bool,
}

/// An error response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the server said.
    pub message: String,
    /// Set when the server is overloaded: disconnect, and come back after so long.
    pub unavailable: Option<RetryAfter>,
}

/// When to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryAfter {
    /// The server named the time.
    Told(Duration),
    /// It did not: the backoff decides.
    Unsaid,
}

/// The bytes are no `ServerToAgent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed ServerToAgent")]
pub(crate) struct Malformed;

/// Reads a message; a config in it is hashed and then shared with the agents that have it too.
pub(crate) fn read(message: &[u8], contents: &Contents) -> Result<Answer, Malformed> {
    let mut answer = Answer::default();
    for field in Fields(message) {
        match field? {
            (3, Value::Bytes(config)) => answer.offer = Some(read_offer(config, contents)?),
            (2, Value::Bytes(error)) => answer.error = Some(read_refusal(error)?),
            (6, Value::Varint(flags)) => answer.flags = flags,
            (7, Value::Varint(bits)) => answer.capabilities = bits,
            (8, Value::Bytes(identification)) => answer.new_uid = read_uid(identification)?,
            (9, Value::Bytes(_)) => answer.restart = true,
            _ => {}
        }
    }
    Ok(answer)
}

fn read_offer(config: &[u8], contents: &Contents) -> Result<Offer, Malformed> {
    let (mut map, mut hash) = (None, &[][..]);
    for field in Fields(config) {
        match field? {
            (1, Value::Bytes(files)) => map = Some(files),
            (2, Value::Bytes(bytes)) => hash = bytes,
            _ => {}
        }
    }
    let Some(map) = map else {
        return Ok(Offer {
            hash: hash.into(),
            content: None,
            hash_matches: true,
        });
    };
    let (content, hash_matches) = contents.take(hash, map, read_files)?;
    Ok(Offer {
        hash: hash.into(),
        content: Some(content),
        hash_matches,
    })
}

/// Name, body and content type of each file of an `AgentConfigMap`, sorted by name.
fn read_files(map: &[u8]) -> Result<Files<'_>, Malformed> {
    let mut files = Vec::new();
    for entry in Fields(map) {
        let (1, Value::Bytes(entry)) = entry? else {
            continue;
        };
        files.push(read_file(entry)?);
    }
    files.sort_unstable();
    Ok(files)
}

/// The body of an `AgentConfigMap` that has one file.
pub(crate) fn single_body(map: &[u8]) -> Option<&[u8]> {
    match read_files(map).ok()?.as_slice() {
        [(_, body, _)] => Some(body),
        _ => None,
    }
}

fn read_file(entry: &[u8]) -> Result<(&str, &[u8], &str), Malformed> {
    let (mut name, mut file) = ("", &[][..]);
    for field in Fields(entry) {
        match field? {
            (1, Value::Bytes(bytes)) => name = utf8(bytes)?,
            (2, Value::Bytes(bytes)) => file = bytes,
            _ => {}
        }
    }
    let (mut body, mut content_type) = (&[][..], "");
    for field in Fields(file) {
        match field? {
            (1, Value::Bytes(bytes)) => body = bytes,
            (2, Value::Bytes(bytes)) => content_type = utf8(bytes)?,
            _ => {}
        }
    }
    Ok((name, body, content_type))
}

fn read_refusal(error: &[u8]) -> Result<Refusal, Malformed> {
    const UNAVAILABLE: u64 = 2;
    let (mut kind, mut message, mut retry) = (0, "", RetryAfter::Unsaid);
    for field in Fields(error) {
        match field? {
            (1, Value::Varint(value)) => kind = value,
            (2, Value::Bytes(bytes)) => message = utf8(bytes)?,
            (3, Value::Bytes(info)) => {
                for field in Fields(info) {
                    if let (1, Value::Varint(nanos)) = field? {
                        retry = RetryAfter::Told(Duration::from_nanos(nanos));
                    }
                }
            }
            _ => {}
        }
    }
    let unavailable = (kind == UNAVAILABLE).then_some(retry);
    Ok(Refusal {
        message: message.to_owned(),
        unavailable,
    })
}

fn read_uid(identification: &[u8]) -> Result<Option<[u8; 16]>, Malformed> {
    for field in Fields(identification) {
        if let (1, Value::Bytes(uid)) = field? {
            return uid.try_into().map(Some).map_err(|_| Malformed);
        }
    }
    Ok(None)
}

fn utf8(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed)
}

/// The value of one protobuf field.
#[derive(Debug)]
enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// fixed32 and fixed64: no field that matters here is one.
    Fixed,
}

/// The fields of one message, in the order they were sent.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.varint()?;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => self.skip(8)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.skip(4)?,
            _ => return None,
        };
        (key >> 3 != 0).then_some((key >> 3, value))
    }

    fn skip(&mut self, length: usize) -> Option<Value<'a>> {
        self.take(length).map(|_| Value::Fixed)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && 1 < bits {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
