//! Query parameters.

use api_types::ProblemKind;
use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::{ApiError, ApiResult};

/// The query's parameters, all of them known.
pub(crate) struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> ApiResult<Self> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> ApiResult<T> {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs)).map_err(|error| {
        let text = error.inner().to_string();
        let named = ["unknown field ", "duplicate field ", "missing field "]
            .iter()
            .find_map(|prefix| quoted_name(&text, prefix))
            .map(str::to_owned);
        let field = named.unwrap_or_else(|| error.path().to_string());
        ApiError::new(ProblemKind::InvalidQuery)
            .field(field)
            .detail(text)
    })
}

/// The name between backquotes that serde's messages carry after a fixed beginning.
pub(super) fn quoted_name<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?
        .strip_prefix('`')?
        .split('`')
        .next()
}

#[cfg(test)]
mod tests {
    use api_types::agents::{ConfigState, ListAgents};

    use super::*;

    #[test]
    fn known_parameters_are_read() {
        let query: ListAgents =
            parse("selector=env%3Dprod%2C%21legacy&connected=true&config_state=failed&limit=7")
                .unwrap();
        assert_eq!(query.selector.as_deref(), Some("env=prod,!legacy"));
        assert_eq!(query.connected, Some(true));
        assert_eq!(query.config_state, Some(ConfigState::Failed));
        assert_eq!(query.limit, Some(7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, named) in [
            ("selektor=x", "selektor"),
            ("limit=many", "limit"),
            ("limit=-1", "limit"),
            ("connected=yes", "connected"),
            ("config_state=fine", "config_state"),
            ("q=a&q=b", "q"),
        ] {
            let Err(error) = parse::<ListAgents>(query) else {
                panic!("{query} was taken");
            };
            assert!(
                format!("{error:?}").contains(&format!("field: Some({named:?})")),
                "{query}: {error:?}"
            );
        }
    }
}
