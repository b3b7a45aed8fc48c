//! Operations on resources: who waits for what.
//!
//! That an operation is open does not say that somebody waits in it: a timer has one as long as it lives,
//! and one that was ready may be kept. It is a wait where it was polled by a task, is not being polled, and
//! either always goes away when it is ready, or was last seen not to be.
//!
//! What each poll came to is told by way of a queue, out of step with the counters, and only to those who
//! look on: some of it is dropped, or goes to whoever attaches just then. So a wait is told to have been
//! ready only where that was said, and cancelled only where its last poll is known to have been pending.

use std::collections::{HashMap, HashSet};

use console_api::async_ops::{AsyncOp, AsyncOpUpdate, Stats};
use console_api::resources::PollOp;
use loopd_model::{
    Event, EventKind, LocationId, Nanos, RecordKind, ResourceId, TaskId, WaitHow, WaitId,
};

use super::super::values::unix;
use super::{Kind, Out, Run, Subject};

/// Operations that are open.
const MAX_OPS: usize = 1 << 16;
/// Once so many updates have come since the end of a wait, that which told of the end among them, what its
/// last poll came to was told, or will never be.
const PATIENCE: u32 = 2;

/// By how tokio calls them: what is waited to do, and whether the operation always goes away in the poll in
/// which it is ready. What is not listed is a `wait`.
const OPS: [(&str, &str, bool); 9] = [
    ("Mutex::", "lock", true),
    ("RwLock::read", "read", true),
    ("RwLock::write", "write", true),
    ("Semaphore::", "acquire", true),
    ("Barrier::", "wait", true),
    ("Sender::closed", "closed", true),
    ("Interval::", "tick", true),
    ("Receiver::", "recv", false),
    ("Sleep::", "sleep", false),
];

/// One operation, for as long as it is open here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct OpId(u64);

#[derive(Debug, Default)]
pub(super) struct Ops {
    by_span: HashMap<u64, OpId>,
    open: HashMap<OpId, Op>,
    given: u64,
    waits: u64,
    /// Those that are over, and wait for the word of how.
    over: Vec<OpId>,
}

#[derive(Debug)]
struct Op {
    span: u64,
    made_at: Option<i64>,
    resource: ResourceId,
    /// Whether the resource is told of only once somebody waits for it.
    is_shy: bool,
    name: &'static str,
    goes_away: bool,
    /// The span of the task that polled it last.
    task: Option<u64>,
    polls: u64,
    last_poll_started: Option<i64>,
    last_poll_ended: Option<i64>,
    ended_at: Option<i64>,
    /// What a poll came to, the latest of which that was told.
    is_ready: Option<bool>,
    /// How many there had been when it was told to be pending, if that is all there was to tell.
    pending_polls: Option<u64>,
    /// `None` until it is a wait.
    wait: Option<WaitId>,
    /// Whether that was told.
    is_told: bool,
    has_news: bool,
    /// Updates that have come since it was over.
    patience: u32,
}

impl Op {
    fn is_polled(&self) -> bool {
        self.last_poll_started > self.last_poll_ended
    }

    fn waits(&self) -> bool {
        let is_pending =
            if self.goes_away { self.is_ready != Some(true) } else { self.is_ready == Some(false) };
        self.task.is_some() && !self.is_polled() && is_pending && self.ended_at.is_none()
    }

    /// Whether it has waited, though it is over. Its first poll is that in which it was made.
    fn has_waited(&self) -> bool {
        self.goes_away && self.task.is_some() && self.polls > 2
    }

    /// When it began to wait, or the latest that it can have been.
    fn began_at(&self) -> Option<i64> {
        if self.goes_away {
            self.made_at.or(self.last_poll_started)
        } else {
            self.last_poll_started
        }
    }

    /// When what it waited for was there, or that was given up; and how it ended.
    fn end(&self) -> Option<(i64, WaitHow)> {
        match (self.is_ready, self.ended_at) {
            (Some(true), ended_at) => Some((self.last_poll_ended.or(ended_at)?, WaitHow::Ready)),
            (_, Some(at)) if self.patience >= PATIENCE => {
                let was_pending = self.pending_polls == Some(self.polls);
                Some((at, if was_pending { WaitHow::Cancelled } else { WaitHow::Unknown }))
            }
            _ => None,
        }
    }
}

impl Run {
    /// Takes in what an update says of operations.
    pub(super) fn ops_of(
        &mut self,
        update: AsyncOpUpdate,
        polled: &[PollOp],
        kind: Kind,
        is_complete: bool,
        has_dropped: bool,
    ) {
        let AsyncOpUpdate { new_async_ops, stats_update, .. } = update;
        if is_complete {
            self.end_missing_ops(&stats_update);
        }
        // What their polls came to meanwhile may not be told.
        if has_dropped || kind != Kind::Later {
            self.ops.open.values_mut().for_each(|op| op.pending_polls = None);
        }
        let mut reused = HashSet::new();
        for introduction in new_async_ops {
            let Some(span) = introduction.id.as_ref().map(|id| id.id) else { continue };
            let stats = stats_update.get(&span);
            let made_at = stats.and_then(|it| unix(&it.created_at));
            let ended_at = stats.and_then(|it| unix(&it.dropped_at));
            let before = self.ops.by_span.get(&span).copied();
            if before.is_none() && ended_at.is_some_and(|at| self.was_before(at, kind)) {
                continue;
            }
            self.introduce_op(span, made_at, &introduction);
            if before.is_some() && self.ops.by_span.get(&span).copied() != before {
                reused.insert(span);
            }
        }
        let mut touched: HashSet<OpId> = std::mem::take(&mut self.ops.over).into_iter().collect();
        for (span, stats) in &stats_update {
            if let Some(&id) = self.ops.by_span.get(span) {
                self.follow_op(id, stats);
                touched.insert(id);
            } else {
                self.unseen(RecordKind::Wait, *span, unix(&stats.created_at));
            }
        }
        for polled in polled {
            let span = polled.async_op_id.as_ref().map(|id| id.id);
            // It may be the one before that was polled.
            let span = span.filter(|span| !reused.contains(span));
            let Some(&id) = span.and_then(|span| self.ops.by_span.get(&span)) else { continue };
            if let Some(op) = self.ops.open.get_mut(&id) {
                op.is_ready = Some(polled.is_ready);
                let is_last = !polled.is_ready && !op.is_polled() && !has_dropped;
                op.pending_polls = is_last.then_some(op.polls);
                touched.insert(id);
            }
        }
        touched.into_iter().for_each(|id| self.consider(id));
    }

    fn introduce_op(&mut self, span: u64, made_at: Option<i64>, introduction: &AsyncOp) {
        if let Some(&id) = self.ops.by_span.get(&span) {
            let known = self.ops.open.get(&id).and_then(|op| op.made_at);
            if known.is_some() && known == made_at {
                return;
            }
            self.end_op(id, made_at.unwrap_or(self.unix_now()));
        }
        // What is inside of another is part of it.
        if introduction.parent_async_op_id.is_some() {
            return;
        }
        let resource = introduction.resource_id.as_ref().map(|id| id.id);
        let Some(resource) = resource.and_then(|span| self.resources.with_span(span)) else {
            return;
        };
        if self.ops.open.len() >= MAX_OPS {
            return self.lose_once(RecordKind::Wait, span, made_at);
        }
        let source = introduction.source.as_str();
        let known = OPS.iter().find(|(name, ..)| source.starts_with(name));
        let (name, goes_away) = known.map_or(("wait", false), |&(_, op, goes)| (op, goes));
        self.ops.given += 1;
        let id = OpId(self.ops.given);
        let op = Op {
            span,
            made_at,
            resource,
            is_shy: self.is_shy(resource),
            name,
            goes_away,
            task: None,
            polls: 0,
            last_poll_started: None,
            last_poll_ended: None,
            ended_at: None,
            is_ready: None,
            pending_polls: None,
            wait: None,
            is_told: false,
            has_news: false,
            patience: 0,
        };
        self.ops.by_span.insert(span, id);
        self.ops.open.insert(id, op);
    }

    fn follow_op(&mut self, id: OpId, stats: &Stats) {
        let Some(op) = self.ops.open.get_mut(&id) else { return };
        let polls = stats.poll_stats.as_ref();
        let started = polls.and_then(|it| unix(&it.last_poll_started));
        let ended = polls.and_then(|it| unix(&it.last_poll_ended));
        op.made_at = op.made_at.or(unix(&stats.created_at));
        op.task = stats.task_id.as_ref().map(|id| id.id).filter(|id| *id != 0).or(op.task);
        op.polls = op.polls.max(polls.map_or(0, |it| it.polls));
        op.last_poll_started = op.last_poll_started.max(started);
        op.last_poll_ended = op.last_poll_ended.max(ended);
        op.ended_at = op.ended_at.or(unix(&stats.dropped_at));
    }

    /// Whether there is something to tell of an operation, or nothing ever will be.
    fn consider(&mut self, id: OpId) {
        let Some(op) = self.ops.open.get_mut(&id) else { return };
        let is_over = op.ended_at.is_some();
        if is_over {
            op.patience += 1;
        }
        if op.wait.is_none() && (op.waits() || is_over && op.has_waited()) {
            self.ops.waits += 1;
            op.wait = Some(WaitId(self.ops.waits));
        }
        let is_decided = op.end().is_some();
        if op.wait.is_none() {
            if is_over {
                self.forget_op(id);
            }
            return;
        }
        if is_over && !is_decided {
            self.ops.over.push(id);
        }
        let is_news = !op.is_told || is_decided;
        if is_news && !std::mem::replace(&mut op.has_news, true) {
            self.tell_of(Subject::Op(id));
        }
    }

    fn forget_op(&mut self, id: OpId) {
        if let Some(op) = self.ops.open.remove(&id)
            && self.ops.by_span.get(&op.span) == Some(&id)
        {
            self.ops.by_span.remove(&op.span);
        }
    }

    /// The span is another's now, or gone: nobody will tell how it ended.
    fn end_op(&mut self, id: OpId, at: i64) {
        if let Some(op) = self.ops.open.get_mut(&id) {
            op.ended_at = op.ended_at.or(Some(at));
            (op.patience, op.pending_polls) = (PATIENCE, None);
            self.consider(id);
        }
    }

    fn end_missing_ops(&mut self, stats: &HashMap<u64, Stats>) {
        let spans = self.ops.by_span.iter();
        let missing: Vec<OpId> =
            spans.filter(|(span, _)| !stats.contains_key(span)).map(|(_, id)| *id).collect();
        let now = self.unix_now();
        missing.into_iter().for_each(|id| self.end_op(id, now));
    }

    /// Tells that a wait began or ended.
    pub(super) fn tell_op(&mut self, id: OpId, out: &mut Out) {
        let Some(op) = self.ops.open.get_mut(&id) else { return };
        op.has_news = false;
        let Some(wait) = op.wait else { return };
        let was_told = std::mem::replace(&mut op.is_told, true);
        let (origin, now) = (self.origin, self.now);
        let at = |unix: i64| Nanos(unix.saturating_sub(origin).max(1).cast_unsigned());
        let (resource, is_shy, name, end) = (op.resource, op.is_shy, op.name, op.end());
        let began_at = op.began_at().map_or(now, at);
        let task = op.task.map_or(TaskId::NONE, |span| self.tasks.with_span(span));
        if !was_told && is_shy && !self.is_open(resource) {
            // A timer that is gone, and of which nobody was told.
            return self.forget_op(id);
        }
        if !was_told {
            self.open_resource(resource, out);
            let kind = EventKind::WaitBegan {
                wait,
                task,
                resource,
                op: name.to_owned(),
                location: LocationId::NONE,
                amount: 0,
                holders: Vec::new(),
            };
            out.push(Event { at: began_at, kind });
        }
        if let Some((ended_at, how)) = end {
            let kind = EventKind::WaitEnded { wait, how };
            out.push(Event { at: at(ended_at).max(began_at), kind });
            self.forget_op(id);
        }
    }
}
