//! Answers what the screen asks, in a task of its own: the newest question counts, and while it is about
//! now it is asked again and again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use jiff::tz::TimeZone;
use loopd_dashboard::views::findings::FindingFilter;
use loopd_dashboard::views::process::{Process, ProcessState};
use loopd_dashboard::views::resources::ResourceFilter;
use loopd_dashboard::views::tasks::TaskFilter;
use loopd_dashboard::views::waits::WaitFilter;
use loopd_model::UnixNanos;
use loopd_store::TaskState;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::ask::{Answer, Ask, Detail, List, Of, Page, View};
use super::lines::{ResourceLine, TaskLine};
use super::past::{self, Which};
use crate::commands::source::{Source, is_named};
use crate::commands::time_arg::TimeArg;
use crate::exit::{Exit, OrExit};

/// So many rows are fetched at a time, of all programs together: an answer stays below a megabyte, and
/// nobody reads more.
pub(super) const MAX_ROWS: u64 = 1_000;
/// So many programs are looked at; of more the newest.
pub(super) const MAX_APPS: usize = 20;
/// So many of them are asked about at once.
const AT_ONCE: usize = 3;
/// So many questions may be under way, the newest and those that were given up.
const MAX_QUESTIONS: usize = 3;
/// How often what is about now is asked again.
const REFRESH: Duration = Duration::from_secs(1);
/// The same for findings, for which every rule looks at all that is known.
const REFRESH_FINDINGS: Duration = Duration::from_secs(10);
/// After trouble each pause is twice as long, up to this; of an instant, which may be hopeless,
const MAX_PAUSE: Duration = Duration::from_secs(8);
/// up to this.
const MAX_PAUSE_OF_PAST: Duration = Duration::from_mins(1);
/// An answer that takes longer is given up, and so are its requests.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A question with its answer.
pub(super) type Answered = (Ask, anyhow::Result<Answer>);

/// Answers until nobody asks any more.
pub(super) async fn run(
    source: Arc<Source>,
    mut asks: watch::Receiver<Option<Ask>>,
    answers: mpsc::Sender<Answered>,
) {
    let questions = Arc::new(Semaphore::new(MAX_QUESTIONS));
    // How often in a row there was trouble with which question.
    let mut trouble: Option<(Ask, u32)> = None;
    loop {
        let ask = asks.borrow_and_update().clone();
        let answering = async {
            match &ask {
                Some(ask) => in_time(&source, &questions, ask).await,
                None => std::future::pending().await,
            }
        };
        // Who asks something else does not wait for what was asked before.
        let answer = tokio::select! {
            changed = asks.changed() => if changed.is_err() { return } else { continue },
            answer = answering => answer,
        };
        let Some(ask) = ask else { continue };
        let before = trouble.take().filter(|(before, _)| *before == ask);
        let failures = before.map_or(0, |(_, failures)| failures) + 1;
        let has_failed = match &answer {
            Ok(answer) => ask.at.is_some() && !answer.failed.is_empty(),
            Err(_) => true,
        };
        let failures = if has_failed { failures } else { 0 };
        let pause = pause(&ask, failures);
        trouble = (failures > 0).then(|| (ask.clone(), failures));
        if answers.send((ask, answer)).await.is_err() {
            return;
        }
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

/// How long to wait before the same is asked again, after so many failures in a row; `None`: for ever.
fn pause(ask: &Ask, failures: u32) -> Option<Duration> {
    let first = match (ask.view, &ask.detail) {
        (View::Findings, None) | (_, Some(Detail::Finding { .. })) => REFRESH_FINDINGS,
        _ => REFRESH,
    };
    let max = if ask.at.is_some() { MAX_PAUSE_OF_PAST } else { MAX_PAUSE };
    match failures {
        0 if ask.at.is_some() => None,
        0 => Some(first),
        n => Some((REFRESH * 2_u32.saturating_pow(n.min(10) - 1)).min(max).max(first)),
    }
}

/// Answers one question, if that does not take too long. What is given up goes on until its requests are
/// over, and takes a place for so long.
async fn in_time(
    source: &Arc<Source>,
    questions: &Arc<Semaphore>,
    ask: &Ask,
) -> anyhow::Result<Answer> {
    let deadline = Instant::now() + PATIENCE;
    let place = timeout_at(deadline, Arc::clone(questions).acquire_owned()).await;
    let Ok(place) = place else { return late() };
    let place = place?;
    let (source, ask) = (Arc::clone(source), ask.clone());
    let answering = tokio::spawn(async move {
        let answer = answer(&source, &ask, deadline).await;
        drop(place);
        answer
    });
    // A program has until the deadline, and then what came of the others counts.
    match timeout_at(deadline + REFRESH, answering).await {
        Ok(answer) => answer?,
        Err(_) => late(),
    }
}

fn late<T>() -> anyhow::Result<T> {
    Err(anyhow!("no answer within {} s", PATIENCE.as_secs())).or_exit(Exit::Connect)
}

/// What the flags need to know before anything is asked: whether there is such a program, and which instant
/// is meant.
pub(super) async fn first_instant(
    source: &Source,
    app: Option<&str>,
    at: Option<TimeArg>,
    zone: &TimeZone,
) -> anyhow::Result<Option<UnixNanos>> {
    let look = async {
        if let Some(app) = app {
            // Says which are known.
            source.process(Some(app)).await?;
        }
        let Some(at) = at else { return Ok(None) };
        if app.is_none() {
            // Says that there is none.
            source.process(None).await?;
        }
        let chosen = Chosen::of(source.processes().await?, app, None, None);
        let newest = chosen.extent.map_or(UnixNanos(0), |(_, newest)| newest);
        Ok(Some(at.resolve(newest, zone)?))
    };
    match timeout(PATIENCE, look).await {
        Ok(at) => at,
        Err(_) => late(),
    }
}

/// Answers one question. Programs of which nothing came by the deadline are named as such, unless nothing
/// came of any.
pub(super) async fn answer(
    source: &Arc<Source>,
    ask: &Ask,
    deadline: Instant,
) -> anyhow::Result<Answer> {
    let processes = timeout_at(deadline, source.processes()).await;
    let Ok(processes) = processes else { return late() };
    let processes = processes?;
    let Chosen { processes, more_apps, extent } =
        Chosen::of(processes, ask.app.as_deref(), ask.at, ask.among.as_deref());
    let (page, failed) = match &ask.detail {
        Some(detail) => {
            let page = timeout_at(deadline, one(source, &processes, ask, detail)).await;
            let Ok(page) = page else { return late() };
            (page?, Vec::new())
        }
        None => list(source, &processes, ask, deadline).await?,
    };
    let newest = processes.iter().map(|process| UnixNanos(process.last_at.0)).max();
    let is_live = processes.iter().any(|process| process.state == ProcessState::Live);
    let processes = processes.into_iter().map(|it| (it.process, it.app)).collect();
    Ok(Answer { processes, more_apps, failed, is_live, newest, extent, page })
}

/// One thing in full.
async fn one(
    source: &Source,
    processes: &[Process],
    ask: &Ask,
    detail: &Detail,
) -> anyhow::Result<Page> {
    // What was opened may be of a program that is not there at the instant.
    let of = |process: i64| processes.iter().find(move |it| it.process == process);
    match detail {
        Detail::Task { process, task } => {
            Ok(Page::Task(Box::new(source.task(*process, *task).await?)))
        }
        Detail::Resource { process, resource } => {
            let Some(of) = of(*process) else { return Ok(Page::Resource(None, Vec::new())) };
            let Some(at) = ask.at else {
                let view = source.resource(*process, *resource).await?;
                let line = ResourceLine::now(of, &view.resource);
                return Ok(Page::Resource(Some(Box::new(line)), view.waits));
            };
            let which = Which::One(*resource);
            let line = past::resources(source, of, instant(of, at), which, 1).await?;
            let filter = WaitFilter {
                process: Some(*process),
                at: Some(instant(of, at)),
                resource: Some(*resource),
                ..WaitFilter::default()
            };
            let waits = source.waits(&filter).await?.rows;
            Ok(Page::Resource(line.rows.into_iter().next().map(Box::new), waits))
        }
        Detail::Finding { process, .. } => {
            let Some(of) = of(*process) else { return Ok(Page::Finding(None)) };
            let found = findings(source, of, ask.at).await?.into_iter();
            Ok(Page::Finding(found.filter(|it| detail.is_finding(it)).map(Box::new).next()))
        }
    }
}

/// Until when is looked at a process of which an instant is asked.
fn instant(process: &Process, at: UnixNanos) -> UnixNanos {
    UnixNanos(at.0.min(process.last_at.0))
}

type Failed = Vec<(String, String)>;

async fn list(
    source: &Arc<Source>,
    processes: &[Process],
    ask: &Ask,
    deadline: Instant,
) -> anyhow::Result<(Page, Failed)> {
    let needs: Vec<_> = processes.iter().map(|process| need(process, ask)).collect();
    let limits = shares(&needs, MAX_ROWS);
    let mut waiting: VecDeque<_> = processes.iter().cloned().zip(limits).enumerate().collect();
    let mut pages: Vec<_> = processes.iter().map(|_| None).collect();
    let mut under_way = JoinSet::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some((i, (process, limit))) = waiting.pop_front()
        {
            let (source, ask) = (Arc::clone(source), ask.clone());
            under_way.spawn(async move { (i, of_one(&source, &process, &ask, limit).await) });
        }
        match timeout_at(deadline, under_way.join_next()).await {
            Ok(Some(joined)) => {
                let (i, page) = joined?;
                pages[i] = Some(page);
            }
            // Those that have not come by now are given up.
            Ok(None) | Err(_) => break,
        }
    }
    let mut page = Page::empty(ask.view);
    let (mut failed, mut errors) = (Vec::new(), Vec::new());
    for (process, part) in processes.iter().zip(pages) {
        match part.unwrap_or_else(late) {
            Ok(part) => page.add(part),
            Err(error) => {
                failed.push((process.app.clone(), format!("{error:#}")));
                errors.push(error);
            }
        }
    }
    match errors.pop() {
        Some(error) if failed.len() == processes.len() => Err(error),
        _ => Ok((page, failed)),
    }
}

/// How many rows a program has at most; `None` if that is not known.
fn need(process: &Process, ask: &Ask) -> Option<u64> {
    match ask.view {
        View::Tasks if ask.at.is_some() || ask.with_ended => Some(process.tasks_spawned),
        View::Tasks if process.more_tasks_alive => None,
        View::Tasks => Some(process.tasks_alive),
        View::Resources if ask.at.is_none() && !process.more_open_resources => {
            Some(process.open_resources)
        }
        _ => None,
    }
}

/// Shares `rows` among programs: each has as much as any other, so that none hides the others, and what one
/// does not need is for the rest.
fn shares(needs: &[Option<u64>], rows: u64) -> Vec<u64> {
    // What is born meanwhile has room, too.
    const SPARE: u64 = 10;
    let mut shares = vec![0; needs.len()];
    let need = |i: usize| needs[i].map_or(u64::MAX, |need| need.saturating_add(SPARE));
    let mut order: Vec<_> = (0..needs.len()).collect();
    order.sort_by_key(|&i| need(i));
    let mut left = rows;
    for (done, i) in order.into_iter().enumerate() {
        shares[i] = need(i).min(left / (needs.len() - done) as u64);
        left -= shares[i];
    }
    shares
}

async fn of_one(source: &Source, process: &Process, ask: &Ask, limit: u64) -> anyhow::Result<Page> {
    let of = |it| Of { process: process.process, app: process.app.clone(), it };
    Ok(match ask.view {
        View::Tasks => Page::Tasks(tasks(source, process, ask, limit).await?),
        View::Resources => Page::Resources(resources(source, process, ask, limit).await?),
        View::Waits => {
            let filter = WaitFilter {
                process: Some(process.process),
                pending: ask.at.is_none(),
                at: ask.at.map(|at| instant(process, at)),
                limit,
                ..WaitFilter::default()
            };
            let view = source.waits(&filter).await?;
            let rows = view.rows.into_iter().map(of).collect();
            Page::Waits(List { rows, total: view.total, more: view.more, ..List::default() })
        }
        View::Findings => {
            let mut rows = findings(source, process, ask.at).await?;
            let total = rows.len() as u64;
            rows.truncate(limit as usize);
            Page::Findings(List { rows, total, ..List::default() })
        }
    })
}

async fn findings(
    source: &Source,
    process: &Process,
    at: Option<UnixNanos>,
) -> anyhow::Result<Vec<Of<loopd_dashboard::views::findings::Finding>>> {
    let filter = FindingFilter { from: None, to: at.map(|at| instant(process, at)) };
    let view = source.findings(process.process, &filter).await?;
    let of = |it| Of { process: process.process, app: process.app.clone(), it };
    Ok(view.findings.into_iter().map(of).collect())
}

async fn tasks(
    source: &Source,
    process: &Process,
    ask: &Ask,
    limit: u64,
) -> anyhow::Result<List<TaskLine>> {
    if let Some(window) = ask.window {
        let at = instant(process, ask.at.unwrap_or(UnixNanos(i64::MAX)));
        return past::tasks(source, process, ask, (at, window), limit).await;
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
    let searched_from = view.searched_from.map(|at| UnixNanos(at.0));
    Ok(List { rows, total: view.total, more: view.more, searched_from })
}

async fn resources(
    source: &Source,
    process: &Process,
    ask: &Ask,
    limit: u64,
) -> anyhow::Result<List<ResourceLine>> {
    let which = if ask.is_descending { Which::OldestFirst } else { Which::NewestFirst };
    if let Some(at) = ask.at {
        return past::resources(source, process, instant(process, at), which, limit).await;
    }
    let filter = ResourceFilter {
        process: Some(process.process),
        is_open: Some(true),
        limit,
        ..ResourceFilter::default()
    };
    let view = source.resources(&filter).await?;
    let is_whole = view.rows.len() as u64 >= view.total && !view.more;
    if !is_whole && ask.is_descending {
        // Those are the newest.
        let now = UnixNanos(process.last_at.0);
        return past::resources(source, process, now, which, limit).await;
    }
    let rows = view.rows.iter().map(|resource| ResourceLine::now(process, resource)).collect();
    Ok(List { rows, total: view.total, more: view.more, ..List::default() })
}

/// What is looked at.
#[derive(Debug, Default)]
struct Chosen {
    /// Newest first: of one program its newest run, or the one of that instant; of all programs those that
    /// run, or ran then, and if none runs the newest run of each.
    processes: Vec<Process>,
    /// How many more there are.
    more_apps: usize,
    /// From the first start to the last data, of all runs of the program, or of all programs.
    extent: Option<(UnixNanos, UnixNanos)>,
}

impl Chosen {
    fn of(
        mut processes: Vec<Process>,
        app: Option<&str>,
        at: Option<UnixNanos>,
        among: Option<&[i64]>,
    ) -> Self {
        processes.retain(|process| app.is_none_or(|app| is_named(process, app)));
        let first = processes.iter().map(|process| process.started_at.0).min();
        let last = processes.iter().map(|process| process.last_at.0).max();
        let extent = first.zip(last).map(|(first, last)| (UnixNanos(first), UnixNanos(last)));
        if let Some(among) = among {
            processes.retain(|process| among.contains(&process.process));
            return Self { processes, more_apps: 0, extent };
        }
        let is_live = |process: &Process| process.state == ProcessState::Live;
        let is_there = |process: &Process| match at {
            // One that runs may be a little behind the others.
            Some(at) => {
                process.started_at.0 <= at.0 && (at.0 <= process.last_at.0 || is_live(process))
            }
            None => is_live(process),
        };
        if app.is_some() {
            // Before its first run and between two it is the newest that is empty then.
            let then = at.and_then(|_| processes.iter().position(is_there)).unwrap_or(0);
            let processes = processes.into_iter().skip(then).take(1).collect();
            return Self { processes, more_apps: 0, extent };
        }
        let (mut there, others): (Vec<_>, Vec<_>) = processes.into_iter().partition(is_there);
        if there.is_empty() && at.is_none() {
            for process in others {
                if there.iter().all(|newer| newer.app != process.app) {
                    there.push(process);
                }
            }
        }
        let more_apps = there.len().saturating_sub(MAX_APPS);
        there.truncate(MAX_APPS);
        Self { processes: there, more_apps, extent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_one_program_does_not_need_are_for_the_others() {
        assert!(shares(&[], 1_000).is_empty());
        assert_eq!(shares(&[None], 1_000), [1_000]);
        assert_eq!(shares(&[Some(0), Some(50_000), Some(90)], 1_000), [10, 890, 100]);
        assert_eq!(shares(&[None, Some(5_000), None, Some(40)], 1_000), [317, 316, 317, 50]);
        assert_eq!(shares(&[None; 20], 1_000), [50; 20]);
    }

    #[test]
    fn what_is_hopeless_is_asked_less_and_less() {
        let ask = |view, at: Option<i64>| Ask {
            view,
            detail: None,
            at: at.map(UnixNanos),
            window: None,
            app: None,
            among: None,
            filter: String::new(),
            with_ended: false,
            sort: loopd_store::TaskSort::Task,
            is_descending: false,
        };
        let seconds =
            |ask: &Ask| [0, 1, 2, 4, 7, 100].map(|n| pause(ask, n).map(|it| it.as_secs()));
        let some = |all: [u64; 5]| all.map(Some);
        let [first, later @ ..] = seconds(&ask(View::Tasks, None));
        assert_eq!((first, later), (Some(1), some([1, 2, 8, 8, 8])));
        let [first, later @ ..] = seconds(&ask(View::Tasks, Some(1)));
        assert_eq!((first, later), (None, some([1, 2, 8, 60, 60])));
        let [first, later @ ..] = seconds(&ask(View::Findings, None));
        assert_eq!((first, later), (Some(10), some([10, 10, 10, 10, 10])));
        let [first, later @ ..] = seconds(&ask(View::Findings, Some(1)));
        assert_eq!((first, later), (None, some([10, 10, 10, 60, 60])));
    }

    /// A server that takes requests and answers none.
    #[tokio::test]
    async fn another_question_does_not_wait_for_the_answer_to_the_one_before() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let client = crate::commands::client::Client::new(&url, None).unwrap();
        let source = Arc::new(Source::Server(client.with_timeout(PATIENCE)));
        let mut model = super::super::model::Model::new(String::new(), TimeZone::UTC, false);
        let (asked, asks) = watch::channel(model.ask());
        let (sender, mut answers) = mpsc::channel(1);
        let running = tokio::spawn(run(source, asks, sender));
        let mut held = Vec::new();
        for view in ['w', 'r', 't'] {
            let limit = PATIENCE / 2;
            held.push(timeout(limit, silent.accept()).await.expect("a request").unwrap());
            let key = ratatui::crossterm::event::KeyCode::Char(view);
            model.on_key(key.into());
            asked.send(model.ask()).unwrap();
        }
        assert!(answers.try_recv().is_err());
        running.abort();
    }
}
