//! The check that an offer has to pass before anything of it is applied. A dry run is this check and nothing else.

use std::collections::BTreeMap;

use opamp::model::ConfigMap;

use crate::collector::{Redactor, ToolError, trim, validate};
use crate::site::{Offered, Site, SiteError, Stage};

/// Why a configuration does not pass.
pub enum Rejection {
    /// It is bad, and will be the next time.
    Bad(String),
    /// It could not be checked or kept; that says nothing about it.
    Unable(String),
}

/// Has the collector's program check what it would get of `config`, on a stage of its own, without touching what runs.
/// Dropping the future ends the check.
///
/// # Errors
/// [`Rejection`], its text without secrets and fit to be told.
pub async fn check(
    site: &Site,
    stage: Stage,
    redactor: &Redactor,
    config: &ConfigMap,
) -> Result<Offered, Rejection> {
    let offered = Offered::of(config).map_err(Rejection::Bad)?;
    let Offered::Bytes(bytes) = &offered else {
        return Ok(offered);
    };
    let launch = site.stage(stage, bytes).map_err(unable)?;
    match validate(&launch, site.settings().command_timeout).await {
        Ok(()) => Ok(offered),
        Err(ToolError::Refused { reason }) => Err(Rejection::Bad(trim(&redactor.redact(&reason)))),
        Err(error) => Err(Rejection::Unable(runtime::logging::error_chain(&error))),
    }
}

/// Knows the secrets among the variables that a collector gets: the agent's own and those for it.
pub fn redactor(env: &BTreeMap<String, String>) -> Redactor {
    let own: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let own = own.iter().map(|(name, value)| (&**name, &**value));
    let given = env.iter().map(|(name, value)| (&**name, &**value));
    Redactor::new(own.chain(given))
}

fn unable(error: SiteError) -> Rejection {
    Rejection::Unable(runtime::logging::error_chain(&error))
}
