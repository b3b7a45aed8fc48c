//! `GET /api/v1/tiles/{process}/{zoom}/{tile}`: a piece of the timeline as bytes, kept by the browser where that is
//! honest.
//!
//! A tile is sealed once its process has said goodbye. Until then even what is long past can change: an agent that
//! was cut off sends what it kept when it is back, and a poll that began long ago ends. Such a tile is asked for
//! again each time, and not sent again while it is the same.

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::caching::{self, Keep};
use crate::error::ApiError;
use crate::routes::Pairs;
use crate::state::AppState;
use crate::views::ViewError;
use crate::views::params::Params;
use crate::views::tile::{self, MEDIA_TYPE, TileFilter};

pub(crate) async fn show(
    State(state): State<AppState>,
    Path((process, zoom, number)): Path<(String, String, String)>,
    headers: HeaderMap,
    pairs: Pairs,
) -> Result<Response, ApiError> {
    let filter = TileFilter::parse(&Params::new(pairs.0, &TileFilter::PARAMS)?)?;
    let (Ok(process), Ok(zoom), Ok(number)) = (process.parse(), zoom.parse(), number.parse())
    else {
        let sentence = "the path must be /api/v1/tiles/PROCESS/ZOOM/TILE, all whole numbers";
        return Err(ApiError::bad_request(sentence));
    };
    if let Some(wanted) = &filter.store {
        let epoch = state.reader.status().await.map_err(ViewError::from)?.epoch;
        let epoch: String = epoch.iter().map(|byte| format!("{byte:02x}")).collect();
        if *wanted != epoch {
            let sentence = format!("this server shows the store {epoch}; load the page again");
            return Err(ApiError::new(StatusCode::NOT_FOUND, sentence));
        }
    }
    let tile = tile::tile(&state.reader, process, zoom, number).await?;
    // Without the store's name the same address may mean another process tomorrow.
    let keep = if tile.is_sealed && filter.store.is_some() { Keep::Day } else { Keep::Ask };
    Ok(caching::respond(&headers, keep, MEDIA_TYPE, tile.encode()))
}
