//! `GET /api/v1/tiles/{process}/{zoom}/{tile}`: a piece of the timeline as bytes.
//!
//! A tile is sealed once its process has said goodbye. Until then even what is long past can change: an agent that
//! was cut off sends what it kept when it is back, and a poll that began long ago ends. A page keeps what is sealed
//! for as long as it is open; the browser asks each time, and is not sent again what is the same: after an import
//! the same address may mean another recording.

use axum::extract::{Path, State};
use axum::response::Response;
use http::HeaderMap;

use crate::caching;
use crate::error::ApiError;
use crate::routes::Pairs;
use crate::state::AppState;
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
    let tile = tile::tile(&state.reader, &filter, process, zoom, number).await?;
    Ok(caching::respond(&headers, MEDIA_TYPE, tile.encode()))
}
