//! Holds what routes answer against the document that describes them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

/// The document, as the server gives it.
pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(loopd_dashboard::openapi()).unwrap());

/// The document's components, in which what is not described is refused.
static STRICT: LazyLock<Value> = LazyLock::new(|| {
    let mut components = DOCUMENT["components"].clone();
    let schemas = components["schemas"].as_object_mut().unwrap();
    // What is a part of another object knows only its own fields.
    let parts: BTreeSet<String> = schemas.values().flat_map(parts_of).collect();
    for (name, schema) in schemas {
        let is_whole = schema.get("additionalProperties").is_none() && !parts.contains(name);
        if is_whole && (schema.get("properties").is_some() || schema.get("allOf").is_some()) {
            schema["unevaluatedProperties"] = json!(false);
        }
    }
    components
});

fn parts_of(schema: &Value) -> Vec<String> {
    let parts = schema["allOf"].as_array().into_iter().flatten();
    let names = parts.filter_map(|part| part["$ref"].as_str()?.rsplit('/').next());
    names.map(str::to_owned).collect()
}

/// The described path that a path is of, and its description.
pub(crate) fn route(path: &str) -> Option<(&'static str, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let like = |template: &str| {
        let (parts, wanted) = (path.split('/'), template.split('/'));
        parts.clone().count() == wanted.clone().count()
            && parts.zip(wanted).all(|(part, wanted)| wanted.starts_with('{') || part == wanted)
    };
    let mut found: Vec<_> = paths.iter().filter(|(template, _)| like(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    found.first().map(|(template, item)| (template.as_str(), *item))
}

/// Panics if an answer is not one of those that are described. What no route has answered is let through.
pub(crate) fn check(method: &str, path: &str, status: u16, content_type: &str, body: &[u8]) {
    let Some((template, item)) = route(path) else { return };
    let Some(operation) = item.get(method.to_lowercase()) else { return };
    let route = format!("{method} {template} answered {status}");
    let response = &operation["responses"][status.to_string()];
    let common = response["$ref"].as_str().and_then(|common| common.strip_prefix('#'));
    let response = common.map_or(response, |common| DOCUMENT.pointer(common).unwrap());
    assert!(response.is_object(), "{route}, which is not described");
    let contents = response["content"].as_object();
    if body.is_empty() && contents.is_none() {
        return;
    }
    let content = contents.and_then(|contents| contents.get(content_type));
    let content =
        content.unwrap_or_else(|| panic!("{route} with {content_type:?}, which is not described"));
    if content_type != "application/json" {
        return;
    }
    let value: Value = serde_json::from_slice(body).unwrap();
    if let Some(schema) = content["schema"]["$ref"].as_str() {
        validate(schema, &value, &route);
    }
}

fn validate(schema: &str, value: &Value, route: &str) {
    static VALIDATORS: LazyLock<Mutex<HashMap<String, Validator>>> = LazyLock::new(Mutex::default);
    let mut validators = VALIDATORS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let validator = validators.entry(schema.to_owned()).or_insert_with(|| {
        let schema = json!({ "$ref": schema, "components": *STRICT });
        jsonschema::draft202012::new(&schema).unwrap()
    });
    let errors: Vec<_> = validator.iter_errors(value).take(5).collect();
    let errors: Vec<_> =
        errors.iter().map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{route}, but not as {schema}: {}", errors.join("; "));
}
