//! The routes of the timeline's lanes below its workers.

use axum::Json;
use axum::extract::State;

use crate::routes::{Answer, Pairs};
use crate::state::AppState;
use crate::views::lanes::arrows::{self, ArrowsFilter, ArrowsView};
use crate::views::lanes::metrics::{self, MetricLaneFilter, MetricLaneView, MetricNamesView};
use crate::views::lanes::resource::{self, ResourceLaneFilter, ResourceLaneView};
use crate::views::lanes::task::{self, TaskLaneFilter, TaskLaneView};
use crate::views::params::Params;

pub(crate) async fn of_task(State(state): State<AppState>, pairs: Pairs) -> Answer<TaskLaneView> {
    let filter = TaskLaneFilter::parse(&Params::new(pairs.0, &TaskLaneFilter::PARAMS)?)?;
    Ok(Json(task::task_lane(&state.reader, &filter).await?))
}

pub(crate) async fn of_resource(
    State(state): State<AppState>,
    pairs: Pairs,
) -> Answer<ResourceLaneView> {
    let params = Params::new(pairs.0, &ResourceLaneFilter::PARAMS)?;
    let filter = ResourceLaneFilter::parse(&params)?;
    Ok(Json(resource::resource_lane(&state.reader, &filter).await?))
}

pub(crate) async fn arrows_of(State(state): State<AppState>, pairs: Pairs) -> Answer<ArrowsView> {
    let filter = ArrowsFilter::parse(&Params::new(pairs.0, &ArrowsFilter::PARAMS)?)?;
    Ok(Json(arrows::arrows(&state.reader, &filter).await?))
}

pub(crate) async fn of_metric(
    State(state): State<AppState>,
    pairs: Pairs,
) -> Answer<MetricLaneView> {
    let filter = MetricLaneFilter::parse(&Params::new(pairs.0, &MetricLaneFilter::PARAMS)?)?;
    Ok(Json(metrics::metric_lane(&state.reader, &filter).await?))
}

pub(crate) async fn names(State(state): State<AppState>, pairs: Pairs) -> Answer<MetricNamesView> {
    let params = Params::new(pairs.0, &["process"])?;
    Ok(Json(metrics::metric_names(&state.reader, params.parsed("process")?).await?))
}
