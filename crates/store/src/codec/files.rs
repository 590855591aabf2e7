//! Config files as bytes: a version, then for each file its name, its content type and its body with their lengths.

use domain::model::{ConfigFile, ConfigMap};

use crate::StoreError;

const VERSION: u8 = 1;

/// Equal maps have equal bytes: the map is sorted.
pub(crate) fn encode_files(files: &ConfigMap) -> Vec<u8> {
    let parts = || {
        files
            .iter()
            .flat_map(|(name, file)| [name.as_bytes(), file.content_type.as_bytes(), &file.body])
    };
    let mut bytes = Vec::with_capacity(1 + parts().map(|part| 4 + part.len()).sum::<usize>());
    bytes.push(VERSION);
    for part in parts() {
        let length =
            u32::try_from(part.len()).expect("messages are limited to far less than 4 GiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

pub(crate) fn decode_files(bytes: &[u8]) -> Result<ConfigMap, StoreError> {
    read_files(bytes).ok_or(StoreError::Corrupt {
        what: "config files",
    })
}

fn read_files(bytes: &[u8]) -> Option<ConfigMap> {
    let (&VERSION, mut rest) = bytes.split_first()? else {
        return None;
    };
    let mut files = ConfigMap::new();
    while !rest.is_empty() {
        let name = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        let content_type = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        files.insert(
            name,
            ConfigFile {
                body: take(&mut rest)?.to_vec(),
                content_type,
            },
        );
    }
    Some(files)
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (part, after) = after.split_at_checked(length)?;
    *rest = after;
    Some(part)
}
