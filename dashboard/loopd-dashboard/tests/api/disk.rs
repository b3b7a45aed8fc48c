//! What the page Sources shows of the disk and of clocks.

use serde_json::json;

use super::server::Server;

#[tokio::test]
async fn the_disk_is_accounted_for_by_kind_and_by_process() {
    let server = Server::start().await;
    let disk = server.json("/api/v1/disk").await;
    let kinds = disk["kinds"].as_array().unwrap();
    let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["polls", "tasks", "tiles", "rollups", "rows"]);
    let bytes = |value: &serde_json::Value| value.as_u64().unwrap();
    let used: u64 = kinds.iter().map(|kind| bytes(&kind["bytes"])).sum();
    assert!(used > 0 && used + bytes(&disk["free_bytes"]) >= bytes(&disk["file_bytes"]), "{disk}");
    assert_eq!(disk["processes"][0]["app"], "orders");
    assert_eq!(disk["processes"][0]["polls"], kinds[0]["bytes"], "there is only one");
    assert_eq!(disk["more_processes"], 0);
    assert_eq!(disk["retain_bytes"], 1 << 30);
    assert_eq!(disk["oldest_at"], "1795356000999000000");
    // The recording is old: nothing comes now.
    assert_eq!((&disk["poll_bytes_per_s"], &disk["full_in"]), (&json!(0.0), &json!(null)));
    let writer = json!({"reason": null, "since": null, "commits": 0, "queued_bytes": 0});
    assert_eq!(disk["writer"], writer);
}

#[tokio::test]
async fn an_empty_store_takes_rows_alone() {
    let server = Server::empty().await;
    let disk = server.json("/api/v1/disk").await;
    assert_eq!(disk["processes"], json!([]));
    assert_eq!(disk["oldest_at"], json!(null));
}

#[tokio::test]
async fn clocks_are_known_only_where_programs_send() {
    let server = Server::start().await;
    let clock = server.json("/api/v1/processes/1/clock").await;
    assert_eq!(clock, json!({"process": 1, "step": null, "readings": []}));
    assert_eq!(server.get("/api/v1/processes/9/clock").await.status(), 404);
    assert_eq!(server.get("/api/v1/processes/one/clock").await.status(), 400);
}
