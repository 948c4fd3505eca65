//! `/v1/plans`: what the operator sells.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use channel::plans::Plan;
use serde::Serialize;
use utoipa::ToSchema;

use super::Product;

/// All plans.
#[derive(Serialize, ToSchema)]
pub(super) struct PlanMap {
    /// The plan of a user of whom nothing else is said.
    default: String,
    plans: BTreeMap<String, PlanView>,
}

/// A plan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct PlanView {
    /// Metered messages in a billing period.
    whatsapp_sends: u32,
    /// Whether its users may use WhatsApp at all.
    whatsapp: bool,
    /// What a dashboard says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'static str>,
}

impl From<&Plan> for PlanView {
    fn from(plan: &Plan) -> Self {
        Self { whatsapp_sends: plan.whatsapp_sends, whatsapp: plan.whatsapp, note: plan.note() }
    }
}

/// The plan map.
#[utoipa::path(get, path = "/plans", operation_id = "listPlans", tag = "users", responses((status = 200, body = PlanMap)))]
pub(super) async fn list(State(product): State<Product>) -> Json<PlanMap> {
    let plans = &product.settings.plans;
    let map = plans.all().iter().map(|plan| (plan.name.clone(), plan.into())).collect();
    Json(PlanMap { default: plans.default().name.clone(), plans: map })
}
