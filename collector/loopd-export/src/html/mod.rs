//! A recording as one page that can be mailed: no script, nothing from elsewhere, light and dark.
//!
//! It has what the pages of the dashboard show, shortened to what matters most, so that its size does
//! not grow with the recording. A report is the shorter page of the two: what is wrong, and why.

mod findings;
mod markup;
mod sections;
mod timeline;

use std::io::Write;

use loopd_dashboard::views::process;
use loopd_store::Reader;

use self::markup::{Html, instant};
use crate::{ExportError, Selection};

const STYLE: &str = include_str!("page.css");

/// Writes the page with everything.
pub async fn html(
    reader: &Reader,
    selection: &Selection,
    out: impl Write,
) -> Result<(), ExportError> {
    page(reader, selection, out, Extent::All).await
}

/// Writes the page with what was found, what each rule said and what leaks.
pub async fn report(
    reader: &Reader,
    selection: &Selection,
    out: impl Write,
) -> Result<(), ExportError> {
    page(reader, selection, out, Extent::Findings).await
}

/// How much is on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// What is wrong.
    Findings,
    /// Also every slow poll's stacks, waits and tasks.
    All,
}

async fn page(
    reader: &Reader,
    selection: &Selection,
    mut out: impl Write,
    extent: Extent,
) -> Result<(), ExportError> {
    let all = process::processes(reader).await?.processes;
    let is_chosen = |number: i64| selection.processes.iter().any(|process| process.0 == number);
    let chosen: Vec<_> = all.into_iter().filter(|process| is_chosen(process.process)).collect();
    let mut head = Html::default();
    let names: Vec<_> = chosen.iter().map(|process| process.app.as_str()).collect();
    let title = format!("{} · loopd", names.join(", "));
    head.raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    // Whatever a recorded program called its tasks: nothing of it runs, nothing is fetched.
    head.raw(
        "<meta http-equiv=\"Content-Security-Policy\" \
         content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n",
    );
    head.element("title", &title);
    head.raw("<style>").raw(STYLE).raw("</style>\n</head>\n<body>\n");
    out.write_all(head.text().as_bytes())?;
    for process in &chosen {
        let section = sections::process(reader, process, selection, extent).await?;
        out.write_all(section.text().as_bytes())?;
    }
    let mut foot = Html::default();
    let newest = chosen.iter().map(|process| process.last_at.0).max().unwrap_or(0);
    let text = format!(
        "loopd {} · data up to {} · times are UTC",
        env!("CARGO_PKG_VERSION"),
        instant(newest)
    );
    foot.element("footer", &text).raw("</body>\n</html>\n");
    out.write_all(foot.text().as_bytes())?;
    Ok(out.flush()?)
}
