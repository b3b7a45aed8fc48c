//! A router that describes itself: a route is added together with what it is, so that neither is without the other.
//!
//! [`Api`] collects axum's routes and the OpenAPI document of them. [`About`] says of one route what it takes and
//! gives; what holds of many, as refusals, is added here.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
};

use crate::error::ErrorBody;
use crate::state::AppState;
use crate::views::described::{Described, Param, ParamKind};
use crate::views::tile::{MAX_ZOOM, MIN_ZOOM};

/// What every path of the API begins with.
pub(crate) const BASE: &str = "/api/v1";

/// Schemas by their names.
type Schemas = BTreeMap<String, RefOr<Schema>>;

/// Routes, and the document of them.
pub(crate) struct Api {
    router: Router<AppState>,
    document: OpenApi,
    /// Of answers.
    schemas: Schemas,
    /// Of bodies of requests.
    bodies: Schemas,
}

impl Api {
    /// No routes yet.
    pub(crate) fn new(document: OpenApi) -> Self {
        let mut schemas = Schemas::new();
        add_schema::<ErrorBody>(&mut schemas);
        Self { router: Router::new(), document, schemas, bodies: Schemas::new() }
    }

    /// Adds what only reads.
    pub(crate) fn get<T: 'static>(
        self,
        path: &str,
        handler: impl Handler<T, AppState>,
        about: About,
    ) -> Self {
        self.add(path, HttpMethod::Get, on(MethodFilter::GET, handler), about)
    }

    /// Adds what is sent a body of at most `max_body` bytes.
    pub(crate) fn post<T: 'static>(
        self,
        path: &str,
        max_body: usize,
        handler: impl Handler<T, AppState>,
        about: About,
    ) -> Self {
        let handler = on(MethodFilter::POST, handler).layer(DefaultBodyLimit::max(max_body));
        self.add(path, HttpMethod::Post, handler, about)
    }

    /// Adds what changes a part of something, by a body of at most `max_body` bytes.
    pub(crate) fn patch<T: 'static>(
        self,
        path: &str,
        max_body: usize,
        handler: impl Handler<T, AppState>,
        about: About,
    ) -> Self {
        let handler = on(MethodFilter::PATCH, handler).layer(DefaultBodyLimit::max(max_body));
        self.add(path, HttpMethod::Patch, handler, about)
    }

    /// Adds what removes something.
    pub(crate) fn delete<T: 'static>(
        self,
        path: &str,
        handler: impl Handler<T, AppState>,
        about: About,
    ) -> Self {
        self.add(path, HttpMethod::Delete, on(MethodFilter::DELETE, handler), about)
    }

    fn add(
        mut self,
        path: &str,
        method: HttpMethod,
        handler: MethodRouter<AppState>,
        about: About,
    ) -> Self {
        self.schemas.extend(about.schemas.clone());
        self.bodies.extend(about.bodies.clone());
        let operation = about.operation(path, &method);
        self.document.paths.add_path_operation(format!("{BASE}{path}"), vec![method], operation);
        self.router = self.router.route(path, handler);
        self
    }

    /// The routes, below [`BASE`].
    pub(crate) fn into_router(self) -> Router<AppState> {
        self.router
    }

    /// What they are.
    pub(crate) fn into_document(mut self) -> OpenApi {
        let components = self.document.components.get_or_insert_default();
        components.schemas.extend(self.schemas);
        for schema in components.schemas.values_mut() {
            require_nullable(schema);
        }
        let refusals =
            REFUSALS.map(|(status, about)| (status.to_string(), refusal(status, about).into()));
        components.responses.extend(refusals);
        for (name, mut schema) in self.bodies {
            if let RefOr::T(Schema::Object(object)) = &mut schema {
                object.properties.values_mut().for_each(lift_description);
            }
            components.schemas.entry(name).or_insert(schema);
        }
        self.document
    }
}

/// What one route takes and gives.
#[derive(Default)]
pub(crate) struct About {
    tag: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    params: Vec<Param>,
    /// Whether nothing may be found.
    may_miss: bool,
    body: Option<RefOr<Schema>>,
    contents: Vec<(&'static str, RefOr<Schema>)>,
    headers: Vec<(&'static str, &'static str)>,
    refusals: Vec<(u16, &'static str)>,
    schemas: Schemas,
    bodies: Schemas,
}

impl About {
    /// In which group of routes, and in a few words what for.
    pub(crate) fn new(tag: &'static str, summary: &'static str) -> Self {
        Self { tag, summary, ..Self::default() }
    }

    /// What else is to be known.
    pub(crate) fn more(mut self, description: &'static str) -> Self {
        self.description = Some(description);
        self
    }

    /// The parameters of this filter.
    pub(crate) fn filter<F: Described>(self) -> Self {
        self.params(F::params())
    }

    /// These parameters.
    pub(crate) fn params(mut self, params: Vec<Param>) -> Self {
        self.may_miss |= params.iter().any(|param| matches!(param.kind, ParamKind::Process));
        self.params.extend(params);
        self
    }

    /// A body of this shape.
    pub(crate) fn body<B: ToSchema>(mut self) -> Self {
        add_schema::<B>(&mut self.bodies);
        self.body = Some(schema_ref::<B>());
        self
    }

    /// Answers with JSON of this shape.
    pub(crate) fn json<A: ToSchema>(mut self) -> Self {
        add_schema::<A>(&mut self.schemas);
        self.contents.push(("application/json", schema_ref::<A>()));
        self
    }

    /// Answers with JSON that nothing more is said of.
    pub(crate) fn any_json(self) -> Self {
        self.content("application/json", ObjectBuilder::new().build())
    }

    /// Answers with a stream of events, as described.
    pub(crate) fn events(self) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String);
        self.content("text/event-stream", text.build())
    }

    /// This shape is a part of what is described.
    pub(crate) fn part<P: ToSchema>(mut self) -> Self {
        add_schema::<P>(&mut self.schemas);
        self
    }

    /// Also answers with comma-separated values, if `format` or else `Accept` asks for them.
    pub(crate) fn or_csv(mut self) -> Self {
        self.params.push(Param {
            name: "format",
            about: "How the table is wanted; if not given, as `Accept` says, else JSON.",
            kind: ParamKind::Words { words: vec!["json", "csv"], default: None },
            is_required: false,
        });
        let about = "RFC 4180, with a line of column names. Cells that a spreadsheet would run are made text.";
        let text = ObjectBuilder::new().schema_type(Type::String).description(Some(about));
        self.content("text/csv; charset=utf-8", text.build())
    }

    /// Answers with bytes.
    pub(crate) fn bytes(self, media_type: &'static str, about: &'static str) -> Self {
        let bytes = ObjectBuilder::new().schema_type(Type::String).description(Some(about));
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        self.content(media_type, bytes.format(Some(format)).build())
    }

    fn content(mut self, media_type: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.contents.push((media_type, schema.into()));
        self
    }

    /// Carries this header.
    pub(crate) fn header(mut self, name: &'static str, about: &'static str) -> Self {
        self.headers.push((name, about));
        self
    }

    /// May be refused so, beyond what holds for every route.
    pub(crate) fn refused(mut self, status: u16, about: &'static str) -> Self {
        self.refusals.push((status, about));
        self
    }

    fn operation(self, path: &str, method: &HttpMethod) -> Operation {
        let in_path = path_params(path);
        let may_miss = self.may_miss || !in_path.is_empty();
        let mut operation = OperationBuilder::new()
            .tag(self.tag)
            .operation_id(Some(operation_id(path, method)))
            .summary(Some(self.summary))
            .description(self.description);
        for param in in_path.iter().chain(&self.params) {
            operation =
                operation.parameter(parameter(param, in_path.iter().any(|p| p.name == param.name)));
        }
        let mut answer = ResponseBuilder::new().description("The answer.");
        for (media_type, schema) in self.contents {
            answer = answer.content(media_type, ContentBuilder::new().schema(Some(schema)).build());
        }
        for (name, about) in self.headers {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let header = HeaderBuilder::new().schema(Some(text.build())).description(Some(about));
            answer = answer.header(name, header.build());
        }
        operation = operation.response("200", answer.build());

        let mut responses: Vec<_> = ALWAYS.to_vec();
        if may_miss {
            responses.push(404);
        }
        if let Some(schema) = self.body {
            responses.extend([413, 415, 422]);
            let content = ContentBuilder::new().schema(Some(schema)).build();
            let body = RequestBodyBuilder::new().content("application/json", content);
            operation = operation.request_body(Some(body.required(Some(Required::True)).build()));
        }
        responses.retain(|status| self.refusals.iter().all(|(own, _)| own != status));
        for status in responses {
            let common = Ref::from_response_name(status.to_string());
            operation = operation.response(status.to_string(), RefOr::Ref::<Response>(common));
        }
        for (status, about) in self.refusals {
            operation = operation.response(status.to_string(), refusal(status, about));
        }
        operation.build()
    }
}

/// What may happen to every request: a parameter that nobody knows, no token, another site, a store that fails or would
/// take too long.
const ALWAYS: [u16; 5] = [400, 401, 403, 500, 503];

/// What it means if a request is refused, but where a route says more.
const REFUSALS: [(u16, &str); 9] = [
    (400, "A parameter, a part of the path or the body makes no sense."),
    (401, "The server wants a token, and this is not it."),
    (403, "The request comes from another site, or names another host."),
    (404, "There is no such thing, or it is no longer kept, or nothing was recorded yet."),
    (413, "The body is too long."),
    (415, "The body is not `application/json`."),
    (422, "The body is JSON, but not of the right shape."),
    (500, "The store could not be read."),
    (
        503,
        "To read it would take more than 30 s, or too much is asked for at once. Less, such as a shorter range, is answered.",
    ),
];

fn refusal(status: u16, about: &str) -> Response {
    let response = ResponseBuilder::new().description(about);
    // Not Modified is no error.
    if status == 304 {
        return response.build();
    }
    let content = ContentBuilder::new().schema(Some(schema_ref::<ErrorBody>())).build();
    response.content("application/json", content).build()
}

/// `get_processes_process_dumps`.
fn operation_id(path: &str, method: &HttpMethod) -> String {
    let method = match method {
        HttpMethod::Post => "post",
        HttpMethod::Put => "put",
        HttpMethod::Patch => "patch",
        HttpMethod::Delete => "delete",
        _ => "get",
    };
    let words = path.split(['/', '{', '}', '.']).filter(|word| !word.is_empty());
    std::iter::once(method).chain(words).collect::<Vec<_>>().join("_")
}

/// What a name in a path stands for. A test finds one that is missing here.
fn path_params(path: &str) -> Vec<Param> {
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .filter_map(|name| PATH_PARAMS.iter().find(|known| known.0 == name))
        .map(Param::from)
        .collect()
}

static PATH_PARAMS: [(&str, ParamKind, &str); 7] = [
    ("process", ParamKind::Process, "The process, by its number in `/api/v1/processes`."),
    ("task", ParamKind::Id, "The task, by its id within the process."),
    ("resource", ParamKind::Id, "The resource, by its id within the process."),
    (
        "zoom",
        ParamKind::Number { min: MIN_ZOOM as u64, max: MAX_ZOOM as u64, default: None },
        "The binary logarithm of the tile's length in nanoseconds.",
    ),
    (
        "tile",
        ParamKind::Process,
        "The tile's number: how many tiles of its zoom come before it, from 1970 on.",
    ),
    ("note", ParamKind::Process, "The note, by its number."),
    ("dump", ParamKind::Text, "The dump, by its number, or the `latest` that has ended."),
];

impl From<&(&'static str, ParamKind, &'static str)> for Param {
    fn from((name, kind, about): &(&'static str, ParamKind, &'static str)) -> Self {
        Self { name, kind: kind.clone(), about, is_required: true }
    }
}

fn parameter(param: &Param, is_in_path: bool) -> Parameter {
    let place = if is_in_path { ParameterIn::Path } else { ParameterIn::Query };
    let required = if param.is_required { Required::True } else { Required::False };
    let parameter = Parameter::builder().name(param.name).parameter_in(place).required(required);
    parameter.description(Some(param.about)).schema(Some(values(&param.kind))).build()
}

fn values(kind: &ParamKind) -> Schema {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let integer = || ObjectBuilder::new().schema_type(Type::Integer);
    match kind {
        ParamKind::Text => text(),
        ParamKind::Process => integer().format(Some(SchemaFormat::KnownFormat(KnownFormat::Int64))),
        ParamKind::Id => text().pattern(Some("^[0-9]{1,20}$")),
        ParamKind::Instant => {
            let about = "Decimal nanoseconds since 1970 (UTC).";
            text().pattern(Some("^-?[0-9]{1,19}$")).description(Some(about))
        }
        ParamKind::Flag => text().enum_values(Some(["0", "1"])).default(Some("0".into())),
        ParamKind::Number { min, max, default } => {
            let bounded = integer().minimum(Some(*min)).maximum(Some(*max));
            bounded.default(default.map(Value::from))
        }
        ParamKind::Words { words, default } => {
            text().enum_values(Some(words.clone())).default(default.map(Value::from))
        }
    }
    .into()
}

fn schema_ref<S: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(S::name()).into()
}

fn add_schema<S: ToSchema>(schemas: &mut Schemas) {
    let mut parts = Vec::new();
    S::schemas(&mut parts);
    schemas.extend(parts);
    schemas.insert(S::name().into_owned(), S::schema());
}

/// A field that may be null is always there: what is left out when it says nothing is marked as not nullable
/// instead. The derive cannot know that, and calls every `Option` optional.
fn require_nullable(schema: &mut RefOr<Schema>) {
    match schema {
        RefOr::T(Schema::Object(object)) => {
            let nullable = object.properties.iter().filter(|(_, property)| is_nullable(property));
            let nullable: Vec<_> = nullable.map(|(name, _)| name.clone()).collect();
            object.required.extend(nullable);
            object.properties.values_mut().for_each(lift_description);
        }
        RefOr::T(Schema::AllOf(all)) => all.items.iter_mut().for_each(require_nullable),
        _ => {}
    }
}

/// What a field says of itself belongs to it, not to that which it is if it is not null.
fn lift_description(property: &mut RefOr<Schema>) {
    let RefOr::T(Schema::OneOf(one)) = property else { return };
    for item in &mut one.items {
        if let RefOr::Ref(reference) = item
            && one.description.is_none()
            && !reference.description.is_empty()
        {
            one.description = Some(std::mem::take(&mut reference.description));
        }
    }
}

fn is_nullable(property: &RefOr<Schema>) -> bool {
    let has_null = |schema_type: &utoipa::openapi::schema::SchemaType| match schema_type {
        utoipa::openapi::schema::SchemaType::Array(types) => types.contains(&Type::Null),
        utoipa::openapi::schema::SchemaType::Type(kind) => *kind == Type::Null,
        utoipa::openapi::schema::SchemaType::AnyValue => false,
    };
    match property {
        RefOr::T(Schema::Object(object)) => has_null(&object.schema_type),
        RefOr::T(Schema::Array(array)) => has_null(&array.schema_type),
        RefOr::T(Schema::OneOf(one)) => one.items.iter().any(is_nullable),
        _ => false,
    }
}
