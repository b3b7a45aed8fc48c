//! What the page Query rests on: its examples, and where a statement is wrong.

use http::StatusCode;
use serde_json::{Value, json};

use crate::server::Server;

/// The examples that the page offers.
const EXAMPLES: &str = include_str!("../../../web/src/query/examples.json");

#[tokio::test]
async fn every_example_of_the_page_has_an_answer() {
    let server = Server::start().await;
    let examples: Vec<Value> = serde_json::from_str(EXAMPLES).unwrap();
    assert!(!examples.is_empty());
    for example in examples {
        let sql = example["sql"].as_str().unwrap().replace(":process", "1");
        let (status, answer) = server.query(&json!({ "sql": sql }).to_string()).await;
        assert_eq!(status, StatusCode::OK, "{}: {answer}", example["name"]);
        assert!(!answer["columns"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_statement_is_told_where_it_is_wrong() {
    let server = Server::start().await;
    let place = async |sql: &str| {
        let (status, answer) = server.query(&json!({ "sql": sql }).to_string()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{sql}: {answer}");
        (answer["at"]["line"].as_u64(), answer["at"]["column"].as_u64())
    };
    assert_eq!(place("SELECT nope FROM tasks").await, (Some(1), Some(8)));
    assert_eq!(place("SELECT 'é€',\n  nope\nFROM tasks").await, (Some(2), Some(3)));
    assert_eq!(place("FORM tasks").await, (Some(1), Some(1)));
    assert_eq!(place("SELECT 1; SELECT 2").await, (None, None), "nothing in it is wrong by itself");
}
