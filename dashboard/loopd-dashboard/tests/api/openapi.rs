//! The document that describes the API says what the routes do: all of it, and nothing else.
//!
//! That real answers have the described shape is checked of every answer in these tests, by [`Server::send`].

use std::path::Path;

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::Value;

use super::contract::DOCUMENT;
use super::server::{Server, text};

/// Set to `write`, it has the committed document written anew.
const RENEW: &str = "LOOPD_CODEGEN";

#[test]
fn the_committed_document_is_that_of_the_server() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    if std::env::var(RENEW).is_ok_and(|word| word == "write") {
        std::fs::write(&path, loopd_dashboard::openapi()).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == loopd_dashboard::openapi(),
        "{} is not what the server says of itself; `cargo xtask codegen` writes it anew",
        path.display()
    );
}

/// One documented method of one path.
struct Operation {
    method: String,
    path: &'static str,
    about: &'static Value,
}

fn operations() -> Vec<Operation> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, about)| Operation { method: method.to_uppercase(), path, about })
    });
    operations.collect()
}

impl Operation {
    fn params(&self, place: &str) -> Vec<&'static Value> {
        let params = self.about["parameters"].as_array().into_iter().flatten();
        params.filter(|param| param["in"] == place).collect()
    }

    /// The sentence of a refusal, or `None` if it was not one for a parameter.
    async fn refusal(&self, server: &Server, given: Option<(&str, &str)>) -> Option<String> {
        let path: Vec<_> = self
            .path
            .split('/')
            .map(|part| if part.starts_with('{') { "1" } else { part })
            .collect();
        let needed = self.params("query").into_iter().filter(|param| param["required"] == true);
        let needed = needed.map(|param| (param["name"].as_str().unwrap(), sample(param)));
        let mut pairs: Vec<(&str, String)> = needed.collect();
        if let Some((name, value)) = given {
            pairs.retain(|(known, _)| *known != name);
            pairs.push((name, value.to_owned()));
        }
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let uri = format!("{}?{}", path.join("/"), pairs.join("&"));
        let request = Request::builder().method(self.method.as_str()).uri(&uri);
        let request = request.header("content-type", "application/json");
        let response = server.send(request.body(Body::from("{}")).unwrap()).await;
        if response.status() != StatusCode::BAD_REQUEST {
            return None;
        }
        let body: Value = serde_json::from_str(&text(response).await).unwrap();
        Some(body["error"].as_str().unwrap().to_owned())
    }
}

/// A value that a parameter takes.
fn sample(param: &Value) -> String {
    match &param["schema"] {
        schema if schema["type"] == "integer" => {
            schema["minimum"].as_u64().unwrap_or(1).to_string()
        }
        schema if schema["pattern"].is_string() => "1".into(),
        _ => "rss_bytes".into(),
    }
}

#[tokio::test]
async fn every_parameter_is_described_and_every_described_one_is_taken() {
    let server = Server::start().await;
    for operation in operations() {
        let named = format!("{} {}", operation.method, operation.path);
        let described = operation.params("query");
        let mut described: Vec<_> =
            described.iter().map(|param| param["name"].as_str().unwrap()).collect();
        described.sort_unstable();
        let refusal = operation.refusal(&server, Some(("nobody-knows-this", "1"))).await;
        let refusal = refusal.unwrap_or_else(|| panic!("{named} takes any parameter"));
        let (_, taken) = refusal.rsplit_once("there are: ").expect(&refusal);
        let mut taken: Vec<_> = taken.split(", ").filter(|name| *name != "none").collect();
        taken.sort_unstable();
        assert_eq!(described, taken, "{named}");

        let templates = operation.path.split('/').filter(|part| part.starts_with('{')).count();
        assert_eq!(operation.params("path").len(), templates, "{named}");
    }
}

#[tokio::test]
async fn bounds_and_words_are_those_that_are_described() {
    let server = Server::start().await;
    for operation in operations() {
        for param in operation.params("query") {
            let (name, schema) = (param["name"].as_str().unwrap(), &param["schema"]);
            let named = format!("{name} of {} {}", operation.method, operation.path);
            let refusal = async |value: &str| operation.refusal(&server, Some((name, value))).await;
            let refused = async |value: &str| {
                refusal(value).await.unwrap_or_else(|| panic!("{named} is {value}"))
            };

            if let Some(words) = schema["enum"].as_array() {
                let words: Vec<_> = words.iter().map(|word| word.as_str().unwrap()).collect();
                let sentence = refused("nobody-knows-this").await;
                assert!(
                    sentence.contains(&format!("must be one of {},", words.join(", "))),
                    "{named}: {sentence}"
                );
                for word in words {
                    let sentence = refusal(word).await.unwrap_or_default();
                    assert!(!sentence.contains("must be one of"), "{named}: {sentence}");
                }
            } else if let (Some(min), Some(max)) =
                (schema["minimum"].as_u64(), schema["maximum"].as_u64())
            {
                let bounds = format!("must be from {min} to {max}");
                let too_much = refused(&(max + 1).to_string()).await;
                assert!(too_much.contains(&bounds), "{named}: {too_much}");
                if min > 0 {
                    let too_little = refused(&(min - 1).to_string()).await;
                    assert!(too_little.contains(&bounds), "{named}: {too_little}");
                }
                for bound in [min, max] {
                    let sentence = refusal(&bound.to_string()).await.unwrap_or_default();
                    assert!(!sentence.contains("must be from"), "{named}: {sentence}");
                }
            } else if schema["type"] == "integer" || schema["pattern"].is_string() {
                refused("noon").await;
            }
            if param["required"] == true {
                refused("").await;
            }
        }
    }
}

#[tokio::test]
async fn a_path_takes_the_described_methods_and_names_them_to_others() {
    let server = Server::empty().await;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let described: Vec<_> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let path = path.replace(['{', '}'], "");
        for method in ["GET", "POST", "PATCH", "PUT", "DELETE"] {
            let request = Request::builder().method(method).uri(&path).body(Body::empty()).unwrap();
            let response = server.send(request).await;
            let is_refused = response.status() == StatusCode::METHOD_NOT_ALLOWED;
            assert_eq!(
                is_refused,
                !described.iter().any(|known| known == method),
                "{method} {path}"
            );
            if is_refused {
                let sentence = text(response).await;
                assert!(described.iter().all(|known| sentence.contains(known)), "{sentence}");
            }
        }
    }
}

#[tokio::test]
async fn it_is_served_as_it_is_committed() {
    let server = Server::empty().await;
    let response = server.get("/api/v1/openapi.json").await;
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(text(response).await, loopd_dashboard::openapi());
    assert_eq!(
        DOCUMENT["openapi"].as_str().unwrap().split('.').take(2).collect::<Vec<_>>(),
        ["3", "1"]
    );
}

#[test]
fn every_reference_leads_somewhere_and_every_field_says_what_it_means() {
    let mut references = Vec::new();
    collect_references(&DOCUMENT, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
    }
    for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string() || schema["allOf"].is_array(), "{name}");
        for (field, about) in schema["properties"].as_object().into_iter().flatten() {
            let is_said = about["description"].is_string() || about["$ref"].is_string();
            assert!(is_said, "{name}.{field}: {about}");
        }
    }
    for operation in operations() {
        assert!(operation.about["summary"].is_string(), "{}", operation.path);
    }
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str));
            fields.values().for_each(|value| collect_references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}
