//! Operations on resources: who waits for what.
//!
//! That an operation is open does not say that somebody waits in it: a timer has one as long as it lives,
//! and one that was ready may be kept. It is a wait where it was polled by a task, is not being polled, and
//! either always goes away when it is ready, or was last seen not to be.

use std::collections::{HashMap, HashSet};

use console_api::async_ops::{AsyncOp, AsyncOpUpdate, Stats};
use console_api::resources::PollOp;
use loopd_model::{
    DropCause, Event, EventKind, LocationId, Nanos, RecordKind, ResourceId, TaskId, WaitHow, WaitId,
};

use super::super::values::unix;
use super::{Kind, Out, Run, Subject};

/// Operations that are open.
const MAX_OPS: usize = 1 << 16;
/// So many updates after the end of a wait it is still waited for how it ended: the poll that ended it is
/// told by way of a queue, the end itself is not.
const PATIENCE: u32 = 3;

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
    /// What its last poll came to, as far as that was told.
    is_ready: Option<bool>,
    /// `None` until it is a wait.
    wait: Option<WaitId>,
    /// Whether that was told.
    is_told: bool,
    has_news: bool,
    /// Updates that have come since it was over.
    patience: u32,
}

impl Op {
    fn waits(&self) -> bool {
        let is_polled = self.last_poll_started > self.last_poll_ended;
        let is_pending =
            if self.goes_away { self.is_ready != Some(true) } else { self.is_ready == Some(false) };
        self.task.is_some() && !is_polled && is_pending && self.ended_at.is_none()
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

    /// When what it waited for was there, and how it ended.
    fn end(&self) -> Option<(i64, WaitHow)> {
        match (self.is_ready, self.ended_at) {
            (Some(true), ended_at) => Some((self.last_poll_ended.or(ended_at)?, WaitHow::Ready)),
            (Some(false), Some(at)) => Some((at, WaitHow::Cancelled)),
            // The word of its last poll was lost; most are ready in the end.
            (None, Some(at)) if self.patience >= PATIENCE => Some((at, WaitHow::Ready)),
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
    ) {
        let AsyncOpUpdate { new_async_ops, stats_update, .. } = update;
        if is_complete {
            self.end_missing_ops(&stats_update);
        }
        for introduction in new_async_ops {
            let Some(span) = introduction.id.as_ref().map(|id| id.id) else { continue };
            let stats = stats_update.get(&span);
            let made_at = stats.and_then(|it| unix(&it.created_at));
            let is_over = stats.is_some_and(|it| it.dropped_at.is_some());
            if kind == Kind::Initial && is_over && !self.ops.by_span.contains_key(&span) {
                continue;
            }
            self.introduce_op(span, made_at, &introduction);
        }
        let mut touched: HashSet<OpId> = std::mem::take(&mut self.ops.over).into_iter().collect();
        for polled in polled {
            let span = polled.async_op_id.as_ref().map(|id| id.id);
            let Some(&id) = span.and_then(|span| self.ops.by_span.get(&span)) else { continue };
            if let Some(op) = self.ops.open.get_mut(&id) {
                op.is_ready = Some(polled.is_ready);
                touched.insert(id);
            }
        }
        for (span, stats) in &stats_update {
            if let Some(&id) = self.ops.by_span.get(span) {
                self.follow_op(id, stats);
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
            self.books.lose(RecordKind::Wait, DropCause::AgentLimit, 1, self.now);
            return;
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
            op.patience = PATIENCE;
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
