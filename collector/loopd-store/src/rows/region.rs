//! A stretch of time on some workers, and what ran there.

use loopd_model::{Location, TaskId, UnixNanos};

use crate::{LaneId, ProcessKey};

/// What is asked of a stretch of time.
#[derive(Clone, Debug)]
pub struct RegionQuery {
    /// Of which process.
    pub process: ProcessKey,
    /// From when on.
    pub from: UnixNanos,
    /// Before when.
    pub to: UnixNanos,
    /// On these lanes alone; `None` for all.
    pub lanes: Option<Vec<LaneId>>,
    /// Of this task alone; `None` for all.
    pub task: Option<TaskId>,
    /// With more polls than this nothing is given.
    pub limit: usize,
    /// Rows are only those at least this long,
    pub min_length: u64,
    /// and shorter than this.
    pub max_length: u64,
    /// In which order rows are,
    pub order: RegionOrder,
    /// and whether it is the other way round.
    pub is_descending: bool,
    /// At most so many.
    pub rows: usize,
}

impl RegionQuery {
    /// Whether a lane is among those that are asked for.
    pub fn has(&self, lane: LaneId) -> bool {
        self.lanes.as_ref().is_none_or(|lanes| lanes.contains(&lane))
    }
}

/// By what the polls of a region can be ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegionOrder {
    /// When they began.
    Start,
    /// How long they took.
    #[default]
    Length,
    /// Where they ran.
    Lane,
    /// Whom they polled.
    Task,
}

/// What single polls say of a stretch of time.
#[derive(Clone, Debug)]
pub enum RegionAnswer {
    /// All of them.
    Exact(Region),
    /// Without those that could not be read.
    Damaged(Region),
    /// Without those that are no longer kept.
    Gone(Region),
    /// There are more than were asked for, or more than are searched for those of one task.
    TooMany,
}

/// Sums over the polls that overlap a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Region {
    /// Of each lane that has any.
    pub lanes: Vec<RegionLane>,
    /// Different tasks.
    pub tasks: u64,
    /// When the earliest of them began, which may be before the stretch; `None` without any.
    pub first_start_at: Option<UnixNanos>,
    /// The length of each, shortest first.
    pub lengths: Vec<u64>,
    /// Polls that began and of which nobody has seen the end. They are in no other number.
    pub unfinished: u64,
    /// How many are as long as was asked for.
    pub matching: u64,
    /// The first of these.
    pub rows: Vec<RegionPoll>,
}

/// One lane of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegionLane {
    /// Which.
    pub lane: LaneId,
    /// Polls that overlap the stretch.
    pub polls: u64,
    /// Their lengths, added up, with what of them lies outside.
    pub time: u64,
    /// The part of that inside.
    pub busy_time: u64,
    /// The longest.
    pub max: u64,
    /// How many are slow.
    pub slow: u64,
}

/// One poll of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionPoll {
    /// Where.
    pub lane: LaneId,
    /// When it began.
    pub start_at: UnixNanos,
    /// How long it took.
    pub length: u64,
    /// The task.
    pub task: TaskId,
    /// Whether it was slow.
    pub is_slow: bool,
    /// Where that task was spawned, as far as the segment says.
    pub location: Option<i64>,
    /// The same, as far as anything says.
    pub place: Option<Location>,
}
