//! Which path gives what. Handlers only read parameters, ask a view, and choose JSON or CSV.

use axum::extract::rejection::JsonRejection;
use axum::extract::{OriginalUri, Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use crate::api::{About, Api, BASE};
use crate::csv::Csv;
use crate::demo::{DemoRequest, DemoView};
use crate::error::ApiError;
use crate::live::{HeadView, ResetView};
use crate::mutes::Mute;
use crate::notes::{NewNote, NotePatch};
use crate::state::AppState;
use crate::views::agent::AgentView;
use crate::views::clock::{CLOCK_STEP, ClockView};
use crate::views::compare::{CompareFilter, CompareView};
use crate::views::disk::DiskView;
use crate::views::dumps::{DumpTaken, DumpView, DumpsView};
use crate::views::findings::{FindingFilter, FindingsView};
use crate::views::lanes::arrows::{ArrowsFilter, ArrowsView};
use crate::views::lanes::metrics::{MetricLaneFilter, MetricLaneView, MetricNamesView};
use crate::views::lanes::resource::{ResourceLaneFilter, ResourceLaneView};
use crate::views::lanes::task::{TaskLaneFilter, TaskLaneView};
use crate::views::leaks::LeaksView;
use crate::views::marks::{MarkFilter, MarksView};
use crate::views::metrics::{MetricFilter, MetricsView};
use crate::views::notes::{Note, NoteFilter, NotesView};
use crate::views::overview::OverviewView;
use crate::views::params::Params;
use crate::views::process::ProcessesView;
use crate::views::query::{QueryRequest, QueryView, SchemaView};
use crate::views::region::{RegionFilter, RegionView};
use crate::views::resources::{ResourceFilter, ResourceView, ResourcesView};
use crate::views::settings::{CommonSettingsView, SettingsPatch, SettingsView};
use crate::views::slow::{SlowFilter, SlowView};
use crate::views::stacks::{StackFilter, StacksView};
use crate::views::status::StatusView;
use crate::views::survivors::{SurvivorFilter, SurvivorsView};
use crate::views::task::TaskView;
use crate::views::task_kin::TaskKinView;
use crate::views::task_life::{LifeFilter, TaskLifeView};
use crate::views::tasks::{TaskFilter, TasksView};
use crate::views::tile::{LAYOUT, MEDIA_TYPE, TileFilter};
use crate::views::timeline::{TimelineFilter, TimelineView};
use crate::views::waits::{WaitFilter, WaitsView};
use crate::views::{self, described, losses::LossesView};
use crate::{
    assets, caching, clock, compress, demo, dumps, front, headers, lanes, live, mutes, notes,
    openapi, settings, tiles,
};

/// A query is text that a person wrote.
const MAX_BODY: usize = 256 * 1024;

pub(crate) type Pairs = Query<Vec<(String, String)>>;
pub(crate) type Answer<T> = Result<Json<T>, ApiError>;

/// Every route of the API, and what it is. Their order is that of the document.
pub(crate) fn api() -> Api {
    Api::new(openapi::head())
        .get(
            "/status",
            status,
            About::new("server", "The server and its store").json::<StatusView>(),
        )
        .get(
            "/processes",
            processes,
            About::new("processes", "The latest recorded processes").json::<ProcessesView>(),
        )
        .get(
            "/overview",
            overview,
            About::new("processes", "One process at a glance")
                .params(vec![described::process()])
                .json::<OverviewView>(),
        )
        .get(
            "/processes/{process}/findings",
            findings,
            About::new("findings", "What is wrong with a process, by harm")
                .more("The range is judged by what was known at its end.")
                .filter::<FindingFilter>()
                .json::<FindingsView>()
                .or_csv(),
        )
        .post(
            "/processes/{process}/findings/mute",
            settings::MAX_BODY,
            mutes::mute,
            About::new("findings", "Mutes a finding in all runs of its program, or lets it be heard again")
                .body::<Mute>()
                .json::<Mute>()
                .refused(409, "As many findings as there may be are muted already.")
                .refused(503, "The server keeps nothing, or not now."),
        )
        .get(
            "/compare",
            compare,
            About::new("findings", "Two ranges side by side")
                .filter::<CompareFilter>()
                .json::<CompareView>()
                .or_csv(),
        )
        .get(
            "/timeline",
            timeline,
            About::new("timeline", "What every worker did between two instants")
                .more(
                    "Summed up in buckets, or poll by poll where that is little enough (at most 20000 polls). \
                     `t0` and `t1` are the bounds of whole buckets around the range.",
                )
                .filter::<TimelineFilter>()
                .json::<TimelineView>()
                .header("cache-control", "`no-cache`: ask again.")
                .header("etag", "The same only for the same content.")
                .refused(304, "The one that was sent before is still right."),
        )
        .get(
            "/tiles/{process}/{zoom}/{tile}",
            tiles::show,
            About::new("timeline", "A piece of the timeline, as bytes")
                .more(
                    "A tile of zoom z is 2^z nanoseconds long; the one with the number n begins at n · 2^z \
                     nanoseconds after 1970. It has at most 512 buckets, and single polls where that \
                     is little enough.\n\n\
                     It is sealed once its process has said goodbye: then nothing of it changes while the server \
                     runs but by what retention removes. Until then even what is long past can change, when an agent \
                     that was cut off sends what it kept, or a poll that began long ago ends. Any tile is to be asked \
                     for again, since after an import the same address may mean another recording; while it is the \
                     same, the answer to its `ETag` is 304.",
                )
                .filter::<TileFilter>()
                .bytes(MEDIA_TYPE, LAYOUT)
                .header("cache-control", "`no-cache`: ask again.")
                .header("etag", "The same only for the same bytes.")
                .refused(304, "The one that was sent before is still right."),
        )
        .get(
            "/region",
            region,
            About::new("timeline", "What ran in a stretch of time on some workers")
                .more(
                    "Of up to two million polls every number comes from the polls themselves. Of more, or where \
                     single polls are no longer kept, it says so: sums then come from tiles, and lengths from \
                     roll-ups.",
                )
                .filter::<RegionFilter>()
                .json::<RegionView>()
                .or_csv(),
        )
        .get(
            "/lanes/task",
            lanes::of_task,
            About::new("timeline", "What one task did, step by step")
                .more("Single polls and wakes where they are at most 5,000; at most 2,000 waits.")
                .filter::<TaskLaneFilter>()
                .json::<TaskLaneView>(),
        )
        .get(
            "/lanes/resource",
            lanes::of_resource,
            About::new("timeline", "Who had one resource, and who waited for it")
                .more("At most 2,000 waits, and holds.")
                .filter::<ResourceLaneFilter>()
                .json::<ResourceLaneView>(),
        )
        .get(
            "/lanes/metrics",
            lanes::of_metric,
            About::new("timeline", "Metrics, step by step")
                .filter::<MetricLaneFilter>()
                .json::<MetricLaneView>(),
        )
        .get(
            "/lanes/metric-names",
            lanes::names,
            About::new("timeline", "Which metrics a process has")
                .params(vec![described::process()])
                .json::<MetricNamesView>(),
        )
        .get(
            "/lanes/arrows",
            lanes::arrows_of,
            About::new("timeline", "What led to a poll, and whom it woke")
                .filter::<ArrowsFilter>()
                .json::<ArrowsView>(),
        )
        .get(
            "/notes",
            notes::list,
            About::new("notes", "What people wrote to times of recordings")
                .filter::<NoteFilter>()
                .json::<NotesView>()
                .or_csv(),
        )
        .post(
            "/notes",
            notes::MAX_BODY,
            notes::add,
            About::new("notes", "Writes a note to a time")
                .body::<NewNote>()
                .json::<Note>()
                .refused(404, "No process has the number that the body names.")
                .refused(409, "There are as many notes as there may be.")
                .refused(503, "The server keeps nothing, or not now."),
        )
        .get("/notes/{note}", notes::show, About::new("notes", "One note").json::<Note>())
        .patch(
            "/notes/{note}",
            notes::MAX_BODY,
            notes::edit,
            About::new("notes", "Changes a note")
                .more("What is left out stays as it is; null takes away.")
                .body::<NotePatch>()
                .json::<Note>()
                .refused(503, "The server keeps nothing, or not now."),
        )
        .delete(
            "/notes/{note}",
            notes::remove,
            About::new("notes", "Removes a note, and answers with what it was")
                .json::<Note>()
                .refused(503, "The server keeps nothing, or not now."),
        )
        .get(
            "/metrics",
            metrics,
            About::new("timeline", "One metric over time")
                .filter::<MetricFilter>()
                .json::<MetricsView>(),
        )
        .get(
            "/marks",
            marks,
            About::new("timeline", "Marks, and the program's own events and spans")
                .filter::<MarkFilter>()
                .json::<MarksView>()
                .or_csv(),
        )
        .get(
            "/tasks",
            tasks,
            About::new("tasks", "One page of tasks").filter::<TaskFilter>().json::<TasksView>().or_csv(),
        )
        .get("/tasks/{process}/{task}", task, About::new("tasks", "One task").json::<TaskView>())
        .get(
            "/tasks/{process}/{task}/life",
            task_life,
            About::new("tasks", "Where the time of a task went, and its polls by length and delay")
                .more("Of more than a million polls the latest are looked through, and it says so.")
                .filter::<LifeFilter>()
                .json::<TaskLifeView>(),
        )
        .get(
            "/tasks/{process}/{task}/kin",
            task_kin,
            About::new("tasks", "Who spawned a task, how it was cancelled, and what those like it are like")
                .json::<TaskKinView>(),
        )
        .post(
            "/processes/{process}/dump",
            settings::MAX_BODY,
            dumps::take,
            About::new("tasks", "Asks a program now where its tasks wait")
                .more("Answers once all of it is stored. Needs no body.")
                .json::<DumpTaken>()
                .refused(409, "The process has ended, or is not connected.")
                .refused(413, "The body is too long.")
                .refused(503, "The server has no agents to ask, or is stopping.")
                .refused(504, "The agent has not answered in time."),
        )
        .get(
            "/processes/{process}/dumps",
            dumps::list,
            About::new("tasks", "The dumps of a process").json::<DumpsView>(),
        )
        .get(
            "/processes/{process}/dumps/{dump}",
            dumps::show,
            About::new("tasks", "Where tasks waited, as a tree").json::<DumpView>(),
        )
        .get(
            "/slow",
            slow,
            About::new("slow", "Slow polls by the place that made them slow")
                .filter::<SlowFilter>()
                .json::<SlowView>()
                .or_csv(),
        )
        .get(
            "/stacks",
            stacks,
            About::new("slow", "Stacks that were taken in slow polls, in the order of time")
                .filter::<StackFilter>()
                .json::<StacksView>(),
        )
        .get(
            "/leaks",
            leaks,
            About::new("leaks", "What was opened and not closed, by place")
                .params(vec![described::process()])
                .json::<LeaksView>()
                .or_csv(),
        )
        .get(
            "/survivors",
            survivors,
            About::new("leaks", "What was born in a range and is still there")
                .filter::<SurvivorFilter>()
                .json::<SurvivorsView>()
                .or_csv(),
        )
        .get(
            "/resources",
            resources,
            About::new("resources", "One page of resources")
                .filter::<ResourceFilter>()
                .json::<ResourcesView>()
                .or_csv(),
        )
        .get(
            "/resources/{process}/{resource}",
            resource,
            About::new("resources", "One resource").json::<ResourceView>(),
        )
        .get(
            "/waits",
            waits,
            About::new("resources", "Who waits for whom")
                .filter::<WaitFilter>()
                .json::<WaitsView>()
                .or_csv(),
        )
        .get(
            "/losses",
            losses,
            About::new("sources", "What was lost, why and when")
                .params(vec![described::process()])
                .json::<LossesView>(),
        )
        .get(
            "/processes/{process}/clock",
            process_clock,
            About::new("sources", "How far a program's clock is from the server's")
                .more("Of the last hour, since the server was started.")
                .json::<ClockView>(),
        )
        .get(
            "/disk",
            disk,
            About::new("sources", "What takes the room, and how long it lasts").json::<DiskView>(),
        )
        .get(
            "/processes/{process}/agent",
            settings::agent,
            About::new("sources", "What an agent captures, and what it costs").json::<AgentView>(),
        )
        .get(
            "/processes/{process}/settings",
            settings::of_process,
            About::new("sources", "What an agent is asked to capture").json::<SettingsView>(),
        )
        .patch(
            "/processes/{process}/settings",
            settings::MAX_BODY,
            settings::change_process,
            About::new("sources", "Asks an agent to capture more or less")
                .more("Only what is named changes; null takes back what was asked for.")
                .body::<SettingsPatch>()
                .json::<SettingsView>()
                .refused(409, "The process has ended.")
                .refused(503, "The server has no agents to ask, or keeps nothing now."),
        )
        .get(
            "/settings",
            settings::common,
            About::new("sources", "What all agents are asked to capture").json::<CommonSettingsView>(),
        )
        .patch(
            "/settings",
            settings::MAX_BODY,
            settings::change_common,
            About::new("sources", "Asks all agents, or those of one program, to capture more or less")
                .more("Only what is named changes; null takes back what was asked for.")
                .params(vec![described::text("app", "Only programs of this name; all if not given.")])
                .body::<SettingsPatch>()
                .json::<CommonSettingsView>()
                .refused(409, "Settings are kept for as many programs as there may be.")
                .refused(503, "The server has no agents to ask, or keeps nothing now."),
        )
        .post(
            "/query",
            MAX_BODY,
            query,
            About::new("sql", "Answers one SQL statement that reads")
                .body::<QueryRequest>()
                .json::<QueryView>()
                .or_csv(),
        )
        .get(
            "/schema",
            schema,
            About::new("sql", "What can be selected from").json::<SchemaView>(),
        )
        .get(
            "/live",
            follow,
            About::new("server", "A stream that says when there is newer data")
                .more(
                    "Server-sent events. `head`: there is newer data; its data is a `HeadView`, at most four a \
                     second, the newest one only. `reset`: what was said or answered before is to be forgotten; its \
                     data is a `ResetView`, and a head follows. Comments keep a quiet stream open, every 15 s.\n\n\
                     Each head has an `id`. A client that comes back with it, in `Last-Event-ID` (as `EventSource` \
                     does) or in `after`, gets the next head that it does not have; if the server was started again \
                     meanwhile, a `reset` first.",
                )
                .params(vec![described::text(
                    "after",
                    "The id of the last event that was seen, where `Last-Event-ID` cannot be sent; that one wins.",
                )])
                .events()
                .part::<HeadView>()
                .part::<ResetView>()
                .refused(503, "As many follow as there may be; ask `/api/v1/processes` now and then."),
        )
        .get(
            "/demo",
            demo::show,
            About::new("server", "Whether the example service runs").json::<DemoView>(),
        )
        .post(
            "/demo",
            settings::MAX_BODY,
            demo::change,
            About::new("server", "Starts or stops the example service")
                .more("It is a child of the server, one at a time, and ends by itself.")
                .body::<DemoRequest>()
                .json::<DemoView>()
                .refused(503, "This server runs none, or it could not be started."),
        )
        .get(
            "/openapi.json",
            openapi::show,
            About::new("server", "This document").any_json(),
        )
}

/// Every route of the dashboard and its API.
pub fn router(state: AppState) -> Router {
    let api = api().into_router().method_not_allowed_fallback(wrong_method);
    let api = api.layer(middleware::from_fn(compress::text));
    Router::new()
        .nest(BASE, api)
        .route("/api", get(no_such_route))
        .route("/api/{*rest}", get(no_such_route).fallback(no_such_route))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/", get(front::serve).fallback(assets::serve))
        .fallback(assets::serve)
        .layer(middleware::from_fn(headers::add))
        .with_state(state)
}

async fn no_such_route(OriginalUri(uri): OriginalUri) -> ApiError {
    let sentence =
        format!("there is no {} here; {BASE}/openapi.json describes the routes", uri.path());
    ApiError::new(StatusCode::NOT_FOUND, sentence)
}

async fn wrong_method(OriginalUri(uri): OriginalUri) -> ApiError {
    let wanted = openapi::methods(uri.path()).unwrap_or_else(|| "GET".into());
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

async fn disk(State(state): State<AppState>, pairs: Pairs) -> Answer<DiskView> {
    Params::new(pairs.0, &[])?;
    let status = (state.status)();
    Ok(Json(views::disk::disk(&state.reader, &state.info, status, clock::now()).await?))
}

async fn process_clock(
    State(state): State<AppState>,
    Path(process): Path<String>,
    pairs: Pairs,
) -> Answer<ClockView> {
    Params::new(pairs.0, &[])?;
    let process = views::find_process(&state.reader, Some(settings::number(&process)?)).await?;
    let key = process.process;
    let readings = state.clocks.as_ref().map(|clocks| clocks(key));
    Ok(Json(ClockView {
        process: key.0,
        step: readings.is_some().then_some(CLOCK_STEP),
        readings: readings.unwrap_or_default(),
    }))
}

async fn processes(State(state): State<AppState>, pairs: Pairs) -> Answer<ProcessesView> {
    Params::new(pairs.0, &[])?;
    Ok(Json(views::process::processes(&state.reader).await?))
}

async fn overview(State(state): State<AppState>, pairs: Pairs) -> Answer<OverviewView> {
    let params = Params::new(pairs.0, &["process"])?;
    Ok(Json(views::overview::overview(&state.reader, params.parsed("process")?).await?))
}

async fn timeline(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let filter = TimelineFilter::parse(&Params::new(pairs.0, &TimelineFilter::PARAMS)?)?;
    let view = views::timeline::timeline(&state.reader, &filter).await?;
    Ok(caching::respond_json(&headers, &view))
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

async fn region(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let (params, format) = table_params(pairs, &RegionFilter::PARAMS, &headers)?;
    let view = views::region::region(&state.reader, &RegionFilter::parse(&params)?).await?;
    Ok(format.respond(&view, views::region::csv))
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

async fn follow(
    State(state): State<AppState>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let params = Params::new(pairs.0, &["after"])?;
    let last_seen = headers.get("last-event-id").map(|id| String::from_utf8_lossy(id.as_bytes()));
    let last_seen = last_seen.map(String::from).or_else(|| params.text("after").map(str::to_owned));
    Ok(live::respond(state, last_seen).await)
}

/// How a table is wanted.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Json,
    Csv,
}

impl Format {
    pub(crate) fn respond<T: Serialize>(self, view: &T, csv: impl FnOnce(&T) -> Csv) -> Response {
        match self {
            Self::Json => Json(view).into_response(),
            Self::Csv => csv(view).into_response(),
        }
    }
}

/// The parameters of a table, and whether `format` or else `Accept` asks for CSV.
pub(crate) fn table_params(
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
