//! The document that describes the HTTP API: `GET /api/v1/openapi.json`, and the committed `openapi.json`, from
//! which the page's types are generated.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};

use crate::error::ApiError;
use crate::routes::{Pairs, api};
use crate::views::params::Params;

const ABOUT: &str = "What `loopd serve` has recorded, as its own page reads it.\n\n\
    Instants are decimal text of nanoseconds since 1970 (UTC) and ids are decimal text, since a browser's numbers \
    end at 2^53; lengths are numbers of nanoseconds. A field that may be null is always there; one that is not \
    required is left out when it says nothing. Unknown parameters are refused by name. An answer that is no success \
    has a body of `{\"error\": \"…\"}`: a sentence that says what was wrong and what to do. JSON and CSV of a kilobyte and \
    more are compressed with gzip for those who accept it.\n\n\
    Within `/api/v1`, routes, parameters, fields and words are added but never removed or given another meaning, so \
    that a reader should ignore fields and expect words that it does not know.";

/// The HTTP API in OpenAPI 3.1, as indented JSON with a line feed at its end.
pub fn openapi() -> &'static str {
    &TEXT
}

static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(|| api().into_document());

static TEXT: LazyLock<String> = LazyLock::new(|| {
    // Plain values with text for keys: there is nothing in them that could not be JSON.
    DOCUMENT.to_pretty_json().map(|text| text + "\n").unwrap_or_default()
});

/// What is to be said of all routes.
pub(crate) fn head() -> OpenApi {
    let license = License::builder().name("MIT OR Apache-2.0").build();
    let info = InfoBuilder::new().title("loopd").version("1").description(Some(ABOUT));
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
        "Only where the server was started with a token. A browser that has opened `/?token=…` once sends it as a \
         cookie.",
    ));
    let components =
        ComponentsBuilder::new().security_scheme("token", SecurityScheme::Http(token.build()));
    OpenApiBuilder::new()
        .info(info.license(Some(license)).build())
        .components(Some(components.build()))
        .security(Some([
            SecurityRequirement::default(),
            SecurityRequirement::new("token", [""; 0]),
        ]))
        .build()
}

pub(crate) async fn show(pairs: Pairs) -> Result<Response, ApiError> {
    Params::new(pairs.0, &[])?;
    Ok(([(CONTENT_TYPE, "application/json")], openapi()).into_response())
}

/// The methods that a path takes, as a sentence has them: `GET and PATCH`. `None` where no route is.
pub(crate) fn methods(path: &str) -> Option<String> {
    let (_, item) = DOCUMENT.paths.paths.iter().find(|(template, _)| is_like(path, template))?;
    let methods = [
        ("GET", &item.get),
        ("POST", &item.post),
        ("PUT", &item.put),
        ("PATCH", &item.patch),
        ("DELETE", &item.delete),
    ];
    let methods = methods.into_iter().filter(|(_, operation)| operation.is_some());
    let methods: Vec<_> = methods.map(|(name, _)| name).collect();
    let (last, others) = methods.split_last()?;
    Some(match others {
        [] => (*last).to_owned(),
        others => format!("{} and {last}", others.join(", ")),
    })
}

fn is_like(path: &str, template: &str) -> bool {
    let (parts, wanted) = (path.split('/'), template.split('/'));
    parts.clone().count() == wanted.clone().count()
        && parts.zip(wanted).all(|(part, wanted)| wanted.starts_with('{') || part == wanted)
}
