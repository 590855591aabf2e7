//! `PUT /fleet/hold`: the emergency brake.

use api_types::ProblemKind;
use api_types::fleet::{HoldScope, Holds, PutHold};
use axum::Json;
use axum::extract::State;
use engine::admin::Caller;
use engine::admin::fleet::SetHoldError;
use engine::domain;

use super::hold::holds;
use crate::access::Acting;
use crate::extract::{Json as Body, NoPreconditions};
use crate::problem::{ApiError, ApiResult};
use crate::selector;
use crate::state::ApiState;

/// Pulls or releases the emergency brake: while it is on, no offer leaves for the agents it covers. It is kept over restarts.
/// Each scope has one hold; a second one replaces it.
#[utoipa::path(put, path = "/fleet/hold", tag = "fleet", request_body = PutHold, responses((status = 200, body = Holds)))]
pub(crate) async fn put_hold(
    State(state): State<ApiState>,
    Acting(caller): Acting,
    _: NoPreconditions,
    Body(body): Body<PutHold>,
) -> ApiResult<Json<Holds>> {
    let scope = read_scope(&caller, &body)?;
    if body.held {
        state
            .engine
            .put_hold(
                &caller,
                scope,
                body.reason.as_deref().unwrap_or_default(),
                state.now(),
            )
            .await?;
    } else {
        state.engine.lift_hold(&caller, &scope, state.now()).await?;
    }
    holds(&state, &caller).await.map(Json)
}

fn read_scope(caller: &Caller, body: &PutHold) -> ApiResult<domain::HoldScope> {
    let refuse = |detail: &str| {
        ApiError::new(ProblemKind::InvalidField)
            .field("selector")
            .detail(detail)
    };
    let default = if body.selector.is_some() {
        HoldScope::Selector
    } else {
        HoldScope::Namespace
    };
    match (body.scope.unwrap_or(default), &body.selector) {
        (HoldScope::Fleet, None) => Ok(domain::HoldScope::Fleet),
        (HoldScope::Namespace, None) => Ok(domain::HoldScope::Namespace(caller.namespace.clone())),
        (HoldScope::Selector, Some(selector)) => {
            let selector = selector::read(Some(selector), "selector")?;
            if selector.is_empty() {
                return Err(refuse(
                    "an empty selector covers every agent: use the scope \"namespace\"",
                ));
            }
            Ok(domain::HoldScope::Selector(
                caller.namespace.clone(),
                selector,
            ))
        }
        (HoldScope::Selector, None) => Err(refuse("the scope \"selector\" needs one")),
        (HoldScope::Fleet | HoldScope::Namespace, Some(_)) => {
            Err(refuse("only the scope \"selector\" takes one"))
        }
    }
}

impl From<SetHoldError> for ApiError {
    fn from(error: SetHoldError) -> Self {
        let text = error.to_string();
        match error {
            SetHoldError::BeyondReach => Self::new(ProblemKind::Forbidden)
                .field("scope")
                .detail(text),
            SetHoldError::ReasonTooLong { .. } => Self::new(ProblemKind::InvalidField)
                .field("reason")
                .detail(text),
            SetHoldError::Store(error) => error.into(),
        }
    }
}
