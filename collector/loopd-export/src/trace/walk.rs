//! Reads a recording and tells it to a format.

use std::collections::{HashMap, HashSet};

use loopd_store::{ProcessKey, Value};

use super::flows::Flows;
use super::lanes::{LaneKey, Lanes, Tracks};
use super::rows::Rows;
use super::sink::{Arg, Instant, Process, Shows, Sink, Slice, TaskRow};
use crate::names::Names;
use crate::source::{integer, text};
use crate::{ExportError, Source};

/// Tells a whole selection.
pub(super) fn walk(source: &Source, sink: &mut impl Sink) -> Result<(), ExportError> {
    let mut processes = Vec::new();
    let mut tracks = Tracks::new();
    let mut pids = HashSet::new();
    let columns = "process, app, app_version, host, pid, labels, started_at, id";
    source.each("processes", columns, |row| {
        let (key, track) = (ProcessKey(integer(&row[0])), tracks.next());
        processes.push((key, process(row, track, &mut pids)));
        Ok::<_, ExportError>(())
    })?;
    let first = processes.iter().map(|(_, process)| process.started_at).min().unwrap_or(0);
    sink.begin(first.max(source.selection().bounds().0))?;
    let mut losses = 0;
    for (key, process) in &processes {
        sink.process(process)?;
        let names = Names::new(*key);
        let mut walk = Walk { source, sink, tracks: &mut tracks, key: *key, process, names };
        losses += walk.losses()?;
        let mut lanes = walk.lanes()?;
        walk.reaching_in(&mut lanes)?;
        walk.spans(&mut lanes)?;
        walk.samples(&mut lanes)?;
        walk.marks()?;
        walk.metrics()?;
        walk.alive()?;
        walk.waits()?;
        walk.app_spans()?;
    }
    sink.end(&[("lost_records", losses.to_string())])
}

fn process(row: &[Value], track: u64, pids: &mut HashSet<i32>) -> Process {
    let key = integer(&row[0]);
    // Viewers take one number for one process; runs of a container all have 1.
    let mut pid = i32::try_from(integer(&row[4])).unwrap_or(0);
    if pid <= 0 || !pids.insert(pid) {
        pid = (FREE_PID as i64).saturating_add(key).min(i64::from(i32::MAX)) as i32;
        pids.insert(pid);
    }
    let said = |key: &str, value: &Value| {
        Some(text(value)).filter(|text| !text.is_empty()).map(|text| format!("{key}={text}"))
    };
    let mut labels: Vec<_> = [("version", &row[2]), ("host", &row[3]), ("id", &row[7])]
        .into_iter()
        .filter_map(|(key, value)| said(key, value))
        .collect();
    labels.push(format!("pid={}", integer(&row[4])));
    let own: serde_json::Map<_, _> = serde_json::from_str(text(&row[5])).unwrap_or_default();
    let own = own.iter().filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)));
    labels.extend(own);
    Process { track, pid, name: text(&row[1]).to_owned(), labels, started_at: integer(&row[6]) }
}

/// Beyond the process ids of any system.
const FREE_PID: i32 = 1 << 30;
/// The count of tasks alive is told no more often than this, in ns.
const ALIVE_STEP: i64 = 1_000_000;

struct Walk<'a, S> {
    source: &'a Source,
    sink: &'a mut S,
    tracks: &'a mut Tracks,
    key: ProcessKey,
    process: &'a Process,
    names: Names,
}

impl<S: Sink> Walk<'_, S> {
    /// Losses come first, so that whoever reads the trace from its start knows of them. Returns how
    /// many records were lost.
    fn losses(&mut self) -> Result<i64, ExportError> {
        let (mut lost, mut track) = (0i64, None);
        let columns = "kind, cause, count, from_at, to_at";
        let Self { source, sink, tracks, process, .. } = self;
        source.each_of(self.key, "losses", columns, |row| {
            let track = match track {
                Some(track) => track,
                None => {
                    let new = tracks.next();
                    sink.track(process, new, "losses", Shows::Process)?;
                    *track.insert(new)
                }
            };
            let kind = if text(&row[0]).is_empty() { "record" } else { text(&row[0]) };
            let (count, from, to) = (integer(&row[2]), integer(&row[3]), integer(&row[4]));
            lost = lost.saturating_add(count);
            let args = [
                ("cause", Arg::Text(text(&row[1]))),
                ("count", Arg::Integer(count)),
                ("lost_for_ns", Arg::Integer(to.saturating_sub(from))),
            ];
            let name = format!("lost: {kind}");
            let instant = Instant {
                at: from,
                name: &name,
                category: "loss",
                flow: None,
                args: &args,
                stack: &[],
            };
            sink.instant(track, &instant)
        })?;
        Ok(lost)
    }

    fn lanes(&mut self) -> Result<Lanes, ExportError> {
        let mut lanes = Lanes::default();
        let Self { source, sink, tracks, process, .. } = self;
        source.each_of(self.key, "loops", "loop, name", |row| {
            lanes.name_loop(integer(&row[0]), text(&row[1]));
            Ok::<_, ExportError>(())
        })?;
        let columns = "loop, worker, thread_name, thread_id";
        source.each_of(self.key, "workers", columns, |row| {
            let thread_id = Some(integer(&row[3]));
            let thread = (text(&row[2]), thread_id);
            lanes.declare(*sink, tracks, process, lane_of(row), thread).map(drop)
        })?;
        Ok(lanes)
    }

    /// Polls, parks and wakes, in order of time over all workers. Slow polls outlive the others in a
    /// store: those that are left of polls which have gone stand for themselves.
    fn spans(&mut self, lanes: &mut Lanes) -> Result<(), ExportError> {
        const SQL: &str = "
            SELECT loop, worker, 1 AS kind, start_at AS at, length, task, NULL AS by_task FROM polls
            WHERE process = ?1 AND start_at >= ?2 AND start_at < ?3
            UNION ALL SELECT loop, worker, 2, start_at, length, 0, NULL FROM parks
            WHERE process = ?1 AND start_at >= ?2 AND start_at < ?3
            UNION ALL SELECT loop, worker, 0, woken_at, delay, task, by_task FROM wakes
            WHERE process = ?1 AND woken_at >= ?2 AND woken_at < ?3
            UNION ALL SELECT loop, worker, 3, start_at, length, task, NULL FROM slow
            WHERE process = ?1 AND start_at >= ?2 AND start_at < ?3 AND length IS NOT NULL
            ORDER BY at, kind, length DESC";
        let mut flows = Flows::default();
        let (mut polls, mut parks, mut wakes) = (0, 0, 0);
        let (mut now, mut polled_now) = (0, Vec::new());
        let process = self.process;
        for (from, to) in self.source.steps(self.key)? {
            let binds = [self.key.0, from, to].map(Value::Integer);
            let Self { source, sink, tracks, names, .. } = self;
            source.rows(SQL, &binds, |row| {
                let lane = lane_of(row);
                let track = lanes.track(*sink, tracks, process, lane)?;
                let (at, length, task) = (integer(&row[3]), integer(&row[4]), integer(&row[5]));
                if at != now {
                    now = at;
                    polled_now.clear();
                }
                match integer(&row[2]) {
                    3 if polled_now.contains(&lane) => Ok(()),
                    0 => {
                        wakes += 1;
                        let by_task = Some(integer(&row[6])).filter(|task| *task != 0);
                        let found = flows.wake(lane, (at, length), task, by_task);
                        let Some((waker, flow)) = found else { return Ok(()) };
                        let args = [("task", Arg::Id(task as u64))];
                        let instant = Instant {
                            at,
                            name: "wake",
                            category: "wake",
                            flow: Some(flow),
                            args: &args,
                            stack: &[],
                        };
                        sink.instant(waker, &instant)
                    }
                    kind @ (1 | 3) => {
                        polls += 1;
                        if kind == 1 {
                            polled_now.push(lane);
                        }
                        let names = names.task(source, task)?;
                        let woken = flows.poll((track, lane), (at, length), task);
                        let args = [
                            ("task", Arg::Id(task as u64)),
                            ("name", Arg::Text(&names.name)),
                            ("wake_delay_ns", Arg::Integer(woken.delay.unwrap_or(0))),
                        ];
                        let shown = if woken.delay.is_some() { 3 } else { 2 };
                        let name = names.of_polls();
                        let args = &args[..shown];
                        let (category, flow) = ("poll", woken.flow);
                        sink.slice(track, &Slice { at, length, name, category, flow, args })
                    }
                    _ => {
                        parks += 1;
                        let (name, category) = ("park", "park");
                        let slice = Slice { at, length, name, category, flow: None, args: &[] };
                        sink.slice(track, &slice)
                    }
                }
            })?;
        }
        self.source.count("polls", polls);
        self.source.count("parks", parks);
        self.source.count("wakes", wakes);
        Ok(())
    }

    /// Slow polls that are not among those of the range, and may be why somebody looks: their end has
    /// not been seen, or they began before the range and last into it.
    fn reaching_in(&mut self, lanes: &mut Lanes) -> Result<(), ExportError> {
        const SQL: &str = "
            SELECT s.loop, s.worker, s.start_at, s.length, s.task, short_path(s.location), p.last_at
            FROM slow s JOIN processes p ON p.process = s.process
            WHERE s.process = ?1 AND s.start_at < ?3
              AND ((s.length IS NULL AND p.last_at >= ?2)
                   OR (s.start_at < ?2 AND s.start_at + s.length > ?2))
            ORDER BY s.start_at";
        let (from, to) = self.source.selection().bounds();
        let binds = [self.key.0, from, to].map(Value::Integer);
        let process = self.process;
        let Self { source, sink, tracks, .. } = self;
        let mut polls = 0;
        source.rows(SQL, &binds, |row| {
            polls += 1;
            let track = lanes.track(*sink, tracks, process, lane_of(row))?;
            let at = integer(&row[2]);
            let is_unfinished = row[3] == Value::Null;
            let length = match is_unfinished {
                true => integer(&row[6]).saturating_sub(at).max(0),
                false => integer(&row[3]),
            };
            let unfinished = if is_unfinished { "its end has not been seen" } else { "" };
            let args =
                [("task", Arg::Id(integer(&row[4]) as u64)), ("unfinished", Arg::Text(unfinished))];
            let name = match text(&row[5]) {
                "" => "task",
                location => location,
            };
            sink.slice(
                track,
                &Slice { at, length, name, category: "poll", flow: None, args: &args },
            )
        })?;
        self.source.count("polls", polls);
        Ok(())
    }

    /// Stacks taken in the middle of long polls.
    fn samples(&mut self, lanes: &mut Lanes) -> Result<(), ExportError> {
        let process = self.process;
        let columns = "loop, worker, at, task, stack, running, syscall, wchan";
        let Self { source, sink, tracks, names, .. } = self;
        source.each_of(self.key, "samples", columns, |row| {
            let stack = names.stack(source, integer(&row[4]))?;
            let track = lanes.track(*sink, tracks, process, lane_of(row))?;
            let frames: Vec<_> = stack.iter().map(|frame| frame.text()).collect();
            let frames = frames.join("\n");
            let args = [
                ("task", Arg::Id(integer(&row[3]) as u64)),
                ("running", Arg::Text(text(&row[5]))),
                ("syscall", Arg::Text(text(&row[6]))),
                ("wchan", Arg::Text(text(&row[7]))),
                ("stack", Arg::Text(&frames)),
            ];
            let at = integer(&row[2]);
            let (name, category) = ("stack", "sample");
            let instant = Instant { at, name, category, flow: None, args: &args, stack: &stack };
            sink.instant(track, &instant)
        })
    }

    /// Marks, and events of the program's own tracing.
    fn marks(&mut self) -> Result<(), ExportError> {
        let mut track = None;
        let columns = "at, task, level, target, message, fields, short_path(location)";
        let Self { source, sink, tracks, process, .. } = self;
        source.each_of(self.key, "marks", columns, |row| {
            let track = match track {
                Some(track) => track,
                None => {
                    let new = tracks.next();
                    sink.track(process, new, "marks", Shows::Process)?;
                    *track.insert(new)
                }
            };
            let args = [
                ("task", Arg::Id(integer(&row[1]) as u64)),
                ("level", Arg::Text(text(&row[2]))),
                ("target", Arg::Text(text(&row[3]))),
                ("fields", Arg::Text(fields(&row[5]))),
                ("location", Arg::Text(text(&row[6]))),
            ];
            let instant = Instant {
                at: integer(&row[0]),
                name: text(&row[4]),
                category: "mark",
                flow: None,
                args: &args,
                stack: &[],
            };
            sink.instant(track, &instant)
        })
    }

    /// Readings, a track for each series.
    fn metrics(&mut self) -> Result<(), ExportError> {
        let mut series: HashMap<(String, i64, Option<i64>), u64> = HashMap::new();
        let Self { source, sink, tracks, process, .. } = self;
        source.each_of(self.key, "metrics", "name, loop, worker, at, value", |row| {
            let worker = match row[2] {
                Value::Integer(worker) => Some(worker),
                _ => None,
            };
            let key = (text(&row[0]).to_owned(), integer(&row[1]), worker);
            let track = match series.get(&key) {
                Some(track) => *track,
                None => {
                    let (name, loop_id, worker) = &key;
                    let title = match (loop_id, worker) {
                        (0, _) => name.clone(),
                        (loop_id, None) => format!("{name} loop {}", *loop_id as u64),
                        (loop_id, Some(worker)) => {
                            format!("{name} loop {} worker {worker}", *loop_id as u64)
                        }
                    };
                    let unit = if name.contains("bytes") { "bytes" } else { "" };
                    let track = tracks.next();
                    sink.track(process, track, &title, Shows::Numbers { unit })?;
                    series.insert(key, track);
                    track
                }
            };
            let value = match row[4] {
                Value::Real(value) => value,
                ref value => integer(value) as f64,
            };
            sink.number(track, integer(&row[3]), value)
        })
    }

    /// How many tasks were alive, from their spawns and ends.
    fn alive(&mut self) -> Result<(), ExportError> {
        const SQL: &str = "
            SELECT max(ifnull(spawned_at, 0), ?2) AS at, 1 AS change FROM tasks
            WHERE process = ?1 AND ifnull(spawned_at, 0) < ?3 AND ifnull(ended_at, ?4) >= ?2
                AND kind IS NOT 'callback'
            UNION ALL SELECT ended_at, -1 FROM tasks
            WHERE process = ?1 AND ifnull(spawned_at, 0) < ?3 AND ended_at >= ?2 AND ended_at < ?3
                AND kind IS NOT 'callback'
            ORDER BY at";
        let (from, to) = self.source.selection().bounds();
        let from = from.max(self.process.started_at);
        let binds = [self.key.0, from, to, i64::MAX].map(Value::Integer);
        let Self { source, sink, tracks, process, .. } = self;
        let track = tracks.next();
        sink.track(process, track, "tasks alive", Shows::Numbers { unit: "tasks" })?;
        let (mut alive, mut told, mut told_at, mut last_at) = (0i64, 0i64, None, 0i64);
        let mut tasks = 0;
        source.rows(SQL, &binds, |row| {
            let (at, change) = (integer(&row[0]), integer(&row[1]));
            let since = told_at.map_or(0, |told_at: i64| told_at.saturating_add(ALIVE_STEP));
            if at >= since && last_at < at && alive != told {
                sink.number(track, last_at, alive as f64)?;
                (told, told_at) = (alive, Some(last_at));
            }
            (alive, last_at) = (alive + change, at);
            tasks += u64::from(change > 0);
            Ok::<_, ExportError>(())
        })?;
        if alive != told || told_at.is_none() {
            sink.number(track, last_at.max(from), alive as f64)?;
        }
        source.count("tasks", tasks);
        Ok(())
    }

    /// What tasks waited for.
    fn waits(&mut self) -> Result<(), ExportError> {
        let columns = "task, op, short_path(location), began_at, length, state, holder, resource, \
            (SELECT r.kind || ' ' || ifnull(r.name, '') FROM resources r \
             WHERE r.process = waits.process AND r.resource = waits.resource)";
        let mut placed = Placed::default();
        let Self { source, sink, process, .. } = self;
        source.each_by(self.key, "waits", columns, "task, began_at, length DESC", |row| {
            let name = format!("{} {}", text(&row[1]), text(&row[8]));
            let args = [
                ("location", Arg::Text(text(&row[2]))),
                ("state", Arg::Text(text(&row[5]))),
                ("holder", Arg::Id(integer(&row[6]) as u64)),
                ("resource", Arg::Id(integer(&row[7]) as u64)),
            ];
            let slice = Slice {
                at: integer(&row[3]),
                length: integer(&row[4]),
                name: name.trim(),
                category: "wait",
                flow: None,
                args: &args,
            };
            let place = placed.place(integer(&row[0]) as u64, &slice);
            sink.task_slice(process, place, &slice)
        })
    }

    /// Spans of the program's own tracing.
    fn app_spans(&mut self) -> Result<(), ExportError> {
        let columns = "task, name, target, opened_at, length, fields, short_path(location)";
        let mut placed = Placed::default();
        let Self { source, sink, process, .. } = self;
        source.each_by(self.key, "app_spans", columns, "task, opened_at, length DESC", |row| {
            let args = [
                ("target", Arg::Text(text(&row[2]))),
                ("fields", Arg::Text(fields(&row[5]))),
                ("location", Arg::Text(text(&row[6]))),
            ];
            let slice = Slice {
                at: integer(&row[3]),
                length: integer(&row[4]),
                name: text(&row[1]),
                category: "span",
                flow: None,
                args: &args,
            };
            let place = placed.place(integer(&row[0]) as u64, &slice);
            sink.task_slice(process, place, &slice)
        })
    }
}

/// Gives what lasts of tasks, task by task, their rows.
#[derive(Default)]
struct Placed {
    task: u64,
    rows: Rows,
}

impl Placed {
    fn place(&mut self, task: u64, slice: &Slice<'_>) -> TaskRow {
        if task != self.task {
            *self = Self { task, rows: Rows::default() };
        }
        let row = self.rows.place(slice.at, slice.at.saturating_add(slice.length));
        TaskRow { task, row }
    }
}

fn lane_of(row: &[Value]) -> LaneKey {
    (integer(&row[0]), integer(&row[1]))
}

/// A JSON object; nothing if it is empty.
fn fields(value: &Value) -> &str {
    match text(value) {
        "{}" => "",
        fields => fields,
    }
}
