//! The HTTP API.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::Shop;

/// What a customer sends.
#[derive(Deserialize)]
struct NewOrder {
    item: u32,
    quantity: u32,
    #[serde(default)]
    express: bool,
}

/// What a customer gets.
#[derive(Serialize)]
struct Order {
    id: u64,
    price_cents: u64,
}

pub(crate) fn router(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/items/{id}", get(item))
        .route("/orders", post(order))
        .route("/invoices/{month}", get(invoice))
        .with_state(shop)
}

async fn item(State(shop): State<Arc<Shop>>, Path(id): Path<u32>) -> Json<u64> {
    Json(shop.catalog.price(id))
}

async fn order(
    State(shop): State<Arc<Shop>>,
    Json(order): Json<NewOrder>,
) -> Result<Json<Order>, StatusCode> {
    let price_cents = shop.catalog.price(order.item) * u64::from(order.quantity);
    let id = shop.payments.charge(price_cents).await;
    if order.express {
        shop.warehouse.reserve(id).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    }
    shop.packing.pack(id);
    shop.shipping.track(id);
    Ok(Json(Order { id, price_cents }))
}

async fn invoice(
    State(shop): State<Arc<Shop>>,
    Path(month): Path<u32>,
) -> Result<String, StatusCode> {
    shop.invoices.export(month).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}
