//! The layers that a desired content was made of: `[config, revision]`, and of a template `[config, revision, values]`.

use domain::RevisionNumber;
use serde_json::value::RawValue;

use super::{from_json, to_json};
use crate::StoreError;
use crate::desired::LayerRecord;

/// Values stay as they were written, byte for byte.
type Row = Vec<Box<RawValue>>;

const CORRUPT: StoreError = StoreError::Corrupt { what: "layers" };

pub(crate) fn encode_layers(layers: &[LayerRecord]) -> Result<String, StoreError> {
    let row = |layer: &LayerRecord| {
        let parts = [
            Some(to_json(&layer.config.as_str())),
            Some(to_json(&layer.revision.0)),
            layer.values.clone(),
        ];
        let parts = parts.into_iter().flatten().map(RawValue::from_string);
        parts.collect::<Result<Row, _>>().map_err(|_| CORRUPT)
    };
    let rows = layers.iter().map(row).collect::<Result<Vec<Row>, _>>()?;
    Ok(to_json(&rows))
}

pub(crate) fn decode_layers(text: &str) -> Result<Vec<LayerRecord>, StoreError> {
    let read = |row: &Row| {
        let (config, revision, values) = match row.as_slice() {
            [config, revision] => (config, revision, None),
            [config, revision, values] => (config, revision, Some(values.get().to_owned())),
            _ => return Err(CORRUPT),
        };
        let config: String = from_json("layers", config.get().as_bytes())?;
        Ok(LayerRecord {
            config: config.parse().map_err(|_| CORRUPT)?,
            revision: RevisionNumber(from_json("layers", revision.get().as_bytes())?),
            values,
        })
    };
    let rows: Vec<Row> = from_json("layers", text.as_bytes())?;
    rows.iter().map(read).collect()
}
