//! `GET /fleet/hold`.

use api_types::fleet::{Hold, HoldScope, Holds};
use axum::Json;
use axum::extract::State;
use engine::admin::Caller;
use engine::domain;

use crate::access::Acting;
use crate::problem::ApiResult;
use crate::state::ApiState;

/// The holds that concern the namespace.
#[utoipa::path(get, path = "/fleet/hold", tag = "fleet", responses((status = 200, body = Holds)))]
pub(crate) async fn get_hold(
    State(state): State<ApiState>,
    Acting(caller): Acting,
) -> ApiResult<Json<Holds>> {
    holds(&state, &caller).await.map(Json)
}

pub(super) async fn holds(state: &ApiState, caller: &Caller) -> ApiResult<Holds> {
    let holds: Vec<Hold> = state
        .engine
        .holds(caller)
        .await?
        .into_iter()
        .map(to_hold)
        .collect();
    Ok(Holds {
        held: !holds.is_empty(),
        holds,
    })
}

fn to_hold(hold: domain::Hold) -> Hold {
    let (scope, selector) = match hold.scope {
        domain::HoldScope::Fleet => (HoldScope::Fleet, None),
        domain::HoldScope::Namespace(_) => (HoldScope::Namespace, None),
        domain::HoldScope::Selector(_, selector) => {
            (HoldScope::Selector, Some(selector.to_string()))
        }
    };
    Hold {
        scope,
        selector,
        reason: hold.reason,
        author: hold.set_by.to_string(),
        since: hold.set_at,
    }
}
