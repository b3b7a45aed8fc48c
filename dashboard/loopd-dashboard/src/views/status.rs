//! How the server and its store are doing.

use loopd_model::UnixNanos;
use loopd_store::{Reader, Retention};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ViewError;
use super::text::UnixNanosText;
use crate::state::{ServerInfo, ServerStatus};

/// `GET /api/v1/status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatusView {
    /// loopd's version.
    pub version: String,
    /// When the server started.
    pub started_at: UnixNanosText,
    /// The server's clock.
    pub now: UnixNanosText,
    /// The database.
    pub store: StoreView,
    /// Agents connected now.
    pub sessions: u64,
    /// Sessions that ended without a goodbye since the server started.
    pub disconnected: u64,
    /// Batches refused since the server started, because they could not be read.
    pub refused: u64,
    /// Batches stored since the database was made.
    pub batches: u64,
    /// Records stored since then, but for polls, parks and wakes.
    pub events: u64,
    /// Polls stored since then.
    pub polls: u64,
    /// Whether the store takes writes.
    pub ready: bool,
    /// Why it does not; null if it does.
    pub reason: Option<String>,
}

/// The database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StoreView {
    /// Its file.
    pub path: String,
    /// The size of the file and its log.
    pub bytes: u64,
    /// 32 hexadecimal digits made with the file.
    pub epoch: String,
    /// The version of its schema.
    pub schema: i64,
    /// Since when single polls are kept; null when there are none.
    pub oldest_at: Option<UnixNanosText>,
    /// How long data is kept, in nanoseconds; null: for ever.
    pub retain_age_ns: Option<u64>,
    /// Up to which size data is kept; null: any.
    pub retain_bytes: Option<u64>,
}

/// How the server and its store are doing at `now`.
pub async fn status(
    reader: &Reader,
    info: &ServerInfo,
    status: ServerStatus,
    now: UnixNanos,
) -> Result<StatusView, ViewError> {
    let store = reader.status().await?;
    let totals = (store.batches, store.events, store.polls);
    Ok(StatusView {
        version: info.version.clone(),
        started_at: info.started_at.into(),
        now: now.into(),
        store: StoreView::new(store, &info.retention),
        sessions: status.sessions,
        disconnected: status.disconnected,
        refused: status.refused,
        batches: totals.0,
        events: totals.1,
        polls: totals.2,
        ready: status.unwritable.is_none(),
        reason: status.unwritable,
    })
}

impl StoreView {
    /// What the store says of itself, and what the server keeps.
    pub fn new(store: loopd_store::StoreStatus, retention: &Retention) -> Self {
        let age = retention.max_age.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
        Self {
            path: store.path.display().to_string(),
            bytes: store.bytes,
            epoch: store.epoch.iter().map(|byte| format!("{byte:02x}")).collect(),
            schema: store.schema,
            oldest_at: store.oldest_at.map(UnixNanosText::from),
            retain_age_ns: age,
            retain_bytes: retention.max_bytes,
        }
    }
}
