//! Tables as files for a spreadsheet.

use axum::body::Body;
use http::Request;

use super::server::{Server, text};

async fn csv(server: &Server, path: &str) -> String {
    let request = Request::get(path).header("accept", "text/csv").body(Body::empty()).unwrap();
    let response = server.send(request).await;
    assert_eq!(response.headers()["content-type"], "text/csv; charset=utf-8", "{path}");
    text(response).await
}

#[tokio::test]
async fn every_table_is_also_csv() {
    let server = Server::start().await;
    for (path, columns) in [
        ("/api/v1/tasks", "process,task,name,kind,state"),
        ("/api/v1/slow", "location,function,by,polls,total_time"),
        ("/api/v1/leaks", "what,location,alive,opened"),
        ("/api/v1/survivors", "what,location,born,alive"),
        ("/api/v1/resources", "resource,kind,name,location"),
    ] {
        let accepted = csv(&server, path).await;
        assert!(accepted.starts_with(columns), "{path}: {accepted}");
        let asked = text(server.get(&format!("{path}?format=csv")).await).await;
        assert_eq!(accepted, asked, "{path}");
        assert!(accepted.lines().count() > 1, "{path}: {accepted}");
    }
}

#[tokio::test]
async fn a_name_that_looks_like_a_formula_is_text() {
    let server = Server::start().await;
    let table = csv(&server, "/api/v1/tasks?q=30").await;
    assert!(table.contains(",'=cmd|' /C calc'!A0,"), "{table}");
}
