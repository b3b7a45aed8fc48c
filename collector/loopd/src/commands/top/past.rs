//! Tasks and resources as they were at an instant, asked in SQL of the views that everybody can query.
//!
//! The instant is the end of what is known: a task that ended later is there, a poll that ended later is
//! cut. What a task did is added up over a window before it, because what it did in all its life until then
//! would cost as much as its life was long.

use anyhow::{Context, anyhow};
use loopd_analysis::slow::short_path;
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::query::{QueryRequest, QueryView};
use loopd_dashboard::views::resources::State;
use loopd_dashboard::views::task_filter;
use loopd_dashboard::views::text::UnixNanosText;
use loopd_model::UnixNanos;
use loopd_store::TaskSort;
use serde_json::Value;

use super::ask::{Ask, List};
use super::lines::{ResourceLine, TaskLine, slow};
use crate::commands::source::Source;

/// A longer look back is stopped, and said to be too much.
const TIMEOUT_MS: u64 = 5_000;

/// So long before a window polls are looked for that reach into it, where only longer ones count as slow.
const MAX_EARLIER: u64 = 10_000_000_000;

/// The tasks that were alive at `at`, with what they did in the `window` before.
pub(super) async fn tasks(
    source: &Source,
    process: &Process,
    ask: &Ask,
    (at, window): (UnixNanos, u64),
    limit: u64,
) -> anyhow::Result<List<TaskLine>> {
    let sql = tasks_sql(process, ask, (at, window), limit)?;
    let view = query(source, sql, limit).await?;
    let total = view.rows.first().and_then(|row| number(row.get(12))).unwrap_or(0);
    let rows = view.rows.iter().map(|row| task_line(process, window, row));
    Ok(List { rows: rows.collect::<Option<_>>().context(ODD)?, total, more: false })
}

const ODD: &str = "the server answered a query with other columns than were asked for; is it of another \
    version?";

fn tasks_sql(
    process: &Process,
    ask: &Ask,
    (at, window): (UnixNanos, u64),
    limit: u64,
) -> anyhow::Result<String> {
    let terms = task_filter::sql(&task_filter::parse(&ask.filter)?);
    let and = if terms.is_empty() { String::new() } else { format!("AND ({terms})") };
    let (p, t, threshold) = (process.process, at.0, process.slow_threshold);
    let from = t.saturating_sub_unsigned(window);
    // Of those that began earlier only slow ones reach into the window, and these are listed apart.
    let earlier = from.saturating_sub_unsigned(threshold.min(MAX_EARLIER));
    let columns = "task, name, kind, location, fields, spawned_at, wakes";
    // Those that ended are found by their end only if nothing else may be true.
    let alive = |end: &str| {
        format!(
            "SELECT {columns} FROM tasks WHERE process = {p} AND {end}
             AND (spawned_at IS NULL OR spawned_at <= {t}) AND kind IS NOT 'callback' {and}"
        )
    };
    let (still, later) = (alive("ended_at IS NULL"), alive(&format!("ended_at > {t}")));
    let (key, direction) = order(ask.sort, ask.is_descending);
    Ok(format!(
        "WITH t AS ({still} UNION ALL {later}),
        b AS (SELECT task, count(*) AS polls, max(start_at + length > {t}) AS running,
                sum(min(start_at + length, {t}) - max(start_at, {from})) AS busy,
                sum(length >= {threshold}) AS slow
              FROM (SELECT task, start_at, length FROM polls
                    WHERE process = {p} AND start_at >= {earlier} AND start_at < {t}
                    UNION ALL SELECT task, start_at, length FROM slow
                    WHERE process = {p} AND start_at < {earlier} AND length IS NOT NULL)
              WHERE start_at + length > {from} GROUP BY task),
        w AS (SELECT task, sum(min(woken_at + delay, {t}) - woken_at) AS scheduled,
                max(woken_at + delay > {t}) AS woken
              FROM wakes WHERE process = {p} AND woken_at >= {from} AND woken_at < {t} GROUP BY task),
        h AS (SELECT DISTINCT task FROM slow
              WHERE process = {p} AND start_at <= {t} AND length IS NULL)
        SELECT t.task, t.name, t.kind, t.location, t.fields, {t} - t.spawned_at AS total,
            coalesce(b.polls, 0) AS polls, coalesce(b.busy, 0) AS busy,
            coalesce(b.running, 0) OR h.task IS NOT NULL AS running, coalesce(b.slow, 0) AS slow,
            iif(t.wakes IS NULL, NULL, coalesce(w.scheduled, 0)) AS scheduled,
            coalesce(w.woken, 0) AS woken, count(*) OVER () AS found
        FROM t LEFT JOIN b ON b.task = t.task LEFT JOIN w ON w.task = t.task
            LEFT JOIN h ON h.task = t.task
        ORDER BY {key} {direction}, t.task LIMIT {limit}"
    ))
}

const fn order(sort: TaskSort, is_descending: bool) -> (&'static str, &'static str) {
    let key = match sort {
        TaskSort::Name => "t.name IS NULL, t.name",
        TaskSort::Location => "t.location IS NULL, t.location",
        TaskSort::Polls => "polls",
        TaskSort::BusyTime => "busy",
        TaskSort::MaxPollTime => "slow",
        TaskSort::ScheduledTime => "scheduled",
        TaskSort::State => "running",
        TaskSort::Lifetime | TaskSort::SpawnedAt => "total",
        TaskSort::Task | TaskSort::Wakes => "t.task",
    };
    (key, if is_descending { "DESC" } else { "ASC" })
}

fn task_line(process: &Process, window: u64, row: &[Value]) -> Option<TaskLine> {
    let [
        task,
        name,
        kind,
        location,
        fields,
        total,
        polls,
        busy,
        running,
        late,
        scheduled,
        woken,
        _,
    ] = row
    else {
        return None;
    };
    let total = number(Some(total));
    let busy = number(Some(busy)).unwrap_or(0);
    let scheduled = number(Some(scheduled));
    let is = |value| number(Some(value)).unwrap_or(0) > 0;
    let life = total.map_or(window, |total| total.min(window));
    Some(TaskLine {
        process: process.process,
        app: process.app.clone(),
        task: id(Some(task))?,
        name: text(name),
        kind: text(kind).unwrap_or_else(|| "unknown".into()),
        state: match (is(running), is(woken)) {
            (true, _) => "running".into(),
            (_, true) => "scheduled".into(),
            _ => "idle".into(),
        },
        location: text(location).as_deref().map(place),
        total,
        busy,
        scheduled,
        idle: scheduled.map(|scheduled| life.saturating_sub(busy.saturating_add(scheduled))),
        polls: number(Some(polls)).unwrap_or(0),
        fields: text(fields).as_deref().map(fields_text).unwrap_or_default(),
        warnings: slow(number(Some(late)).unwrap_or(0)).into_iter().collect(),
    })
}

/// The resources that were open at an instant.
pub(super) async fn resources(
    source: &Source,
    process: &Process,
    at: UnixNanos,
    limit: u64,
) -> anyhow::Result<List<ResourceLine>> {
    let (p, t) = (process.process, at.0);
    let sql = format!(
        "SELECT r.resource, r.kind, r.name, r.location, r.task, {t} - r.opened_at AS total, s.depth,
            s.capacity, s.permits, s.waiters, s.senders, s.receivers, s.locked, s.acquired,
            s.contended, s.waited_time, s.held_time, s.sent, s.received, s.lagged, s.at,
            count(*) OVER () AS found
        FROM resources r LEFT JOIN resource_states s
            ON s.process = r.process AND s.resource = r.resource AND s.at =
                (SELECT max(at) FROM resource_states x
                 WHERE x.process = {p} AND x.resource = r.resource AND x.at <= {t})
        WHERE r.process = {p} AND r.opened_at <= {t} AND (r.closed_at IS NULL OR r.closed_at > {t})
        ORDER BY r.opened_at LIMIT {limit}"
    );
    let view = query(source, sql, limit).await?;
    let total = view.rows.first().and_then(|row| number(row.get(21))).unwrap_or(0);
    let rows = view.rows.iter().map(|row| resource_line(process, row));
    Ok(List { rows: rows.collect::<Option<_>>().context(ODD)?, total, more: false })
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
