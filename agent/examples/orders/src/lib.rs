//! A small order service: an HTTP API, a background job or two, and a load generator that keeps it
//! busy. It has the bugs that such services have.
//!
//! It knows nothing of loopd but the two lines that link the agent (in [`run`]), the one word that
//! tracks a socket (in `warehouse.rs`), and the `use` lines that tell who waits for a parcel (in
//! `shipping.rs`) and who keeps the scale (in `packing.rs`).

mod api;
mod catalog;
mod invoices;
mod load;
mod packing;
mod payments;
mod shipping;
mod warehouse;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::runtime::Builder;

/// Everything a request handler can reach.
struct Shop {
    catalog: catalog::Catalog,
    invoices: invoices::Invoices,
    packing: packing::Packing,
    payments: payments::Gateway,
    shipping: shipping::Shipping,
    warehouse: warehouse::Warehouse,
}

/// Serves and loads the shop on two runtimes until `stop` resolves.
///
/// The agent takes its configuration from `LOOPD_*` variables.
///
/// # Errors
/// If the agent's configuration is wrong, or no loopback port can be had.
pub fn run(stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let agent = loopd_agent::Config::from_env().app("orders").start().context("start the agent")?;
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(4).enable_all();
    let runtime = agent.attach("api", builder).build().context("start the api runtime")?;
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    let load_runtime = agent.attach("load", builder).build().context("start the load runtime")?;

    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("bind the order api")?;
        let address = listener.local_addr()?;
        let shop = open_shop().await?;
        tokio::spawn(catalog::reprice_now_and_then(shop.clone()));
        tokio::spawn(axum::serve(listener, api::router(shop)).into_future());
        load_runtime.spawn(load::customers(address));
        stop.await;
        anyhow::Ok(())
    })?;
    load_runtime.shutdown_timeout(Duration::from_secs(1));
    runtime.shutdown_timeout(Duration::from_secs(1));
    agent.shutdown(Duration::from_secs(2));
    Ok(())
}

async fn open_shop() -> anyhow::Result<Arc<Shop>> {
    let warehouse_address: SocketAddr = warehouse::open_doors().await?;
    Ok(Arc::new(Shop {
        catalog: catalog::Catalog::new(),
        invoices: invoices::Invoices::new()?,
        packing: packing::Packing::open(),
        payments: payments::Gateway::new(),
        shipping: shipping::Shipping::default(),
        warehouse: warehouse::Warehouse::new(warehouse_address),
    }))
}
