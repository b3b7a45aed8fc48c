//! Answers what the screen asks, in a task of its own: the newest question counts, and while it is about
//! now it is asked again and again.

use std::time::Duration;

use loopd_dashboard::views::findings::FindingFilter;
use loopd_dashboard::views::process::{Process, ProcessState};
use loopd_dashboard::views::resources::ResourceFilter;
use loopd_dashboard::views::tasks::TaskFilter;
use loopd_dashboard::views::waits::{Wait, WaitFilter};
use loopd_model::UnixNanos;
use loopd_store::TaskState;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::ask::{Answer, Ask, Detail, List, Of, Page, View};
use super::lines::{ResourceLine, TaskLine};
use super::past;
use crate::commands::source::{Source, is_named};

/// So many rows are fetched at a time, of all programs together: an answer stays below a megabyte, and
/// nobody reads more.
pub(super) const MAX_ROWS: u64 = 1_000;
/// So many programs are looked at; of more the newest.
pub(super) const MAX_APPS: usize = 20;
/// How often what is about now is asked again.
const REFRESH: Duration = Duration::from_secs(1);
/// The same for findings, for which every rule looks at all that is known.
const REFRESH_FINDINGS: Duration = Duration::from_secs(10);
/// An answer that takes longer is given up. The request itself may go on for a minute, on a thread of its
/// own; so few of them can be under way.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers until nobody asks any more.
pub(super) async fn run(
    source: Source,
    mut asks: watch::Receiver<Option<Ask>>,
    answers: mpsc::Sender<(Ask, Result<Answer, String>)>,
) {
    loop {
        let ask = asks.borrow_and_update().clone();
        let pause = match ask {
            None => None,
            Some(ask) => {
                let answer = match timeout(PATIENCE, answer(&source, &ask)).await {
                    Ok(answer) => answer.map_err(|error| format!("{error:#}")),
                    Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
                };
                let pause = match (&answer, ask.at, ask.view, ask.detail) {
                    (Ok(_), Some(_), ..) => None,
                    (Ok(_), None, View::Findings, None) => Some(REFRESH_FINDINGS),
                    _ => Some(REFRESH),
                };
                if answers.send((ask, answer)).await.is_err() {
                    return;
                }
                pause
            }
        };
        let next = async {
            match pause {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = asks.changed() => if changed.is_err() { return },
            () = next => {}
        }
    }
}

/// Answers one question.
pub(super) async fn answer(source: &Source, ask: &Ask) -> anyhow::Result<Answer> {
    let (processes, more_apps) = chosen(source.processes().await?, ask.app.as_deref(), ask.at);
    let page = match ask.detail {
        Some(Detail::Task { process, task }) => {
            Page::Task(Box::new(source.task(process, task).await?))
        }
        Some(Detail::Resource { process, resource }) => {
            Page::WaitsOf(waits_of(source, process, resource, ask.at).await?)
        }
        None => list(source, &processes, ask).await?,
    };
    let newest = processes.iter().map(|process| UnixNanos(process.last_at.0)).max();
    let is_live = processes.iter().any(|process| process.state == ProcessState::Live);
    let apps = processes.into_iter().map(|process| process.app).collect();
    Ok(Answer { apps, more_apps, is_live, newest, page })
}

async fn list(source: &Source, processes: &[Process], ask: &Ask) -> anyhow::Result<Page> {
    // Each program has its share, so that none hides the others.
    let limit = MAX_ROWS / processes.len().max(1) as u64;
    let mut page = match ask.view {
        View::Tasks => Page::Tasks(List::default()),
        View::Resources => Page::Resources(List::default()),
        View::Waits => Page::Waits(List::default()),
        View::Findings => Page::Findings(List::default()),
    };
    for process in processes {
        let of = |it| Of { process: process.process, app: process.app.clone(), it };
        match &mut page {
            Page::Tasks(list) => {
                let (rows, total, more) = tasks(source, process, ask, limit).await?;
                list.add(rows, total, more);
            }
            Page::Resources(list) => {
                let (rows, total, more) = resources(source, process, ask.at, limit).await?;
                list.add(rows, total, more);
            }
            Page::Waits(list) => {
                let filter = WaitFilter {
                    process: Some(process.process),
                    pending: ask.at.is_none(),
                    at: ask.at,
                    limit,
                    ..WaitFilter::default()
                };
                let view = source.waits(&filter).await?;
                list.add(view.rows.into_iter().map(of), view.total, view.more);
            }
            Page::Findings(list) => {
                let filter = FindingFilter { from: None, to: ask.at };
                let view = source.findings(process.process, &filter).await?;
                let total = view.findings.len() as u64;
                let rows = view.findings.into_iter().take(limit as usize);
                let of = |it| Of { process: process.process, app: process.app.clone(), it };
                list.add(rows.map(of), total, false);
            }
            Page::Task(_) | Page::WaitsOf(_) => {}
        }
    }
    Ok(page)
}

type Rows<T> = (Vec<T>, u64, bool);

async fn tasks(
    source: &Source,
    process: &Process,
    ask: &Ask,
    limit: u64,
) -> anyhow::Result<Rows<TaskLine>> {
    if let Some(window) = ask.window {
        let at = ask.at.unwrap_or(UnixNanos(process.last_at.0));
        let list = past::tasks(source, process, ask, (at, window), limit).await?;
        return Ok((list.rows, list.total, list.more));
    }
    let filter = TaskFilter {
        process: Some(process.process),
        state: (!ask.with_ended).then_some(TaskState::Alive),
        filter: Some(ask.filter.clone()).filter(|filter| !filter.is_empty()),
        sort: ask.sort,
        desc: ask.is_descending,
        limit,
        ..TaskFilter::default()
    };
    let view = source.tasks(&filter).await?;
    let rows = view.rows.iter().map(|task| TaskLine::now(process, task)).collect();
    Ok((rows, view.total, view.more))
}

async fn resources(
    source: &Source,
    process: &Process,
    at: Option<UnixNanos>,
    limit: u64,
) -> anyhow::Result<Rows<ResourceLine>> {
    if let Some(at) = at {
        let list = past::resources(source, process, at, limit).await?;
        return Ok((list.rows, list.total, list.more));
    }
    let filter = ResourceFilter {
        process: Some(process.process),
        is_open: Some(true),
        limit,
        ..ResourceFilter::default()
    };
    let view = source.resources(&filter).await?;
    let rows = view.rows.iter().map(|resource| ResourceLine::now(process, resource)).collect();
    Ok((rows, view.total, view.more))
}

async fn waits_of(
    source: &Source,
    process: i64,
    resource: u64,
    at: Option<UnixNanos>,
) -> anyhow::Result<Vec<Wait>> {
    let filter = WaitFilter {
        process: Some(process),
        pending: at.is_none(),
        at,
        resource: Some(resource),
        ..WaitFilter::default()
    };
    Ok(source.waits(&filter).await?.rows)
}

/// The processes to look at, newest first, and how many more there are: of one program its newest run, or
/// the one of that instant; of all programs those that run, or ran then, and if none runs the newest run of
/// each.
fn chosen(
    processes: Vec<Process>,
    app: Option<&str>,
    at: Option<UnixNanos>,
) -> (Vec<Process>, usize) {
    let is_there = |process: &Process| match at {
        Some(at) => process.started_at.0 <= at.0 && at.0 <= process.last_at.0,
        None => process.state == ProcessState::Live,
    };
    if let Some(app) = app {
        let mut named: Vec<_> = processes.into_iter().filter(|it| is_named(it, app)).collect();
        // Before its first run and between two it is the newest that is empty then.
        let then = at.and_then(|_| named.iter().position(is_there)).unwrap_or(0);
        return (named.drain(..).skip(then).take(1).collect(), 0);
    }
    let (mut there, others): (Vec<_>, Vec<_>) = processes.into_iter().partition(is_there);
    if there.is_empty() && at.is_none() {
        for process in others {
            if there.iter().all(|newer| newer.app != process.app) {
                there.push(process);
            }
        }
    }
    let more = there.len().saturating_sub(MAX_APPS);
    there.truncate(MAX_APPS);
    (there, more)
}
