//! What one batch may make the writer do. Equal values pack into almost nothing, so two hundred
//! bytes can claim a million polls; what those cost is bounded here, before anything is made.

use std::collections::HashSet;

use loopd_model::segment::SpanColumns;
use loopd_model::{Nanos, RecordKind, Segment};

use super::digest::Source;
use super::lanes::tiles_of;
use crate::instant::{length, wall};

/// Tiles of level 0 that the polls of one batch may move to. A tile is a quarter of a second of a
/// lane: enough for 1,000 workers for a second, or for a quiet one for a quarter of an hour.
const MAX_TILES: usize = 4_096;

/// Tasks that the spans of one batch may speak of. Each takes up some 400 bytes until the commit.
const MAX_TASKS: usize = 1 << 18;

/// Says why a batch would cost too much.
pub(super) fn check(source: &Source, segments: &[(Segment, SpanColumns)]) -> Result<(), String> {
    let tiles: usize = segments
        .iter()
        .filter(|(segment, _)| segment.kind == RecordKind::Poll)
        .map(|(_, spans)| tile_moves(source.origin, spans))
        .sum();
    if tiles > MAX_TILES {
        return Err(format!("its polls touch {tiles} tiles, the limit is {MAX_TILES}"));
    }
    let tasks = tasks(segments);
    if tasks > MAX_TASKS {
        return Err(format!("its spans are of {tasks} tasks, the limit is {MAX_TASKS}"));
    }
    Ok(())
}

/// How often the spans, in their order, move on to another tile: each time costs one.
fn tile_moves(origin: i64, spans: &SpanColumns) -> usize {
    let (mut moves, mut last) = (0, None);
    for (&start, &nanos) in spans.start.iter().zip(&spans.length) {
        for tile in tiles_of(wall(origin, Nanos(start)), length(nanos)) {
            moves += usize::from(last != Some(tile));
            last = Some(tile);
        }
    }
    moves
}

fn tasks(segments: &[(Segment, SpanColumns)]) -> usize {
    // Mostly there are so few spans that nobody needs to look.
    let spans: usize = segments.iter().map(|(_, spans)| spans.start.len()).sum();
    if spans <= MAX_TASKS {
        return 0;
    }
    segments.iter().flat_map(|(_, spans)| &spans.task).collect::<HashSet<_>>().len()
}
