//! What is said about a process.

use loopd_model as model;
use model::{CoverageState, ProcessId};

use super::check::{Place, at_most};
use super::{DecodeError, Tolerated};
use crate::{limits, pb};

pub(super) fn decode(
    process: pb::Process,
    tolerated: &mut Tolerated,
) -> Result<model::Process, DecodeError> {
    let place = Place::MESSAGE;
    place.equal("process.id", process.id.len() as u64, 16)?;
    let id = <[u8; 16]>::try_from(process.id).unwrap_or_default();
    if id == [0; 16] {
        return Err(place.missing("process.id"));
    }
    at_most("process.labels", process.labels.len(), limits::MAX_LABELS)?;
    let mut labels: Vec<(String, String)> = process
        .labels
        .into_iter()
        .map(|(key, value)| (tolerated.text(key), tolerated.text(value)))
        .collect();
    labels.sort_unstable();
    Ok(model::Process {
        id: ProcessId(id),
        app: tolerated.text(process.app),
        app_version: tolerated.text(process.app_version),
        host: tolerated.text(process.host),
        pid: process.pid,
        labels,
        agent: tolerated.text(process.agent),
        agent_version: tolerated.text(process.agent_version),
        anchor: super::decode_anchor(process.anchor)?,
        coverage: decode_coverages(place, "process.coverage", process.coverage, tolerated)?,
        slow_threshold: place
            .required("process.slow_threshold_nanos", process.slow_threshold_nanos)?,
    })
}

pub(super) fn decode_coverages(
    place: Place,
    list: &'static str,
    coverage: Vec<pb::Coverage>,
    tolerated: &mut Tolerated,
) -> Result<Vec<model::Coverage>, DecodeError> {
    place.at_most(list, coverage.len(), limits::MAX_COVERAGE)?;
    Ok(coverage.into_iter().map(|layer| decode_coverage(layer, tolerated)).collect())
}

/// A layer in a state that is not known here does not count as working.
fn decode_coverage(coverage: pb::Coverage, tolerated: &mut Tolerated) -> model::Coverage {
    use pb::coverage::State;
    let state = match State::try_from(coverage.state) {
        Ok(State::On) => Some(CoverageState::On),
        Ok(State::Off) => Some(CoverageState::Off),
        Ok(State::Unavailable) => Some(CoverageState::Unavailable),
        Ok(State::Unspecified) | Err(_) => None,
    };
    model::Coverage {
        layer: tolerated.text(coverage.layer),
        state: tolerated.known(state, CoverageState::Unavailable),
        reason: tolerated.text(coverage.reason),
    }
}
