//! Remote configs as what changed: each file against one that the agent has, under the capability `io.opamp-rs.delta/1`.
//!
//! An offer keeps its shape and its hash; a file that travels as a delta has [`CONTENT_TYPE`], and its body says of what
//! it is made. Who has that gets the file back with [`decode`], which gives nothing but what the hash of the offer names.

use std::borrow::Cow;

use opamp_model::{ConfigFile, ConfigMap};
use prost::Message;
use sha2::{Digest, Sha256};
use zstd::zstd_safe::{CCtx, CParameter, DCtx};

/// The content type of a file that is a delta.
pub const CONTENT_TYPE: &str = "application/vnd.opamp-rs.delta";

/// The one file of a collector's config.
const CONFIG_FILE: &str = "config.yaml";
/// Contents are encoded once for many agents; level 3 compresses 8 KiB against as much in some tens of µs.
const ZSTD_LEVEL: i32 = 3;
/// The smallest and the largest window: what lies further back than it reaches is not found. Files have 4 MiB at most.
const WINDOW_LOG: std::ops::RangeInclusive<u32> = 10..=23;

/// From so many bytes on, old and new together, long matches are searched for apart.
const LARGE_BYTES: usize = 512 << 10;

/// The body of a file that is a delta.
#[derive(Clone, PartialEq, Eq, Message)]
struct FileDelta {
    /// SHA-256 of the bytes that it is made against.
    #[prost(bytes = "vec", tag = "1")]
    base_sha256: Vec<u8>,
    /// The content type of the file.
    #[prost(string, tag = "2")]
    content_type: String,
    /// The file as one Zstandard frame, compressed with the base as its prefix (`zstd --patch-from`).
    #[prost(bytes = "vec", tag = "3")]
    zstd: Vec<u8>,
}

/// Why a config that travelled as a delta could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The agent does not have what it is made against.
    #[error("{file}: its base is not here")]
    UnknownBase {
        /// The file's name.
        file: String,
    },
    /// It is no delta, or was damaged.
    #[error("{file}: it is damaged")]
    Damaged {
        /// The file's name.
        file: String,
    },
    /// What it makes is over the limit.
    #[error("{file}: over the limit of {limit_bytes} bytes")]
    TooLarge {
        /// The file's name.
        file: String,
        /// The limit on all files together.
        limit_bytes: usize,
    },
    /// It makes something else than what was offered.
    #[error("what it makes has another hash than the offer")]
    OtherHash,
}

/// Whether a file of this config travels as a delta.
pub fn is_delta(config: &ConfigMap) -> bool {
    config.values().any(is_file_delta)
}

/// The config with each file as what changed against the file of the same name in `base`, where that is smaller. `None`
/// where it is for no file.
pub fn encode(base: &ConfigMap, config: &ConfigMap) -> Option<ConfigMap> {
    let mut any = false;
    let files = config.iter().map(|(name, file)| {
        let delta = base.get(name).and_then(|old| encode_file(old, file));
        any |= delta.is_some();
        (name.clone(), delta.unwrap_or_else(|| file.clone()))
    });
    let files = files.collect();
    any.then_some(files)
}

/// The config that travelled as `config`, which has files as deltas, if it is the one with this hash. `find` gives the
/// bytes with a SHA-256, of those that the agent has.
///
/// # Errors
/// [`DeltaError`]; the whole is then to be asked for.
pub fn decode<'b>(
    config: &ConfigMap,
    hash: &[u8],
    limit_bytes: usize,
    find: impl Fn(&[u8; 32]) -> Option<Cow<'b, [u8]>>,
) -> Result<ConfigMap, DeltaError> {
    let mut left = limit_bytes;
    let mut files = ConfigMap::new();
    for (name, file) in config {
        let too_large = || DeltaError::TooLarge {
            file: name.clone(),
            limit_bytes,
        };
        let file = if is_file_delta(file) {
            Decoder {
                name,
                left,
                too_large: &too_large,
            }
            .decode(&file.body, &find)?
        } else {
            file.clone()
        };
        left = left.checked_sub(file.body.len()).ok_or_else(too_large)?;
        files.insert(name.clone(), file);
    }
    if config_hash(&files) != hash {
        return Err(DeltaError::OtherHash);
    }
    Ok(files)
}

/// The hash that this capability has an offer carry (docs/config-hash.md).
pub fn config_hash(config: &ConfigMap) -> [u8; 32] {
    if let (Some(file), 1) = (config.get(CONFIG_FILE), config.len()) {
        return Sha256::digest(&file.body).into();
    }
    let mut hasher = Sha256::new();
    let length = |bytes: usize| (bytes as u64).to_be_bytes();
    for (name, file) in config {
        for text in [name, &file.content_type] {
            hasher.update(length(text.len()));
            hasher.update(text);
        }
        hasher.update(length(file.body.len()));
        hasher.update(Sha256::digest(&file.body));
    }
    hasher.finalize().into()
}

fn is_file_delta(file: &ConfigFile) -> bool {
    file.content_type == CONTENT_TYPE
}

fn encode_file(base: &ConfigFile, file: &ConfigFile) -> Option<ConfigFile> {
    if base.body.is_empty() || file.body.is_empty() {
        return None;
    }
    let delta = FileDelta {
        base_sha256: Sha256::digest(&base.body).to_vec(),
        content_type: file.content_type.clone(),
        zstd: compress(&base.body, &file.body)?,
    };
    let body = delta.encode_to_vec();
    (body.len() < file.body.len()).then(|| ConfigFile::new(body, CONTENT_TYPE))
}

fn compress(base: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
    let reach = base.len().saturating_add(bytes.len());
    let window = reach.checked_next_power_of_two()?.ilog2();
    let window = window.clamp(*WINDOW_LOG.start(), *WINDOW_LOG.end());
    let mut context = CCtx::try_create()?;
    context
        .set_parameter(CParameter::CompressionLevel(ZSTD_LEVEL))
        .ok()?;
    context.set_parameter(CParameter::WindowLog(window)).ok()?;
    // In large files the ordinary search skips what looks like noise, and finds nothing again.
    let is_large = LARGE_BYTES <= reach;
    context
        .set_parameter(CParameter::EnableLongDistanceMatching(is_large))
        .ok()?;
    context.ref_prefix(base).ok()?;
    // What does not become smaller than the file is of no use.
    let mut frame = Vec::with_capacity(bytes.len());
    context.compress2(&mut frame, bytes).ok()?;
    frame.shrink_to_fit();
    Some(frame)
}

/// Gets one file back.
struct Decoder<'a> {
    name: &'a str,
    /// Bytes that the file may have.
    left: usize,
    too_large: &'a dyn Fn() -> DeltaError,
}

impl Decoder<'_> {
    fn decode<'b>(
        &self,
        body: &[u8],
        find: impl Fn(&[u8; 32]) -> Option<Cow<'b, [u8]>>,
    ) -> Result<ConfigFile, DeltaError> {
        let delta = FileDelta::decode(body).map_err(|_| self.damaged())?;
        let base: [u8; 32] = delta.base_sha256.try_into().map_err(|_| self.damaged())?;
        let base = find(&base).ok_or_else(|| DeltaError::UnknownBase {
            file: self.name.to_owned(),
        })?;
        let bytes = self.decompress(&base, &delta.zstd)?;
        Ok(ConfigFile::new(bytes, delta.content_type))
    }

    /// The frame says how much it makes, and is not believed: it gets no more room than that, and that is bounded.
    fn decompress(&self, base: &[u8], frame: &[u8]) -> Result<Vec<u8>, DeltaError> {
        let size = zstd::zstd_safe::get_frame_content_size(frame);
        let size = size.ok().flatten().ok_or_else(|| self.damaged())?;
        let size = usize::try_from(size).map_err(|_| (self.too_large)())?;
        if self.left < size {
            return Err((self.too_large)());
        }
        let mut context = DCtx::try_create().ok_or_else(|| self.damaged())?;
        context.ref_prefix(base).map_err(|_| self.damaged())?;
        let mut bytes = Vec::with_capacity(size);
        let made = context
            .decompress(&mut bytes, frame)
            .map_err(|_| self.damaged())?;
        if made == size {
            Ok(bytes)
        } else {
            Err(self.damaged())
        }
    }

    fn damaged(&self) -> DeltaError {
        DeltaError::Damaged {
            file: self.name.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
