//! Which path gives what. Handlers only read parameters, ask a view, and choose JSON or CSV.

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, OriginalUri, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::csv::Csv;
use crate::error::ApiError;
use crate::state::AppState;
use crate::views::compare::CompareFilter;
use crate::views::findings::FindingFilter;
use crate::views::leaks::LeaksView;
use crate::views::marks::MarkFilter;
use crate::views::metrics::{MetricFilter, MetricsView};
use crate::views::overview::OverviewView;
use crate::views::params::Params;
use crate::views::process::ProcessesView;
use crate::views::query::{QueryRequest, SchemaView};
use crate::views::resources::{ResourceFilter, ResourceView};
use crate::views::slow::SlowFilter;
use crate::views::stacks::{StackFilter, StacksView};
use crate::views::status::StatusView;
use crate::views::survivors::SurvivorFilter;
use crate::views::task::TaskView;
use crate::views::task_kin::TaskKinView;
use crate::views::task_life::{LifeFilter, TaskLifeView};
use crate::views::tasks::TaskFilter;
use crate::views::timeline::{TimelineFilter, TimelineView};
use crate::views::waits::WaitFilter;
use crate::views::{self, losses::LossesView};
use crate::{assets, clock, dumps, headers, live, mutes, settings};

/// A query is text that a person wrote.
const MAX_BODY: usize = 256 * 1024;

pub(crate) type Pairs = Query<Vec<(String, String)>>;
pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

/// Every route of the dashboard and its API.
pub fn router(state: AppState) -> Router {
    let api = Router::new()
        .route("/status", get(status))
        .route("/processes", get(processes))
        .route("/processes/{process}/agent", get(settings::agent))
        .route("/processes/{process}/findings", get(findings))
        .route(
            "/processes/{process}/findings/mute",
            post(mutes::mute).layer(DefaultBodyLimit::max(settings::MAX_BODY)),
        )
        .route(
            "/processes/{process}/settings",
            get(settings::of_process)
                .patch(settings::change_process)
                .layer(DefaultBodyLimit::max(settings::MAX_BODY)),
        )
        .route(
            "/processes/{process}/dump",
            post(dumps::take).layer(DefaultBodyLimit::max(settings::MAX_BODY)),
        )
        .route("/processes/{process}/dumps", get(dumps::list))
        .route("/processes/{process}/dumps/{dump}", get(dumps::show))
        .route(
            "/settings",
            get(settings::common)
                .patch(settings::change_common)
                .layer(DefaultBodyLimit::max(settings::MAX_BODY)),
        )
        .route("/overview", get(overview))
        .route("/compare", get(compare))
        .route("/timeline", get(timeline))
        .route("/tasks", get(tasks))
        .route("/tasks/{process}/{task}", get(task))
        .route("/tasks/{process}/{task}/life", get(task_life))
        .route("/tasks/{process}/{task}/kin", get(task_kin))
        .route("/slow", get(slow))
        .route("/stacks", get(stacks))
        .route("/leaks", get(leaks))
        .route("/survivors", get(survivors))
        .route("/resources", get(resources))
        .route("/resources/{process}/{resource}", get(resource))
        .route("/waits", get(waits))
        .route("/marks", get(marks))
        .route("/metrics", get(metrics))
        .route("/losses", get(losses))
        .route("/query", post(query).layer(DefaultBodyLimit::max(MAX_BODY)))
        .route("/schema", get(schema))
        .route("/live", get(follow))
        .method_not_allowed_fallback(wrong_method);
    Router::new()
        .nest("/api/v1", api)
        .route("/api", get(no_such_route))
        .route("/api/{*rest}", get(no_such_route).fallback(no_such_route))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(assets::serve)
        .layer(middleware::from_fn(headers::add))
        .with_state(state)
}

async fn no_such_route(OriginalUri(uri): OriginalUri) -> ApiError {
    let sentence = format!("there is no {} here; the README lists the routes", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, sentence)
}

async fn wrong_method(OriginalUri(uri): OriginalUri) -> ApiError {
    let wanted = match uri.path() {
        path if ["/query", "/dump", "/mute"].iter().any(|end| path.ends_with(end)) => "POST",
        path if path.ends_with("/settings") => "GET and PATCH",
        _ => "GET",
    };
    let sentence = format!("{} takes only {wanted}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}

async fn ready(State(state): State<AppState>) -> Response {
    match (state.status)().unwritable {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason + "\n").into_response(),
    }
}

async fn status(State(state): State<AppState>, pairs: Pairs) -> Answer<StatusView> {
    Params::new(pairs.0, &[])?;
    let status = (state.status)();
    Ok(Json(views::status::status(&state.reader, &state.info, status, clock::now()).await?))
}

async fn processes(State(state): State<AppState>, pairs: Pairs) -> Answer<ProcessesView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(views::process::processes(&state.reader).await?))
}

async fn overview(State(state): State<AppState>, pairs: Pairs) -> Answer<OverviewView> {
    let params = Params::new(pairs.0, &["process"])?;
    Ok(Json(views::overview::overview(&state.reader, params.parsed("process")?).await?))
}

async fn timeline(State(state): State<AppState>, pairs: Pairs) -> Answer<TimelineView> {
    let filter = TimelineFilter::parse(&Params::new(pairs.0, &TimelineFilter::PARAMS)?)?;
    Ok(Json(views::timeline::timeline(&state.reader, &filter).await?))
}

async fn tasks(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &TaskFilter::PARAMS, &headers)?;
    let view = views::tasks::tasks(&state.reader, &TaskFilter::parse(&params)?).await?;
    Ok(format.respond(&view, |view| views::tasks::csv(&view.rows)))
}

async fn task(
    State(state): State<AppState>,
    Path((process, task)): Path<(String, String)>,
    pairs: Pairs,
) -> Answer<TaskView> {
    Params::new(pairs.0, &[])?;
    let (process, task) = task_path(&process, &task)?;
    Ok(Json(views::task::task(&state.reader, process, task).await?))
}

async fn task_life(
    State(state): State<AppState>,
    Path((process, task)): Path<(String, String)>,
    pairs: Pairs,
) -> Answer<TaskLifeView> {
    let filter = LifeFilter::parse(&Params::new(pairs.0, &LifeFilter::PARAMS)?)?;
    let (process, task) = task_path(&process, &task)?;
    Ok(Json(views::task_life::task_life(&state.reader, process, task, &filter).await?))
}

async fn task_kin(
    State(state): State<AppState>,
    Path((process, task)): Path<(String, String)>,
    pairs: Pairs,
) -> Answer<TaskKinView> {
    Params::new(pairs.0, &[])?;
    let (process, task) = task_path(&process, &task)?;
    Ok(Json(views::task_kin::task_kin(&state.reader, process, task).await?))
}

fn task_path(process: &str, task: &str) -> Result<(i64, u64), ApiError> {
    let (Ok(process), Ok(task)) = (process.parse(), task.parse()) else {
        let sentence = "the path must be /api/v1/tasks/PROCESS/TASK, both whole numbers";
        return Err(ApiError::bad_request(sentence));
    };
    Ok((process, task))
}

async fn slow(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &SlowFilter::PARAMS, &headers)?;
    let view = views::slow::slow(&state.reader, &SlowFilter::parse(&params)?).await?;
    Ok(format.respond(&view, |view| views::slow::csv(&view.sites)))
}

async fn stacks(State(state): State<AppState>, pairs: Pairs) -> Answer<StacksView> {
    let filter = StackFilter::parse(&Params::new(pairs.0, &StackFilter::PARAMS)?)?;
    Ok(Json(views::stacks::stacks(&state.reader, &filter).await?))
}

async fn leaks(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &["process"], &headers)?;
    let view: LeaksView = views::leaks::leaks(&state.reader, params.parsed("process")?).await?;
    Ok(format.respond(&view, views::leaks::csv))
}

async fn survivors(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &SurvivorFilter::PARAMS, &headers)?;
    let filter = SurvivorFilter::parse(&params)?;
    let view = views::survivors::survivors(&state.reader, &filter).await?;
    Ok(format.respond(&view, views::survivors::csv))
}

async fn findings(
    State(state): State<AppState>,
    Path(process): Path<String>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &FindingFilter::PARAMS, &headers)?;
    let Ok(process) = process.parse() else {
        let sentence = "the path must be /api/v1/processes/PROCESS/findings, with a whole number";
        return Err(ApiError::bad_request(sentence));
    };
    let filter = FindingFilter::parse(&params)?;
    let view = views::findings::findings(&state.reader, process, &filter).await?;
    Ok(format.respond(&view, |view| views::findings::csv(&view.findings)))
}

async fn compare(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &CompareFilter::PARAMS, &headers)?;
    let filter = CompareFilter::parse(&params)?;
    let view = views::compare::compare(&state.reader, &filter).await?;
    Ok(format.respond(&view, views::compare::csv))
}

async fn resources(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &ResourceFilter::PARAMS, &headers)?;
    let filter = ResourceFilter::parse(&params)?;
    let view = views::resources::resources(&state.reader, &filter).await?;
    Ok(format.respond(&view, |view| views::resources::csv(&view.rows)))
}

async fn resource(
    State(state): State<AppState>,
    Path((process, resource)): Path<(String, String)>,
    pairs: Pairs,
) -> Answer<ResourceView> {
    Params::new(pairs.0, &[])?;
    let (Ok(process), Ok(resource)) = (process.parse(), resource.parse()) else {
        let sentence = "the path must be /api/v1/resources/PROCESS/RESOURCE, both whole numbers";
        return Err(ApiError::bad_request(sentence));
    };
    Ok(Json(views::resources::resource(&state.reader, process, resource).await?))
}

async fn waits(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &WaitFilter::PARAMS, &headers)?;
    let view = views::waits::waits(&state.reader, &WaitFilter::parse(&params)?).await?;
    Ok(format.respond(&view, |view| views::waits::csv(&view.rows)))
}

async fn marks(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &MarkFilter::PARAMS, &headers)?;
    let view = views::marks::marks(&state.reader, &MarkFilter::parse(&params)?).await?;
    Ok(format.respond(&view, |view| views::marks::csv(&view.marks)))
}

async fn metrics(State(state): State<AppState>, pairs: Pairs) -> Answer<MetricsView> {
    let filter = MetricFilter::parse(&Params::new(pairs.0, &MetricFilter::PARAMS)?)?;
    Ok(Json(views::metrics::metrics(&state.reader, &filter).await?))
}

async fn losses(State(state): State<AppState>, pairs: Pairs) -> Answer<LossesView> {
    let params = Params::new(pairs.0, &["process"])?;
    Ok(Json(views::losses::losses(&state.reader, params.parsed("process")?).await?))
}

async fn query(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
    body: Result<Json<QueryRequest>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (_, format) = table_params(pairs, &[], &headers)?;
    let Json(request) = body.map_err(|rejection| {
        let sentence = format!("{}; send {{\"sql\": \"select …\"}}", rejection.body_text());
        ApiError::new(rejection.status(), sentence)
    })?;
    let view = views::query::query(&state.reader, &request).await?;
    Ok(format.respond(&view, views::query::csv))
}

async fn schema(pairs: Pairs) -> Answer<SchemaView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(views::query::schema()))
}

async fn follow(State(state): State<AppState>) -> Response {
    live::respond(state)
}

/// How a table is wanted.
#[derive(Clone, Copy)]
enum Format {
    Json,
    Csv,
}

impl Format {
    fn respond<T: Serialize>(self, view: &T, csv: impl FnOnce(&T) -> Csv) -> Response {
        match self {
            Self::Json => Json(view).into_response(),
            Self::Csv => csv(view).into_response(),
        }
    }
}

/// The parameters of a table, and whether `format` or else `Accept` asks for CSV.
fn table_params(
    Query(pairs): Pairs,
    known: &[&str],
    headers: &HeaderMap,
) -> Result<(Params, Format), ApiError> {
    let known: Vec<_> = known.iter().copied().chain(["format"]).collect();
    let params = Params::new(pairs, &known)?;
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let accepted = if accept.starts_with("text/csv") { Format::Csv } else { Format::Json };
    let words = [("json", Format::Json), ("csv", Format::Csv)];
    let format = params.one_of("format", &words)?.unwrap_or(accepted);
    Ok((params, format))
}
