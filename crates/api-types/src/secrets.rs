//! Secrets that configs refer to as `${secret:NAME}`.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Gives a secret a value.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PutSecret {
    /// The value, 6 bytes to 32 KiB of text. No answer ever has it.
    #[schema(format = Password)]
    pub value: String,
}

impl fmt::Debug for PutSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PutSecret(***)")
    }
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Secret {
    /// Its name.
    pub name: String,
    /// How often it was given a value.
    pub version: u32,
    /// Who gave it the newest.
    pub author: String,
    /// When.
    pub created_at: Timestamp,
    /// Whether this server has the key that its value is sealed with. If not, no config that refers to it can be released:
    /// give it a value again, or the server its key.
    pub readable: bool,
    /// The configs that are in force and refer to it.
    pub used_by: Vec<String>,
}

/// A secret that was given a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretSet {
    /// It.
    #[serde(flatten)]
    pub secret: Secret,
    /// How many agents are offered another configuration for it; 0 for the value that stood already.
    pub affected: u64,
}

/// The page of the list of secrets.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListSecrets {
    /// Entries a page, 1 to 500; 100 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}
