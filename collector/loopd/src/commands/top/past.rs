//! Tasks and resources as they were at an instant, asked in SQL of the views that everybody can query.
//!
//! The instant is the end of what is known: a task that ended later is there, a poll that ended later is
//! cut. What a task did is added up over a window before it, because what it did in all its life until then
//! would cost as much as its life was long.

use std::collections::HashMap;

use anyhow::{Context, anyhow};
use loopd_analysis::capture::Capture;
use loopd_analysis::slow::short_path;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::query::{QueryRequest, QueryView};
use loopd_dashboard::views::region::RegionFilter;
use loopd_dashboard::views::resources::State;
use loopd_dashboard::views::task_filter;
use loopd_dashboard::views::tasks::TaskFilter;
use loopd_dashboard::views::text::UnixNanosText;
use loopd_model::{TaskId, TaskKind, UnixNanos};
use loopd_store::{TaskSort, TaskState};
use serde_json::Value;

use super::ask::{Ask, List};
use super::lines::{ResourceLine, TaskLine, slow};
use crate::commands::source::Source;

/// A longer look back is stopped, and said to be too much.
const TIMEOUT_MS: u64 = 5_000;

/// So long before a window all polls and wakes are looked at that may reach into it,
const NEAR: u64 = 10_000_000_000;
/// and so long only slow polls, and delays beyond [`NEAR`]: both are few, or skipped by their lengths. Of
/// what began earlier still nothing is known.
const FAR: u64 = 3_600_000_000_000;

/// Jobs that run at a time: more threads than that no runtime has, unless told so.
const MAX_JOBS: u64 = 1_000;

/// The tasks that were alive at `at`, with what they did in the `window` before.
pub(super) async fn tasks(
    source: &Source,
    process: &Process,
    ask: &Ask,
    (at, window): (UnixNanos, u64),
    limit: u64,
) -> anyhow::Result<List<TaskLine>> {
    let past = Past::new(source, process, (at, window)).await?;
    let view = query(source, past.sql(ask, limit)?, limit).await?;
    let total = view.rows.first().and_then(|row| number(row.get(12))).unwrap_or(0);
    let rows = view.rows.iter().map(|row| past.line(row));
    let mut rows = rows.collect::<Option<Vec<_>>>().context(ODD)?;
    let is_job = |row: &[Value]| number(row.get(14)).unwrap_or(0) > 0;
    if view.rows.iter().any(|row| is_job(row)) {
        let started = started_jobs(source, process.process).await?;
        for line in &mut rows {
            if let Some(&started_at) = started.get(&line.task) {
                past.add_job(line, started_at);
            }
        }
    }
    Ok(List { rows, total, ..List::default() })
}

const ODD: &str = "the server answered a query with other columns than were asked for; is it of another \
    version?";

/// Blocking jobs that have not ended, and since when they run: that is in no view of SQL.
async fn started_jobs(source: &Source, process: i64) -> anyhow::Result<HashMap<u64, i64>> {
    let filter = TaskFilter {
        process: Some(process),
        state: Some(TaskState::Alive),
        kind: Some(TaskKind::Blocking),
        sort: TaskSort::BusyTime,
        desc: true,
        limit: MAX_JOBS,
        ..TaskFilter::default()
    };
    let view = source.tasks(&filter).await?;
    let started = view.rows.into_iter().filter(|task| task.polls > 0).filter_map(|task| {
        let running = i64::try_from(task.lifetime.saturating_sub(task.busy_time)).ok()?;
        Some((task.task.0, task.spawned_at?.0.saturating_add(running)))
    });
    Ok(started.collect())
}

/// A window of a process.
struct Past<'p> {
    process: &'p Process,
    from: i64,
    at: i64,
    /// Whether the polls and wakes in it are there, one by one.
    has_spans: bool,
}

impl<'p> Past<'p> {
    async fn new(
        source: &Source,
        process: &'p Process,
        (at, window): (UnixNanos, u64),
    ) -> anyhow::Result<Self> {
        // Nobody did anything before it began.
        let start = process.started_at.0.min(at.0.saturating_sub(1));
        let from = at.0.saturating_sub_unsigned(window).max(start);
        let has_spans = process.capture() == Capture::Records && {
            // Of a task that nobody has it is found out soonest whether the polls of a range are kept.
            let filter = RegionFilter {
                process: Some(process.process),
                from: Some(UnixNanos(from)),
                to: Some(at),
                task: Some(NOBODY),
                ..RegionFilter::default()
            };
            source.region(&filter).await?.exact
        };
        Ok(Self { process, from, at: at.0, has_spans })
    }

    fn sql(&self, ask: &Ask, limit: u64) -> anyhow::Result<String> {
        let terms = task_filter::sql(&task_filter::parse(&ask.filter)?);
        let and = if terms.is_empty() { String::new() } else { format!("AND ({terms})") };
        let (p, from, t) = (self.process.process, self.from, self.at);
        let columns = "task, name, kind, location, fields, spawned_at, wakes, ended_at, \
            polls AS all_polls, busy_time AS all_busy";
        // Those that ended are found by their end only if nothing else may be true.
        let alive = |end: &str| {
            format!(
                "SELECT {columns} FROM tasks WHERE process = {p} AND {end}
                 AND (spawned_at IS NULL OR spawned_at <= {t}) AND kind IS NOT 'callback' {and}"
            )
        };
        let (still, later) = (alive("ended_at IS NULL"), alive(&format!("ended_at > {t}")));
        let (key, direction) = order(ask.sort, ask.is_descending);
        let (polls, wakes) = (self.polls_sql(), self.wakes_sql());
        let far = from.saturating_sub_unsigned(FAR);
        // Of a job that ended its start follows from its length; it has no polls.
        Ok(format!(
            "WITH t AS ({still} UNION ALL {later}), b AS ({polls}), w AS ({wakes}),
            h AS MATERIALIZED (SELECT task FROM slow
                WHERE process = {p} AND start_at >= {far} AND start_at <= {t} AND length IS NULL),
            j AS (SELECT *, iif(kind = 'blocking' AND all_polls = 1, ended_at - all_busy, NULL)
                AS started_at FROM t)
            SELECT t.task, t.name, t.kind, t.location, t.fields, {t} - t.spawned_at AS total,
                coalesce(b.polls, t.started_at <= {t}, 0) AS polls,
                coalesce(b.busy, max(0, {t} - max(t.started_at, {from})), 0) AS busy,
                coalesce(b.running, t.started_at <= {t}, 0) OR t.task IN (SELECT task FROM h)
                    AS running,
                coalesce(b.slow, 0) AS slow,
                iif(t.wakes IS NULL, NULL, coalesce(w.scheduled, 0)) AS scheduled,
                coalesce(w.woken, 0) AS woken, count(*) OVER () AS found, t.started_at,
                t.kind = 'blocking' AND t.ended_at IS NULL AND t.all_polls > 0 AS is_job
            FROM j t LEFT JOIN b ON b.task = t.task LEFT JOIN w ON w.task = t.task
            ORDER BY {key} {direction}, t.task LIMIT {limit}"
        ))
    }

    /// What polls add up to.
    fn polls_sql(&self) -> String {
        if !self.has_spans {
            return "SELECT NULL AS task, NULL AS polls, NULL AS busy, NULL AS running, NULL AS slow
                WHERE 0"
                .into();
        }
        let (p, from, t) = (self.process.process, self.from, self.at);
        let threshold = self.process.slow_threshold;
        // Of those that began earlier only slow ones reach into the window, and these are listed apart.
        let earlier = from.saturating_sub_unsigned(threshold.min(NEAR));
        let far = from.saturating_sub_unsigned(FAR);
        format!(
            "SELECT task, count(*) AS polls, max(start_at + length > {t}) AS running,
                sum(min(start_at + length, {t}) - max(start_at, {from})) AS busy,
                sum(length >= {threshold}) AS slow
            FROM (SELECT task, start_at, length FROM polls
                  WHERE process = {p} AND start_at >= {earlier} AND start_at < {t}
                  UNION ALL SELECT task, start_at, length FROM slow
                  WHERE process = {p} AND start_at >= {far} AND start_at < {earlier}
                    AND length IS NOT NULL)
            WHERE start_at + length > {from} GROUP BY task"
        )
    }

    /// What tasks that were woken waited for their polls. A wake is known once its poll has begun.
    fn wakes_sql(&self) -> String {
        if !self.has_spans {
            return "SELECT NULL AS task, NULL AS scheduled, NULL AS woken WHERE 0".into();
        }
        let (p, from, t) = (self.process.process, self.from, self.at);
        let (near, far) = (from.saturating_sub_unsigned(NEAR), from.saturating_sub_unsigned(FAR));
        format!(
            "SELECT task, sum(min(woken_at + delay, {t}) - max(woken_at, {from})) AS scheduled,
                max(woken_at + delay > {t}) AS woken
            FROM (SELECT task, woken_at, delay FROM wakes
                  WHERE process = {p} AND woken_at >= {near} AND woken_at < {t}
                  UNION ALL SELECT task, woken_at, delay FROM wakes
                  WHERE process = {p} AND woken_at >= {far} AND woken_at < {near}
                    AND delay >= {NEAR})
            WHERE woken_at + delay > {from} GROUP BY task"
        )
    }

    fn line(&self, row: &[Value]) -> Option<TaskLine> {
        let count = |column: usize| number(row.get(column));
        let words = |column: usize| row.get(column).and_then(text);
        let is = |column: usize| count(column).unwrap_or(0) > 0;
        // The start of a job says all of it, whatever else is known.
        let has_polls = self.has_spans || row.get(13).and_then(whole).is_some();
        let (total, busy) = (count(5), count(7).filter(|_| has_polls));
        let scheduled = count(10).filter(|_| self.has_spans);
        let life = self.life(total);
        Some(TaskLine {
            process: self.process.process,
            app: self.process.app.clone(),
            task: id(row.first())?,
            name: words(1),
            kind: words(2).unwrap_or_else(|| "unknown".into()),
            state: match (is(8), is(11)) {
                (true, _) => "running".into(),
                (_, true) => "scheduled".into(),
                _ if has_polls => "idle".into(),
                _ => String::new(),
            },
            location: words(3).as_deref().map(place),
            total,
            busy,
            scheduled,
            idle: busy
                .zip(scheduled)
                .map(|(busy, scheduled)| life.saturating_sub(busy.saturating_add(scheduled))),
            polls: count(6).filter(|_| has_polls),
            fields: words(4).as_deref().map(fields_text).unwrap_or_default(),
            warnings: slow(count(9).unwrap_or(0)).into_iter().collect(),
        })
    }

    /// So much of the window a task lived.
    fn life(&self, total: Option<u64>) -> u64 {
        let window = self.at.abs_diff(self.from);
        total.map_or(window, |total| total.min(window))
    }

    /// What a job did that has not ended: it is one long poll.
    fn add_job(&self, line: &mut TaskLine, started_at: i64) {
        if line.kind != "blocking" {
            return;
        }
        if started_at > self.at {
            // It is in the queue.
            (line.busy, line.polls) = (Some(0), Some(0));
            return;
        }
        line.busy = Some(self.at.abs_diff(started_at.max(self.from)));
        line.polls = Some(1);
        line.state = "running".into();
    }
}

/// No task has this id.
const NOBODY: TaskId = TaskId(i64::MAX as u64);

const fn order(sort: TaskSort, is_descending: bool) -> (&'static str, &'static str) {
    let key = match sort {
        TaskSort::Name => "t.name IS NULL, t.name",
        TaskSort::Location => "t.location IS NULL, t.location",
        TaskSort::Polls => "polls",
        TaskSort::BusyTime => "busy",
        TaskSort::MaxPollTime => "slow",
        TaskSort::ScheduledTime => "t.wakes IS NULL, scheduled",
        TaskSort::State => "running",
        TaskSort::Lifetime | TaskSort::SpawnedAt => "t.spawned_at IS NULL, total",
        TaskSort::Task | TaskSort::Wakes => "t.task",
    };
    (key, if is_descending { "DESC" } else { "ASC" })
}

/// Which resources are looked for.
#[derive(Clone, Copy)]
pub(super) enum Which {
    OldestFirst,
    NewestFirst,
    One(u64),
}

/// The resources that were open at an instant.
pub(super) async fn resources(
    source: &Source,
    process: &Process,
    at: UnixNanos,
    which: Which,
    limit: u64,
) -> anyhow::Result<List<ResourceLine>> {
    let (p, t) = (process.process, at.0);
    let (one, direction) = match which {
        Which::OldestFirst => (String::new(), "ASC"),
        Which::NewestFirst => (String::new(), "DESC"),
        Which::One(resource) => (format!("AND resource = {}", resource.cast_signed()), "ASC"),
    };
    let open = |end: &str| format!("SELECT * FROM resources WHERE process = {p} AND {end} {one}");
    let still = open(&format!("closed_at IS NULL AND opened_at <= {t}"));
    // Of those that closed only the later ones are looked at: with the sign no index of openings is of use.
    let later = format!("closed_at > {t} AND closed_at < {} AND +opened_at <= {t}", i64::MAX);
    let later = open(&later);
    let sql = format!(
        "SELECT r.resource, r.kind, r.name, r.location, r.task, {t} - r.opened_at AS total, s.depth,
            s.capacity, s.permits, s.waiters, s.senders, s.receivers, s.locked, s.acquired,
            s.contended, s.waited_time, s.held_time, s.sent, s.received, s.lagged, s.at, r.found
        FROM (SELECT *, count(*) OVER () AS found
              FROM ({still} UNION ALL {later}) ORDER BY opened_at {direction} LIMIT {limit}) r
            LEFT JOIN resource_states s
            ON s.process = r.process AND s.resource = r.resource AND s.at =
                (SELECT max(at) FROM resource_states x
                 WHERE x.process = {p} AND x.resource = r.resource AND x.at <= {t})
        ORDER BY r.opened_at {direction}"
    );
    let view = query(source, sql, limit).await?;
    let total = view.rows.first().and_then(|row| number(row.get(21))).unwrap_or(0);
    let rows = view.rows.iter().map(|row| resource_line(process, row));
    let rows = rows.collect::<Option<_>>().context(ODD)?;
    Ok(List { rows, total, ..List::default() })
}

fn resource_line(process: &Process, row: &[Value]) -> Option<ResourceLine> {
    let count = |column: usize| number(row.get(column));
    let words = |column: usize| row.get(column).and_then(text);
    let state = |at: u64| State {
        at: UnixNanosText(at.cast_signed()),
        depth: count(6),
        capacity: count(7),
        permits: count(8),
        waiters: count(9),
        senders: count(10),
        receivers: count(11),
        locked: count(12).map(|locked| locked > 0),
        acquired: count(13),
        contended: count(14),
        waited_time: count(15),
        held_time: count(16),
        sent: count(17),
        received: count(18),
        lagged: count(19),
    };
    Some(ResourceLine {
        process: process.process,
        app: process.app.clone(),
        resource: id(row.first())?,
        kind: words(1).unwrap_or_default(),
        name: words(2).unwrap_or_default(),
        location: words(3).as_deref().map(place),
        task: id(row.get(4)),
        total: count(5).unwrap_or(0),
        how: None,
        state: count(20).map(state),
    })
}

async fn query(source: &Source, sql: String, limit: u64) -> anyhow::Result<QueryView> {
    let limit = usize::try_from(limit).ok();
    let request = QueryRequest { sql, limit, timeout_ms: Some(TIMEOUT_MS) };
    source.query(&request).await.map_err(|error| {
        anyhow!(
            "the past could not be looked at: {error:#}; a shorter --last or one --app is less work"
        )
    })
}

/// A count.
fn number(value: Option<&Value>) -> Option<u64> {
    whole(value?).map(|number| number.max(0).cast_unsigned())
}

/// An id; SQL has it with a sign.
fn id(value: Option<&Value>) -> Option<u64> {
    whole(value?).map(i64::cast_unsigned)
}

/// An integer; those beyond 2^53 come as text.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// `file:line` with the path as short as everywhere.
fn place(location: &str) -> String {
    match location.rsplit_once(':') {
        Some((file, line)) => format!("{}:{line}", short_path(file)),
        None => location.to_owned(),
    }
}

/// Fields, which are stored as JSON.
fn fields_text(json: &str) -> String {
    let fields = serde_json::from_str(json).unwrap_or_default();
    loopd_dashboard::views::marks::fields_text(&fields)
}
