//! The administrator's first token: from the configuration, or made at the first start and kept in the data directory.

use std::path::PathBuf;

use engine::admin::access::Adopted;
use engine::{Engine, Secret};
use tracing::{info, warn};

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::error::StartError;

/// Where an administrator finds the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenPlace {
    /// In `admin.bootstrap_token`, as the operator wrote it.
    Configuration,
    /// In this file.
    File(PathBuf),
    /// Where another node, or an earlier start, put it; this server does not have it.
    Elsewhere,
}

/// Makes sure that an administrator can log in.
///
/// # Errors
/// When the token can be neither kept nor stored.
pub async fn prepare(
    engine: &Engine,
    data_dir: &DataDir,
    settings: &Settings,
    now: jiff::Timestamp,
) -> Result<TokenPlace, StartError> {
    if let Some(token) = &settings.bootstrap_token {
        let token = Secret::new(token.expose());
        engine
            .replace_bootstrap_token(&token, now)
            .await
            .map_err(StartError::AdminToken)?;
        return Ok(TokenPlace::Configuration);
    }
    let (token, is_new) = match data_dir.read_token()? {
        Some(kept) => (Secret::new(kept.expose()), false),
        None => (engine.new_bootstrap_token(), true),
    };
    // Written before it is adopted: a crash in between leaves a file that the next start adopts.
    if is_new {
        data_dir.write_token(token.expose())?;
    }
    let file = data_dir.token_file();
    match engine
        .adopt_bootstrap_token(&token, now)
        .await
        .map_err(StartError::AdminToken)?
    {
        Adopted::Installed => {
            info!(event = "admin_token_created", file = %file.display(), "the administrator's token is in this file");
            Ok(TokenPlace::File(file))
        }
        Adopted::Unchanged => Ok(TokenPlace::File(file)),
        Adopted::AnotherStands => {
            if is_new {
                data_dir.remove_token()?;
            }
            warn!(event = "admin_token_elsewhere", file = %file.display(), "the database has another administrator's token; set admin.bootstrap_token to replace it");
            Ok(TokenPlace::Elsewhere)
        }
    }
}
