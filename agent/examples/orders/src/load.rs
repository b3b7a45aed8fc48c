//! Customers, on a runtime of their own so that they never stand in the shop's way.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::{Instant, interval};

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// Express orders slow down after this, so that a shop left open for a day keeps some descriptors.
const RUSH: Duration = Duration::from_secs(300);

/// Sends every kind of request for ever.
pub(crate) async fn customers(shop: SocketAddr) {
    let client: HttpClient = Client::builder(TokioExecutor::new()).build_http();
    let base = format!("http://{shop}");
    for browser in 0..8 {
        tokio::spawn(browse(client.clone(), base.clone(), browser));
    }
    tokio::spawn(buy(client.clone(), base.clone()));
    tokio::spawn(buy_express(client.clone(), base.clone()));
    tokio::spawn(ask_for_invoices(client, base));
}

async fn browse(client: HttpClient, base: String, browser: u32) {
    let mut interval = interval(Duration::from_millis(25));
    for page in 0u32.. {
        interval.tick().await;
        get(&client, format!("{base}/items/{}", (page * 7 + browser * 1_009) % 20_000)).await;
    }
}

async fn buy(client: HttpClient, base: String) {
    let mut interval = interval(Duration::from_millis(80));
    for item in 0u32.. {
        interval.tick().await;
        let order = format!(r#"{{"item":{},"quantity":2}}"#, item % 20_000);
        post(&client, format!("{base}/orders"), order).await;
    }
}

async fn buy_express(client: HttpClient, base: String) {
    let opened_at = Instant::now();
    let mut rush = interval(Duration::from_millis(1_500));
    let mut calm = interval(Duration::from_secs(60));
    loop {
        if opened_at.elapsed() < RUSH {
            rush.tick().await
        } else {
            calm.tick().await
        };
        let order = r#"{"item":7,"quantity":1,"express":true}"#.to_string();
        post(&client, format!("{base}/orders"), order).await;
    }
}

async fn ask_for_invoices(client: HttpClient, base: String) {
    let mut interval = interval(Duration::from_secs(2));
    for month in 0u32.. {
        interval.tick().await;
        get(&client, format!("{base}/invoices/{}", month % 12)).await;
    }
}

async fn get(client: &HttpClient, uri: String) {
    if let Ok(uri) = uri.parse()
        && let Ok(response) = client.get(uri).await
    {
        // Read to the end, so that the connection can be used again.
        let _ = response.into_body().collect().await;
    }
}

async fn post(client: &HttpClient, uri: String, body: String) {
    let request = axum::http::Request::post(uri)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)));
    if let Ok(request) = request
        && let Ok(response) = client.request(request).await
    {
        let _ = response.into_body().collect().await;
    }
}
