//! What the page says of one process.

use std::time::Duration;

use loopd_analysis::slow::short_path;
use loopd_dashboard::views;
use loopd_dashboard::views::findings::FindingFilter;
use loopd_dashboard::views::leaks::{self, LeaksView};
use loopd_dashboard::views::losses::{self, LossesView};
use loopd_dashboard::views::process::Process;
use loopd_dashboard::views::slow::{self, SlowFilter, SlowView};
use loopd_dashboard::views::tasks::Location;
use loopd_dashboard::views::text::{count_text, duration_text};
use loopd_dashboard::views::waits::{self, WaitFilter};
use loopd_store::{ProcessKey, QueryError, QueryLimits, Reader, StoreError, UnixNanos, Value};

use super::markup::{Html, instant};
use super::{Extent, findings, timeline};
use crate::source::{integer, text};
use crate::{ExportError, Selection};

/// Sites of slow polls, places that leak, waits, and spawn locations are at most so many.
const MAX_ROWS: usize = 30;
/// Stacks of one site.
const MAX_STACKS: usize = 3;

/// The section.
pub(super) async fn process(
    reader: &Reader,
    process: &Process,
    selection: &Selection,
    extent: Extent,
) -> Result<Html, ExportError> {
    let (from, to) = selection.bounds();
    let from = UnixNanos(from.max(process.started_at.0));
    let to = UnixNanos(to.min(process.last_at.0.saturating_add(1)).max(from.0 + 1));
    let mut html = Html::default();
    html.element("h1", &process.app);
    match extent {
        Extent::All => about(&mut html, process, (from, to)),
        Extent::Findings => {
            let version = &process.app_version;
            let name =
                [version.as_str(), process.host.as_str()].into_iter().filter(|it| !it.is_empty());
            let mut line: Vec<_> = name.map(str::to_owned).collect();
            line.push(format!("{} to {}", instant(from.0), instant(to.0)));
            html.raw("<p class=\"dim\">").escaped(&line.join(" · ")).raw("</p>\n");
        }
    }
    let account = losses::losses(reader, Some(process.process)).await?;
    lost(&mut html, &account, (from, to));

    let key = ProcessKey(process.process);
    let filter = FindingFilter { from: Some(from), to: Some(to) };
    let view = views::findings::findings(reader, process.process, &filter).await?;
    findings::write(&mut html, &view);

    html.element("h2", "Workers");
    let timeline = reader.timeline(key, from, to, timeline::WIDTH).await?;
    timeline::draw(&mut html, &timeline);

    let number = Some(process.process);
    if extent == Extent::All {
        html.element("h2", "Slow polls");
        let filter = SlowFilter { process: number, from: Some(from), to: Some(to), limit: 1 };
        slow_polls(&mut html, &slow::slow(reader, &filter).await?, process.slow_threshold);
    }

    html.element("h2", "Leaks");
    leaking(&mut html, &leaks::leaks(reader, number).await?);

    if extent == Extent::All {
        html.element("h2", "Waits");
        waiting(&mut html, reader, key, (from, to)).await?;

        html.element("h2", "Tasks by spawn location");
        tasks(&mut html, reader, key, (from, to)).await?;
    }
    findings::rules(&mut html, &view);
    if extent == Extent::Findings {
        html.element("h2", "The program");
        about(&mut html, process, (from, to));
    }
    Ok(html)
}

fn about(html: &mut Html, process: &Process, (from, to): (UnixNanos, UnixNanos)) {
    let mut rows = vec![
        ("version", process.app_version.clone()),
        ("host", process.host.clone()),
        ("process id", if process.pid == 0 { String::new() } else { process.pid.to_string() }),
        ("id", process.id.clone()),
        ("started", instant(process.started_at.0)),
        ("data up to", instant(process.last_at.0)),
        ("state", process.state.as_str().to_owned()),
        ("shown", format!("{} to {}", instant(from.0), instant(to.0))),
        ("tasks alive", count_text(process.tasks_alive)),
        ("tasks spawned", count_text(process.tasks_spawned)),
        ("captured", process.capture.clone()),
        ("polls", process.polls.map_or_else(|| "not captured".to_owned(), count_text)),
        ("agent", format!("{} {}", process.agent, process.agent_version)),
    ];
    let labels: Vec<_> =
        process.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    rows.push(("labels", labels.join(", ")));
    html.raw("<dl>");
    for (name, value) in rows.iter().filter(|(_, value)| !value.is_empty()) {
        html.raw("<dt>").escaped(name).raw("</dt><dd>").escaped(value).raw("</dd>\n");
    }
    html.raw("</dl>\n");
    let layers: Vec<_> = process
        .coverage
        .iter()
        .map(|layer| vec![layer.layer.clone(), layer.state.clone(), layer.reason.clone()])
        .collect();
    html.table(&["captured", "state", "why not"], &layers);
}

/// What is missing comes before everything that may be wrong because of it.
fn lost(html: &mut Html, account: &LossesView, (from, to): (UnixNanos, UnixNanos)) {
    let is_inside = |from_at: i64, to_at: i64| to_at >= from.0 && from_at < to.0;
    let losses: Vec<_> =
        account.losses.iter().filter(|loss| is_inside(loss.from_at.0, loss.to_at.0)).collect();
    if losses.is_empty() {
        html.element("p", "No record of this range was lost.");
        return;
    }
    let count = losses.iter().fold(0u64, |sum, loss| sum.saturating_add(loss.count));
    let warning = format!(
        "{} records of this range never arrived, so all counts are lower bounds.",
        count_text(count)
    );
    html.raw("<p class=\"bad\">").escaped(&warning).raw("</p>\n");
    let rows: Vec<_> = losses
        .iter()
        .take(MAX_ROWS)
        .map(|loss| {
            let count =
                if loss.count == 0 { "not known".to_owned() } else { count_text(loss.count) };
            let (from, to) = (instant(loss.from_at.0), instant(loss.to_at.0));
            vec![loss.kind.clone(), loss.cause.clone(), count, from, to]
        })
        .collect();
    html.table(&["lost", "cause", "records#", "from", "to"], &rows);
}

fn slow_polls(html: &mut Html, view: &SlowView, threshold: u64) {
    let threshold = duration_text(threshold);
    if view.polls == 0 {
        html.element("p", &format!("No poll that was seen took {threshold} or longer."));
        return;
    }
    let total = duration_text(view.total_time);
    let polls = count_text(view.polls);
    html.element("p", &format!("{polls} polls took {threshold} or longer, {total} in all."));
    for site in view.sites.iter().take(MAX_ROWS) {
        let place = if site.location.is_empty() { "an unknown place" } else { &site.location };
        html.raw("<details><summary><code>").escaped(place).raw("</code> ");
        html.escaped(&format!(
            "{} polls, {} in all, worst {}, median {}",
            count_text(site.polls),
            duration_text(site.total_time),
            duration_text(site.max),
            duration_text(site.p50),
        ));
        html.raw("</summary>\n");
        if !site.function.is_empty() {
            html.raw("<p><code>").escaped(&site.function).raw("</code></p>\n");
        }
        if !site.advice.is_empty() {
            html.element("p", &site.advice);
        }
        for stack in site.stacks.iter().take(MAX_STACKS) {
            html.element("p", &format!("{} samples:", count_text(stack.count)));
            html.raw("<pre>");
            for frame in &stack.frames {
                let function = if frame.function.is_empty() { "?" } else { &frame.function };
                let class = if frame.own { "<b>" } else { "<span>" };
                let line = match frame.file.as_str() {
                    "" => function.to_owned(),
                    file => format!("{function}  {}:{}", short_path(file), frame.line),
                };
                html.raw(class).escaped(&line);
                html.raw(if frame.own { "</b>\n" } else { "</span>\n" });
            }
            html.raw("</pre>\n");
        }
        if site.stacks.is_empty() {
            html.element("p", "No stack was taken.");
        }
        html.raw("</details>\n");
    }
    more(html, view.sites.len(), "sites");
}

fn leaking(html: &mut Html, view: &LeaksView) {
    let window = duration_text(view.window);
    html.element("p", &format!("Over the last {window} of the data, whatever range is shown."));
    if let Some(caveat) = &view.caveat {
        html.raw("<p class=\"bad\">").escaped(caveat).raw("</p>\n");
    }
    if view.tasks.is_empty() && view.resources.is_empty() {
        html.element("p", "Nothing was left over.");
        return;
    }
    let age = |age: Option<u64>| age.map_or_else(String::new, duration_text);
    let tasks = view.tasks.iter().map(|leak| {
        let place = place(leak.location.as_ref());
        let growth = format!("{:+.1}", leak.growth_per_min);
        let alive = count_text(leak.alive);
        vec![leak.verdict.clone(), "task".into(), place, alive, growth, age(leak.oldest_age)]
    });
    let resources = view.resources.iter().map(|leak| {
        let place = place(leak.location.as_ref());
        let growth = format!("{:+.1}", leak.growth_per_min);
        let open = count_text(leak.open);
        vec![leak.verdict.clone(), leak.kind.clone(), place, open, growth, age(leak.oldest_age)]
    });
    let rows: Vec<_> = tasks.take(MAX_ROWS).chain(resources.take(MAX_ROWS)).collect();
    html.table(&["verdict", "what", "location", "left#", "per minute#", "oldest#"], &rows);
    more(html, view.tasks.len().max(view.resources.len()), "places");
}

async fn waiting(
    html: &mut Html,
    reader: &Reader,
    process: ProcessKey,
    (from, to): (UnixNanos, UnixNanos),
) -> Result<(), ExportError> {
    let filter = WaitFilter {
        process: Some(process.0),
        at: Some(to),
        limit: MAX_ROWS as u64,
        ..WaitFilter::default()
    };
    let pending = waits::waits(reader, &filter).await?;
    if pending.rows.is_empty() {
        html.element("p", "Nobody waited for anything at the end of the range.");
    } else {
        html.element(
            "p",
            &format!("Pending at the end of the range: {}", count_text(pending.total)),
        );
        html.raw("<ul>\n");
        for wait in &pending.rows {
            let class = if wait.cycle { "<li class=\"bad\">" } else { "<li>" };
            let text = format!("{}: {}", duration_text(wait.length), wait.text);
            html.raw(class).escaped(&text).raw("</li>\n");
        }
        html.raw("</ul>\n");
    }
    let sql = format!(
        "SELECT w.op, r.kind, r.name, short_path(w.location), count(*), sum(w.length), max(w.length)
         FROM waits w LEFT JOIN resources r ON r.process = w.process AND r.resource = w.resource
         WHERE w.process = {} AND w.began_at < {} AND ifnull(w.ended_at, {}) >= {}
         GROUP BY 1, 2, 3, 4 ORDER BY 6 DESC LIMIT {MAX_ROWS}",
        process.0,
        to.0,
        i64::MAX,
        from.0
    );
    let rows = query(reader, &sql).await?;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let what = format!("{} {} {}", text(&row[0]), text(&row[1]), text(&row[2]));
            let place = text(&row[3]).to_owned();
            vec![what, place, count(&row[4]), duration(&row[5]), duration(&row[6])]
        })
        .collect();
    html.table(&["waited to", "location", "waits#", "in all#", "longest#"], &rows);
    Ok(())
}

async fn tasks(
    html: &mut Html,
    reader: &Reader,
    process: ProcessKey,
    (from, to): (UnixNanos, UnixNanos),
) -> Result<(), ExportError> {
    let sql = format!(
        "SELECT short_path(location), count(*), sum(ended_at IS NULL), sum(polls), sum(busy_time),
            max(max_poll_time)
         FROM tasks WHERE process = {} AND ifnull(spawned_at, 0) < {} AND ifnull(ended_at, {}) >= {}
            AND kind IS NOT 'callback'
         GROUP BY location ORDER BY 5 DESC LIMIT {MAX_ROWS}",
        process.0,
        to.0,
        i64::MAX,
        from.0
    );
    let rows = query(reader, &sql).await?;
    if rows.is_empty() {
        html.element("p", "No task lived in this range.");
    }
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            let place = if text(&row[0]).is_empty() { "not known" } else { text(&row[0]) };
            let counts = row[1..4].iter().map(count);
            std::iter::once(place.to_owned())
                .chain(counts)
                .chain([duration(&row[4]), duration(&row[5])])
                .collect()
        })
        .collect();
    html.table(&["spawned at", "tasks#", "alive now#", "polls#", "busy#", "longest poll#"], &rows);
    Ok(())
}

/// A question may take long here: nobody waits for a page.
async fn query(reader: &Reader, sql: &str) -> Result<Vec<Vec<Value>>, ExportError> {
    let limits = QueryLimits { time: Duration::from_secs(600), ..QueryLimits::default() };
    match reader.query(sql, limits).await {
        Ok(result) => Ok(result.rows),
        Err(QueryError::Store { source }) => {
            Err(StoreError::Sqlite { attempt: "sum up for the page", source }.into())
        }
        Err(source) => Err(ExportError::Query(source)),
    }
}

fn more(html: &mut Html, found: usize, what: &str) {
    if found > MAX_ROWS {
        html.element("p", &format!("{} more {what} are not shown.", found - MAX_ROWS));
    }
}

fn place(location: Option<&Location>) -> String {
    let text = |place: &Location| format!("{}:{}", short_path(&place.file), place.line);
    location.map_or_else(|| "not known".to_owned(), text)
}

fn count(value: &Value) -> String {
    count_text(integer(value).max(0).cast_unsigned())
}

fn duration(value: &Value) -> String {
    duration_text(integer(value).max(0).cast_unsigned())
}
