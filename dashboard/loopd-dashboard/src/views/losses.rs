//! What was recorded, what arrived, and what became of the difference.

use loopd_model::RecordKind;
use loopd_store::{LedgerRow, LossRow, Reader};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::text::UnixNanosText;
use super::{ViewError, find_process};

/// `GET /api/v1/losses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LossesView {
    /// One line for each kind of record.
    pub ledger: Vec<LedgerLine>,
    /// What was lost, by kind and cause, newest first.
    pub losses: Vec<Loss>,
}

/// The account of one kind of record:
/// `produced = stored + dropped + lost + in flight`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerLine {
    /// Of what.
    pub kind: String,
    /// Recorded by the agent so far, as far as it told.
    pub produced: u64,
    /// Stored here.
    pub stored: u64,
    /// Dropped by the agent.
    pub dropped: u64,
    /// Lost on the way or here.
    pub lost: u64,
}

/// One loss, as the account and the timeline show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Loss {
    /// What was lost; `any` if it could be anything.
    pub kind: String,
    /// Why.
    pub cause: String,
    /// How many; 0 if that cannot be known.
    pub count: u64,
    /// Not before.
    pub from_at: UnixNanosText,
    /// Not after.
    pub to_at: UnixNanosText,
}

/// The account of one process.
pub async fn losses(reader: &Reader, process: Option<i64>) -> Result<LossesView, ViewError> {
    let process = find_process(reader, process).await?.process;
    let ledger = reader.ledger(process).await?;
    let losses = reader.losses(process).await?;
    Ok(LossesView {
        ledger: ledger.into_iter().map(LedgerLine::from).collect(),
        losses: losses.into_iter().map(Loss::from).collect(),
    })
}

impl From<LedgerRow> for LedgerLine {
    fn from(row: LedgerRow) -> Self {
        Self {
            kind: row.kind.as_str().into(),
            produced: row.produced,
            stored: row.stored,
            dropped: row.dropped,
            lost: row.lost,
        }
    }
}

impl From<LossRow> for Loss {
    fn from(row: LossRow) -> Self {
        Self {
            kind: row.kind.map_or("any", RecordKind::as_str).into(),
            cause: row.cause.as_str().into(),
            count: row.count,
            from_at: row.from_at.into(),
            to_at: row.to_at.into(),
        }
    }
}
