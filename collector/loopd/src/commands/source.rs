//! Where a reading command reads: a running server, or a database file. Both give the very same
//! views.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::Args;
use jiff::tz::TimeZone;
use loopd_dashboard::views::agent::AgentView;
use loopd_dashboard::views::compare::{CompareFilter, CompareView};
use loopd_dashboard::views::dumps::DumpView;
use loopd_dashboard::views::findings::{FindingFilter, FindingsView};
use loopd_dashboard::views::leaks::LeaksView;
use loopd_dashboard::views::losses::LossesView;
use loopd_dashboard::views::notes::{NoteFilter, NotesView};
use loopd_dashboard::views::process::{Process, ProcessState, ProcessesView};
use loopd_dashboard::views::query::{QueryRequest, QueryView, SchemaView};
use loopd_dashboard::views::region::{RegionFilter, RegionView};
use loopd_dashboard::views::resources::{ResourceFilter, ResourceView, ResourcesView};
use loopd_dashboard::views::settings::CommonSettingsView;
use loopd_dashboard::views::slow::{SlowFilter, SlowView};
use loopd_dashboard::views::survivors::{SurvivorFilter, SurvivorsView};
use loopd_dashboard::views::task::TaskView;
use loopd_dashboard::views::tasks::{TaskFilter, TasksView};
use loopd_dashboard::views::waits::{WaitFilter, WaitsView};
use loopd_dashboard::views::{self, NOTHING_YET, ViewError, params::QueryPairs};
use loopd_model::UnixNanos;
use loopd_store::Reader;

use super::client::Client;
use super::render::{clean, note};
use super::time_arg::clock_text;
use crate::exit::{Exit, OrExit};
use crate::paths::default_db;

/// Where `loopd serve` listens unless told otherwise.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:7411";

/// Flags that say where to read.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Where to read")]
pub(crate) struct SourceArgs {
    /// Read this database file; no server is needed.
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub(crate) db: Option<PathBuf>,
    /// Ask this server [default: that of LOOPD_URL, http://127.0.0.1:7411, or the default database].
    #[arg(long, value_name = "URL")]
    pub(super) url: Option<String>,
    /// The token that the server asks for.
    #[arg(long, value_name = "TOKEN", env = "LOOPD_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl SourceArgs {
    /// The server that is named, by the flag or by the environment.
    pub(crate) fn url(&self) -> Option<String> {
        let from_environment = || std::env::var("LOOPD_URL").ok().filter(|url| !url.is_empty());
        self.url.clone().or_else(from_environment).filter(|_| self.db.is_none())
    }

    /// Opens what the flags name. Without any: the server at the default address; if nobody
    /// listens there, the default database.
    pub(crate) async fn open(&self) -> anyhow::Result<Source> {
        if let Some(path) = &self.db {
            return Source::file(path).await;
        }
        let named = self.url();
        let url = named.as_deref().unwrap_or(DEFAULT_URL);
        let client = Client::new(url, self.token.clone())?;
        if named.is_some() {
            return Ok(Source::Server(client));
        }
        let Err(error) = client.get::<ProcessesView>("/processes", &[]).await else {
            return Ok(Source::Server(client));
        };
        let path = usual_db()?;
        if is_refused(&error) && path.is_file() {
            note(&format!("no loopd at {DEFAULT_URL}, reading {}", path.display()));
            return Source::file(&path).await;
        }
        if !is_refused(&error) {
            return Err(error);
        }
        Err(anyhow!(
            "nobody listens at {DEFAULT_URL}, and there is no database at {}; start `loopd serve`, \
             name another server with --url, or a database with --db",
            path.display()
        ))
        .or_exit(Exit::Connect)
    }
}

/// Whether nobody listens there, as opposed to somebody with a problem.
fn is_refused(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|cause| cause.downcast_ref::<ureq::Error>()).any(|error| match error {
        ureq::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        ureq::Error::ConnectionFailed => true,
        _ => false,
    })
}

/// The file that `loopd serve` would write here.
pub(crate) fn usual_db() -> anyhow::Result<PathBuf> {
    match std::env::var_os("LOOPD_DB").filter(|path| !path.is_empty()) {
        Some(path) => Ok(path.into()),
        None => default_db(),
    }
}

/// Something to read from.
#[derive(Debug)]
pub(crate) enum Source {
    /// A running server.
    Server(Client),
    /// A database file.
    File(Reader),
}

impl Source {
    /// Opens a database for reading.
    pub(crate) async fn file(path: &Path) -> anyhow::Result<Self> {
        match Reader::open(path).await {
            Ok(reader) => Ok(Self::File(reader)),
            Err(error) => Err(error).or_exit(Exit::Storage),
        }
    }

    /// The same, for one who waits no longer than this for an answer of a server.
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        match self {
            Self::Server(client) => Self::Server(client.with_timeout(timeout)),
            Self::File(reader) => Self::File(reader),
        }
    }

    /// What is read, for people.
    pub(super) fn name(&self, args: &SourceArgs) -> String {
        match self {
            Self::Server(client) => client.base().to_owned(),
            Self::File(_) => match args.db.clone().map_or_else(usual_db, Ok) {
                Ok(path) => path.display().to_string(),
                Err(_) => "the default database".into(),
            },
        }
    }

    /// The server, for what a file cannot do; `args` are those that this was opened with.
    pub(crate) fn server(&self, args: &SourceArgs) -> anyhow::Result<&Client> {
        match self {
            Self::Server(client) => Ok(client),
            // Nobody asked for the file: it is there because no server is.
            Self::File(_) if args.db.is_none() => Err(anyhow!(
                "nobody listens at {DEFAULT_URL}, and a database file has no programs to ask; start \
                 `loopd serve`, or name the running one with --url"
            ))
            .or_exit(Exit::Connect),
            Self::File(_) => Err(anyhow!(
                "a database file has no programs to ask; name the running `loopd serve` with --url"
            ))
            .or_exit(Exit::Usage),
        }
    }

    /// Every process, newest first.
    pub(crate) async fn processes(&self) -> anyhow::Result<Vec<Process>> {
        let view = match self {
            Self::Server(client) => client.get::<ProcessesView>("/processes", &[]).await?,
            Self::File(reader) => of_view(views::process::processes(reader).await)?,
        };
        Ok(view.processes)
    }

    /// The process that `--app` names, or the newest.
    pub(crate) async fn process(&self, app: Option<&str>) -> anyhow::Result<Process> {
        choose(self.processes().await?, app)
    }

    /// Of those that `--app` names, or of all, the ones that were there at this instant, newest first; at least
    /// one.
    pub(crate) async fn there(
        &self,
        app: Option<&str>,
        at: UnixNanos,
        zone: &TimeZone,
    ) -> anyhow::Result<Vec<Process>> {
        there(self.processes().await?, app, at, zone)
    }

    pub(crate) async fn tasks(&self, filter: &TaskFilter) -> anyhow::Result<TasksView> {
        match self {
            Self::Server(client) => client.get("/tasks", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::tasks::tasks(reader, filter).await),
        }
    }

    pub(crate) async fn task(&self, process: i64, task: u64) -> anyhow::Result<TaskView> {
        match self {
            Self::Server(client) => client.get(&format!("/tasks/{process}/{task}"), &[]).await,
            Self::File(reader) => of_view(views::task::task(reader, process, task).await),
        }
    }

    pub(crate) async fn slow(&self, filter: &SlowFilter) -> anyhow::Result<SlowView> {
        match self {
            Self::Server(client) => client.get("/slow", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::slow::slow(reader, filter).await),
        }
    }

    pub(crate) async fn leaks(&self, process: i64) -> anyhow::Result<LeaksView> {
        match self {
            Self::Server(client) => client.get("/leaks", &of_process(process)).await,
            Self::File(reader) => of_view(views::leaks::leaks(reader, Some(process)).await),
        }
    }

    pub(crate) async fn survivors(&self, filter: &SurvivorFilter) -> anyhow::Result<SurvivorsView> {
        match self {
            Self::Server(client) => client.get("/survivors", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::survivors::survivors(reader, filter).await),
        }
    }

    pub(crate) async fn findings(
        &self,
        process: i64,
        filter: &FindingFilter,
    ) -> anyhow::Result<FindingsView> {
        match self {
            Self::Server(client) => {
                let path = format!("/processes/{process}/findings");
                client.get(&path, &filter.to_query().pairs).await
            }
            Self::File(reader) => of_view(views::findings::findings(reader, process, filter).await),
        }
    }

    pub(crate) async fn compare(&self, filter: &CompareFilter) -> anyhow::Result<CompareView> {
        match self {
            Self::Server(client) => client.get("/compare", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::compare::compare(reader, filter).await),
        }
    }

    pub(crate) async fn waits(&self, filter: &WaitFilter) -> anyhow::Result<WaitsView> {
        match self {
            Self::Server(client) => client.get("/waits", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::waits::waits(reader, filter).await),
        }
    }

    pub(crate) async fn resources(&self, filter: &ResourceFilter) -> anyhow::Result<ResourcesView> {
        match self {
            Self::Server(client) => client.get("/resources", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::resources::resources(reader, filter).await),
        }
    }

    pub(crate) async fn resource(
        &self,
        process: i64,
        resource: u64,
    ) -> anyhow::Result<ResourceView> {
        match self {
            Self::Server(client) => {
                client.get(&format!("/resources/{process}/{resource}"), &[]).await
            }
            Self::File(reader) => {
                of_view(views::resources::resource(reader, process, resource).await)
            }
        }
    }

    pub(crate) async fn region(&self, filter: &RegionFilter) -> anyhow::Result<RegionView> {
        match self {
            Self::Server(client) => client.get("/region", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::region::region(reader, filter).await),
        }
    }

    pub(crate) async fn losses(&self, process: i64) -> anyhow::Result<LossesView> {
        match self {
            Self::Server(client) => client.get("/losses", &of_process(process)).await,
            Self::File(reader) => of_view(views::losses::losses(reader, Some(process)).await),
        }
    }

    pub(crate) async fn agent(&self, process: i64) -> anyhow::Result<AgentView> {
        match self {
            Self::Server(client) => client.get(&format!("/processes/{process}/agent"), &[]).await,
            Self::File(reader) => of_view(views::agent::agent(reader, process).await),
        }
    }

    /// One dump of a process, or the latest.
    pub(crate) async fn dump(&self, process: i64, dump: Option<u64>) -> anyhow::Result<DumpView> {
        match self {
            Self::Server(client) => {
                let dump = dump.map_or("latest".to_owned(), |dump| dump.to_string());
                client.get(&format!("/processes/{process}/dumps/{dump}"), &[]).await
            }
            Self::File(reader) => of_view(views::dumps::dump(reader, process, dump).await),
        }
    }

    pub(crate) async fn common_settings(&self) -> anyhow::Result<CommonSettingsView> {
        match self {
            Self::Server(client) => client.get("/settings", &[]).await,
            Self::File(reader) => of_view(views::settings::common(reader).await),
        }
    }

    pub(crate) async fn notes(&self, filter: &NoteFilter) -> anyhow::Result<NotesView> {
        match self {
            Self::Server(client) => client.get("/notes", &filter.to_query().pairs).await,
            Self::File(reader) => of_view(views::notes::notes(reader, filter).await),
        }
    }

    pub(crate) async fn query(&self, request: &QueryRequest) -> anyhow::Result<QueryView> {
        match self {
            Self::Server(client) => client.post("/query", serde_json::to_vec(request)?).await,
            Self::File(reader) => of_view(views::query::query(reader, request).await),
        }
    }

    pub(crate) async fn schema(&self) -> anyhow::Result<SchemaView> {
        match self {
            Self::Server(client) => client.get("/schema", &[]).await,
            Self::File(_) => Ok(views::query::schema()),
        }
    }
}

fn of_process(process: i64) -> Vec<(&'static str, String)> {
    QueryPairs::default().add("process", Some(process)).pairs
}

fn of_view<T>(view: Result<T, ViewError>) -> anyhow::Result<T> {
    match view {
        Err(ViewError::Store(error)) => Err(error).or_exit(Exit::Storage),
        other => Ok(other?),
    }
}

/// The process that `app` names: by the name of the program (its newest run), by its number, or by
/// the beginning of its id; without `app` the newest of all.
fn choose(processes: Vec<Process>, app: Option<&str>) -> anyhow::Result<Process> {
    let Some(app) = app else {
        let newest = processes.into_iter().next();
        return newest.with_context(|| format!("{NOTHING_YET}, or try `loopd demo`"));
    };
    let known = known(&processes);
    let named = processes.into_iter().find(|process| is_named(process, app));
    named.ok_or_else(|| anyhow!("no program {app:?} is known; {known}"))
}

/// Whether `app` means this process.
pub(super) fn is_named(process: &Process, app: &str) -> bool {
    process.app == app
        || process.process.to_string() == app
        || (app.len() >= MIN_ID_PREFIX && process.id.starts_with(app))
}

/// Those that were there at an instant.
fn there(
    processes: Vec<Process>,
    app: Option<&str>,
    at: UnixNanos,
    zone: &TimeZone,
) -> anyhow::Result<Vec<Process>> {
    let newest = choose(processes.clone(), app)?;
    let is_meant = |process: &Process| app.is_none_or(|app| is_named(process, app));
    let was_there = |process: &Process| {
        let end = process.ended_at.map_or(process.last_at.0, |end| end.0.max(process.last_at.0));
        // Of one that runs there may be newer data by now.
        process.started_at.0 <= at.0 && (process.state == ProcessState::Live || at.0 <= end)
    };
    let there: Vec<_> =
        processes.into_iter().filter(|process| is_meant(process) && was_there(process)).collect();
    if there.is_empty() {
        let [at, from, to] =
            [at.0, newest.started_at.0, newest.last_at.0].map(|at| clock_text(at, zone));
        let who = app.map_or("no program".to_owned(), |app| format!("no run of {app:?}"));
        let app = clean(&newest.app);
        return Err(anyhow!("{who} was there at {at}; the newest, {app}, ran from {from} to {to}"));
    }
    Ok(there)
}

/// Shorter beginnings of ids would be taken for process numbers.
const MIN_ID_PREFIX: usize = 6;
/// A longer list helps nobody.
const MAX_KNOWN: usize = 12;

fn known(processes: &[Process]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for process in processes {
        if !names.contains(&process.app.as_str()) {
            names.push(&process.app);
        }
    }
    if names.is_empty() {
        return "nothing has been recorded yet".into();
    }
    let more = if names.len() > MAX_KNOWN { ", …" } else { "" };
    names.truncate(MAX_KNOWN);
    format!("known are: {}{more}", clean(&names.join(", ")))
}

/// Reads a statement from the standard input.
pub(crate) fn read_stdin() -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        super::render::note("reading SQL from the keyboard; end with Ctrl-D");
    }
    std::io::read_to_string(std::io::stdin()).context("read SQL from the standard input")
}

#[cfg(test)]
mod tests {
    use loopd_store::StoreOptions;

    use super::*;
    use crate::exit::exit_of;

    #[tokio::test]
    async fn a_file_that_only_stands_in_for_a_server_is_a_missing_server() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("loopd.db");
        let (_writer, reader) = loopd_store::open(StoreOptions::new(&path)).await.unwrap();
        let source = Source::File(reader);
        let exit = |db| {
            let args = SourceArgs { db, url: None, token: None };
            exit_of(&source.server(&args).unwrap_err())
        };
        assert_eq!(exit(Some(path)), Exit::Usage);
        assert_eq!(exit(None), Exit::Connect);
    }
}
