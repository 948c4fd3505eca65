//! `/v1/deliveries/{id}`: what became of a delivery and of each of its chunks.

use axum::Json;
use axum::extract::State;
use channel::outbound::delivery_view::{self, DeliveryView};
use sqlx::PgConnection;
use store::deliveries::{self, Delivery};
use store::ids::DeliveryId;

use super::Product;
use crate::http::input;
use crate::http::problem::Problem;

/// A delivery.
#[utoipa::path(get, path = "/deliveries/{id}", operation_id = "getDelivery", tag = "deliveries", params(("id" = Uuid, Path, description = "The delivery's id")), responses((status = 200, body = DeliveryView), (status = 404, description = "There is no such delivery.")))]
pub(super) async fn get(
    State(product): State<Product>,
    input::Path(id): input::Path<DeliveryId>,
) -> Result<Json<DeliveryView>, Problem> {
    let mut conn = product.pg.acquire().await?;
    let delivery = known(&mut conn, id).await?;
    Ok(Json(delivery_view::view(&mut conn, delivery).await?))
}

/// Cancels what is still to be sent of a delivery. What Twilio has stays sent.
#[utoipa::path(post, path = "/deliveries/{id}/cancel", operation_id = "cancelDelivery", tag = "deliveries", params(("id" = Uuid, Path, description = "The delivery's id")), responses((status = 200, body = DeliveryView), (status = 404, description = "There is no such delivery.")))]
pub(super) async fn cancel(
    State(product): State<Product>,
    input::Path(id): input::Path<DeliveryId>,
) -> Result<Json<DeliveryView>, Problem> {
    let mut tx = product.pg.begin().await?;
    let delivery = known(&mut tx, id).await?;
    if let Some(address_id) = delivery.address_id {
        store::addresses::lock(&mut tx, address_id).await?;
    }
    deliveries::cancel(&mut tx, id, "cancelled by the product").await?;
    let delivery = known(&mut tx, id).await?;
    let view = delivery_view::view(&mut tx, delivery).await?;
    tx.commit().await?;
    Ok(Json(view))
}

async fn known(conn: &mut PgConnection, id: DeliveryId) -> Result<Delivery, Problem> {
    deliveries::get(conn, id).await?.ok_or_else(|| Problem::not_found(format!("no delivery {id}")))
}
