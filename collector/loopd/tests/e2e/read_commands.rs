//! The commands that read: what they print for one known recording, and how they fail.

#[path = "../../../../dashboard/loopd-dashboard/tests/support/recording.rs"]
pub(crate) mod recording;

use std::path::PathBuf;
use std::process::Output;

use loopd_dashboard::{AppState, ServerInfo, ServerStatus, router};
use loopd_model::UnixNanos;
use loopd_store::{NoteChange, NoteText, Reader, Retention, StoreOptions, Writer};
use parquet::basic::{LogicalType, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::binary::Loopd;

/// A database with the recording of `orders`.
pub(crate) struct Recording {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) writer: Writer,
    pub(crate) reader: Reader,
}

/// What a run of the binary left.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Run {
    /// Its lines of JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Recording {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (writer, reader) = recording::orders(&folder.path().join("loopd.db")).await;
        Self { folder, writer, reader }
    }

    pub(crate) fn db(&self) -> PathBuf {
        self.folder.path().join("loopd.db")
    }

    /// Runs the binary on the file.
    pub(crate) fn loopd(&self, args: &[&str]) -> Run {
        let db = self.db();
        let db = ["--db", db.to_str().unwrap()];
        loopd(&[args, &db].concat())
    }

    /// Serves the file until the end of the test, and says where.
    pub(crate) async fn serve(&self) -> String {
        let info = ServerInfo {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: UnixNanos(recording::START),
            retention: Retention { max_age: None, max_bytes: None, max_process_bytes: None },
        };
        let (_, stopped) = watch::channel(false);
        let status = ServerStatus::default;
        let state = AppState::new(self.reader.clone(), self.writer.head(), info, status, stopped);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router(state)).await });
        format!("http://{address}")
    }
}

pub(crate) fn loopd(args: &[&str]) -> Run {
    let mut command = crate::binary::loopd(args);
    let Output { status, stdout, stderr } = command.env("TZ", "UTC").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: status.code().unwrap(), out: text(stdout), err: text(stderr) }
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_lists_the_programs() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["apps"]);
    assert_eq!(
        run.out,
        "PROCESS  APP     VERSION  HOST   PID  STATE  STARTED                  TASKS ALIVE  POLLS  SLOW  OPEN  LOST  CAPTURED  LAG  AGENT CPU\n\
         \x20     1  orders  1.2.3    box   4242  ended  2026-11-22 14:00:00.000          121    223     3     1     0     100 %    -          -\n",
        "{run:?}"
    );
    assert_eq!((run.code, run.err.as_str()), (0, ""));

    let lines = recording.loopd(&["apps", "--json"]).json();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["started_at"], recording::START.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_sorted_filtered_and_counted() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["tasks", "--app", "orders", "--limit", "1"]);
    let mut lines = run.out.lines();
    let titles: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(titles[..4], ["TASK", "NAME", "STATE", "LOCATION"]);
    let row: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["10", "reporter", "alive", "orders/src/report.rs:30"]);
    assert_eq!(run.err, "note: 1 of 123 tasks of orders; --limit and --offset show more\n");
    assert_eq!(run.code, 0);

    let args = ["tasks", "--state", "ended", "--sort", "task", "--json"];
    let tasks: Vec<_> = recording.loopd(&args).json();
    assert_eq!(tasks.iter().map(|task| &task["task"]).collect::<Vec<_>>(), ["30", "31"]);
    for filter in [["--match", "nothing is called this"], ["--kind", "callback"]] {
        let none = recording.loopd(&[&["tasks"], &filter[..]].concat());
        assert_eq!(none.err, "note: no task of orders matches\n", "{filter:?}");
    }
    let wrong = recording.loopd(&["tasks", "--kind", "fiber"]);
    assert!(wrong.err.contains("async, local, block_on, blocking, callback"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_cannot_take_over_the_terminal() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["tasks", "--match", "31", "--limit", "1"]);
    assert!(run.out.contains("<script>alert(1)</script>  panicked"), "{run:?}");
    assert!(!run.out.contains(['\u{1b}', '\u{202e}']), "{run:?}");

    let csv = "select name from tasks where task = 30";
    let run = recording.loopd(&["query", "--format", "csv", csv]);
    assert_eq!(run.out, "name\r\n'=cmd|' /C calc'!A0\r\n", "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn colours_are_only_for_those_who_want_them() {
    let recording = Recording::new().await;
    assert!(!recording.loopd(&["apps"]).out.contains('\u{1b}'));
    assert!(recording.loopd(&["apps", "--color", "always"]).out.contains("\u{1b}[1m"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_task_is_shown_with_its_polls_and_resources() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["task", "10"]);
    for text in ["task 10 reporter", "longest polls", "slow polls", "/var/orders.csv", "800 ms"] {
        assert!(run.out.contains(text), "{text}: {run:?}");
    }
    assert_eq!(recording.loopd(&["task", "10", "--json"]).json()[0]["task"]["task"], "10");

    let run = recording.loopd(&["task", "12345"]);
    assert_eq!(run.err, "error: process 1 has no task 12345, or retention has removed it\n");
    assert_eq!(run.code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_names_the_line_that_blocked() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["slow"]);
    assert!(
        run.out.starts_with("3 slow polls of orders (100 ms or longer), 1.35 s in all\n"),
        "{run:?}"
    );
    assert!(
        run.out
            .contains("\norders/src/report.rs:41  orders::report::build\n  2 polls, 550 ms in all"),
        "{run:?}"
    );
    assert!(run.out.contains("computing in 3 of 3 samples"), "{run:?}");
    assert!(run.out.contains("> orders::report::build  orders/src/report.rs:41"), "{run:?}");

    let run = recording.loopd(&["slow", "--from", "14:00:01.9", "--to", "14:00:03", "--json"]);
    assert_eq!(run.json()[0]["total_time"], 300_000_000, "{run:?}");
    let run = recording.loopd(&["slow", "--from", "-30s"]);
    assert!(run.out.starts_with("1 slow poll of orders"), "{run:?}");
    let run = recording.loopd(&["slow", "--from", "noon"]);
    assert_eq!(run.code, 2);
    assert!(run.err.contains("write -5m"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn leaks_names_what_grows() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["leaks"]);
    let growing = run.out.lines().find(|line| line.starts_with("growing")).expect(&run.out);
    let cells: Vec<_> = growing.split_whitespace().collect();
    assert_eq!(cells[1..4], ["orders/src/leak.rs:12", "120", "+11.9"]);
    let lines = recording.loopd(&["leaks", "--growing", "--json"]).json();
    assert_eq!(lines[0]["what"], "task");
    assert!(lines.iter().any(|line| line["what"] == "resource" && line["unclosed"] == 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn leaks_says_what_was_born_in_a_range_and_is_still_there() {
    let mut recording = Recording::new().await;
    let run = recording.loopd(&["leaks", "--born", "14:01:40..14:03:20"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("\n20 of 20 tasks that were spawned\n"), "{}", run.out);
    assert!(run.out.contains("\n0 of 0 resources that were opened\n"), "{}", run.out);
    let leak = run.out.lines().find(|line| line.starts_with("orders/src/leak.rs:12")).unwrap();
    let cells: Vec<_> = leak.split_whitespace().collect();
    assert_eq!(cells[1..6], ["task", "20", "20", "100", "%"]);
    let lines = recording.loopd(&["leaks", "--born", "..", "--json"]).json();
    let of = |kind: &str| lines.iter().find(|line| line["kind"] == kind).unwrap();
    assert_eq!(of("task")["alive"], 120);
    assert_eq!(of("file")["share"], 0.5);
    for (range, said) in [("-5m", "write FROM..TO"), ("-1m..-2m", "ends before it begins")] {
        let run = recording.loopd(&["leaks", "--born", range]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains(said), "{run:?}");
    }
    recording::add_waiting(&mut recording.writer).await;
    let stuck = recording.loopd(&["leaks", "--born", "-1h..", "--app", "waiting"]);
    let wait = "lock of mutex config at orders/src/report.rs:30, held by task 21 (reloader)";
    assert!(stuck.out.contains(wait), "{}", stuck.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn query_prints_tables_json_and_csv() {
    let recording = Recording::new().await;
    let sql = "select app, pid, null as empty, pid from processes";
    let run = recording.loopd(&["query", sql]);
    assert_eq!(run.out, "app      pid  empty   pid\norders  4242         4242\n", "{run:?}");
    let run = recording.loopd(&["query", "--json", sql]);
    assert_eq!(run.out, "{\"app\":\"orders\",\"pid\":4242,\"empty\":null,\"pid_2\":4242}\n");
    let run = recording.loopd(&["query", "--format", "csv", sql]);
    assert_eq!(run.out, "app,pid,empty,pid\r\norders,4242,,4242\r\n");

    let run = recording.loopd(&["query", "--limit", "2", "select task from tasks"]);
    // As many as were asked for: that is no lack.
    assert_eq!((run.code, run.out.lines().count()), (0, 3), "{run:?}");
    assert!(run.err.starts_with("warning: only the first 2 rows are shown"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn query_writes_parquet_with_types_of_columns() {
    let recording = Recording::new().await;
    let path = recording.folder.path().join("rows.parquet");
    let sql =
        "select process, start_at, length / 1e9 as seconds, location, task as mixed from polls
        union all select 1, null, null, null, 'x'";
    let args = ["query", "--format", "parquet", "-o", path.to_str().unwrap(), sql];
    let run = recording.loopd(&args);
    assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
    let note = "note: written as text, because not all values are of one type: mixed\n";
    assert_eq!(run.err, note, "{run:?}");

    let counted = recording.loopd(&[
        "query",
        "--format",
        "csv",
        "select count(*) + 1, min(start_at) from polls",
    ]);
    let (rows, first) = counted.out.lines().nth(1).unwrap().split_once(',').unwrap();
    let file = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let meta = file.metadata().file_metadata();
    assert_eq!(meta.num_rows().to_string(), rows);
    let types: Vec<_> =
        meta.schema_descr().columns().iter().map(|column| column.physical_type()).collect();
    let expected = [Type::INT64, Type::INT64, Type::DOUBLE, Type::BYTE_ARRAY, Type::BYTE_ARRAY];
    assert_eq!(types, expected);
    let is_timestamp = |logical: Option<&LogicalType>| format!("{logical:?}").contains("Timestamp");
    assert!(is_timestamp(meta.schema_descr().column(1).logical_type_ref()));
    let instants = file.get_row_iter(None).unwrap().filter_map(|row| {
        match row.unwrap().get_column_iter().nth(1) {
            Some((_, Field::Null)) | None => None,
            Some((_, field)) => Some(format!("{field:?}")),
        }
    });
    assert!(instants.min().unwrap().contains(first), "{first}");

    let again = recording.loopd(&args);
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("is there already; --force replaces it"), "{again:?}");
    assert_eq!(recording.loopd(&[&args[..], &["--force"]].concat()).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn query_says_on_stderr_what_was_read_in_full() {
    let recording = Recording::new().await;
    let url = recording.serve().await;
    let db = recording.db();
    let grow = move || {
        let db = rusqlite::Connection::open(db).unwrap();
        db.execute("UPDATE ledger_entry SET stored = 5000000 WHERE kind = 1", []).unwrap();
    };
    tokio::task::spawn_blocking(grow).await.unwrap();
    let run = recording.loopd(&["query", "select count(*) from polls"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(
        run.err.starts_with("note: all polls are read (up to 5.0 million were stored); narrow"),
        "{run:?}"
    );
    let asked = loopd(&["query", "select count(*) from polls", "--url", &url]);
    assert_eq!((asked.out, asked.err), (run.out, run.err));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_is_answered_with_the_columns() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["query", "select spawnd_at from tasks"]);
    assert_eq!(run.code, 1);
    assert!(run.err.contains("spawnd_at") && run.err.contains("spawned_at"), "{run:?}");
}

#[test]
fn the_schema_needs_no_recording() {
    let run = loopd(&["query", "--schema"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("processes") && run.out.contains("duration("), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn losses_are_a_warning_and_an_exit_code() {
    let mut recording = Recording::new().await;
    recording::add_lossy(&mut recording.writer).await;
    for args in [&["tasks"][..], &["slow"], &["leaks"], &["task", "5"]] {
        let run = recording.loopd(&[args, &["--app", "lossy"]].concat());
        assert_eq!(run.code, 4, "{run:?}");
        assert!(!run.out.is_empty(), "{run:?}");
        let warning = "warning: 1,200 records of lossy never arrived (mostly: ring_full)";
        assert!(run.err.contains(warning), "{run:?}");
    }
    assert_eq!(recording.loopd(&["tasks", "--app", "orders"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_program_is_answered_with_the_known() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["tasks", "--app", "odrers"]);
    assert_eq!(run.err, "error: no program \"odrers\" is known; known are: orders\n");
    assert_eq!(run.code, 1);
    // By number and by the beginning of its id.
    for app in ["1", "070707"] {
        assert_eq!(recording.loopd(&["tasks", "--app", app]).code, 0, "{app}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_named_beats_a_server_of_the_environment() {
    let recording = Recording::new().await;
    let db = recording.db();
    let db = db.to_str().unwrap();
    let nowhere = "http://127.0.0.1:1";
    let run = |args: &[&str]| {
        let mut command = crate::binary::loopd(args);
        command.env("LOOPD_URL", nowhere).output().unwrap().status.code().unwrap()
    };
    assert_eq!(run(&["apps", "--db", db]), 0);
    assert_eq!(run(&["export", "--db", db, "--format", "folded", "-o", "-"]), 0);
    assert_eq!(run(&["apps"]), 3);
    assert_eq!(run(&["apps", "--db", db, "--url", nowhere]), 2);
}

#[test]
fn a_missing_file_is_5_a_silent_server_3_and_both_say_the_way_out() {
    let run = loopd(&["apps", "--db", "/nowhere/loopd.db"]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("/nowhere/loopd.db") && run.err.contains("loopd serve"), "{run:?}");

    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let run = loopd(&["apps", "--url", &format!("http://{free}")]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(run.err.contains(&free.to_string()), "{run:?}");
    assert!(run.err.contains("is `loopd serve` running there?"), "{run:?}");
}

#[test]
fn a_file_that_is_no_database_is_5() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "milk, eggs, bread ".repeat(500)).unwrap();
    let run = loopd(&["apps", "--db", path.to_str().unwrap()]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("notes.txt"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_about_all_runs_are_listed_where_nothing_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("loopd.db");
    let (mut writer, _reader) = loopd_store::open(StoreOptions::new(&path)).await.unwrap();
    let at = UnixNanos(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap());
    let note = NoteText { from: at, to: at, text: "deployed".into(), ..NoteText::default() };
    writer.change_note(&NoteChange::Add(note), at).await.unwrap();
    let run = loopd(&["notes", "--from", "-1h", "--db", path.to_str().unwrap()]);
    assert!(run.code == 0 && run.out.contains("deployed"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_and_its_file_say_the_same() {
    let recording = Recording::new().await;
    let url = recording.serve().await;
    let commands: [&[&str]; 8] = [
        &["apps"],
        &["tasks", "--state", "alive", "--sort", "polls", "--limit", "5"],
        &["task", "10", "--json"],
        &["slow", "--from", "-10m"],
        &["slow", "--json"],
        &["leaks"],
        &["leaks", "--born", "-10m..-5m"],
        &["query", "select * from processes"],
    ];
    for args in commands {
        let (file, server) = (recording.loopd(args), loopd(&[args, &["--url", &url]].concat()));
        assert_eq!(file.out, server.out, "{args:?}: {server:?}");
        assert_eq!(file.code, server.code, "{args:?}: {server:?}");
    }
    let run = loopd(&["query", "select nothing from tasks", "--url", &url]);
    assert_eq!(run.err, recording.loopd(&["query", "select nothing from tasks"]).err);
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_finds_what_is_wrong() {
    let mut recording = Recording::new().await;
    recording::add_lossy(&mut recording.writer).await;
    let run = recording.loopd(&["doctor", "--json"]);
    let lines = run.json();
    let of = |check: &str| lines.iter().filter(|line| line["check"] == check).collect::<Vec<_>>();
    assert_eq!(of("database")[0]["state"], "ok", "{run:?}");
    assert!(!of("disk").is_empty(), "{run:?}");
    let lossy = of("lossy (2)");
    assert!(
        lossy.iter().any(|line| line["fix"] == "built without --cfg tokio_unstable"),
        "{run:?}"
    );
    let lost = "1,200 records never arrived, mostly polls (ring_full)";
    assert!(lossy.iter().any(|line| line["text"] == lost), "{run:?}");
    assert!(of("orders (1)").iter().all(|line| line["state"] == "ok"), "{run:?}");

    let run = loopd(&["doctor", "--db", "/nowhere/loopd.db"]);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.out.contains("BAD"), "{run:?}");
}

#[test]
fn every_help_has_examples_and_json_keys() {
    for command in [
        "apps", "capture", "tasks", "task", "slow", "leaks", "findings", "check", "compare",
        "report", "notes", "query", "export", "import", "db", "doctor",
    ] {
        let run = loopd(&[command, "--help"]);
        assert_eq!(run.code, 0);
        assert!(run.out.contains(&format!("\n  loopd {command}")), "{command}: {}", run.out);
        assert!(run.out.contains("JSON"), "{command}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_notices_a_damaged_file() {
    let recording = Recording::new().await;
    let db = recording.db();
    let Recording { folder: _folder, writer, reader } = recording;
    writer.close().await.unwrap();
    drop(reader);
    // Every page but the first few, which opening needs.
    let mut bytes = std::fs::read(&db).unwrap();
    let intact = bytes.len() / 4;
    bytes[intact..].fill(0xa5);
    std::fs::write(&db, bytes).unwrap();
    let run = loopd(&["doctor", "--json", "--db", db.to_str().unwrap()]);
    let is_bad = |line: &Value| line["check"] == "database" && line["state"] == "bad";
    assert!(run.json().iter().any(is_bad), "{run:?}");
    assert_eq!(run.code, 1, "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_and_resources_are_listed_from_the_file_and_from_the_server() {
    let mut recording = Recording::new().await;
    recording::add_waiting(&mut recording.writer).await;
    let url = recording.serve().await;
    let url = ["--url", url.as_str(), "--app", "waiting"];
    let both = |args: &[&str]| {
        let file = recording.loopd(&[args, &["--app", "waiting"]].concat());
        assert_eq!(file.code, 0, "{file:?}");
        assert_eq!(loopd(&[args, &url].concat()).out, file.out, "{args:?}");
        file
    };
    let waits = both(&["waits", "--pending"]);
    let first = waits.out.lines().nth(1).unwrap();
    let words: Vec<_> = first.split_whitespace().collect();
    assert_eq!(
        words.join(" "),
        "22 pending 15.0 s lock mutex config orders/src/report.rs:30 21 (reloader)"
    );
    assert!(waits.out.contains("25 > 24 > …"), "{}", waits.out);
    let all = both(&["waits", "--json", "--task", "21"]).json();
    let states: Vec<_> = all.iter().map(|wait| wait["state"].clone()).collect();
    assert_eq!(states, ["pending", "ready"]);
    let resources = both(&["resources", "--state", "open"]);
    let config = resources.out.lines().find(|line| line.contains("config")).unwrap();
    assert!(config.contains("locked") && config.contains("2"), "{config}");
    assert_eq!(both(&["resources", "--json"]).json().len(), 3);
    let stuck = both(&["task", "22"]);
    assert!(stuck.out.contains("held by task 21 (reloader) for 8.00 s"), "{}", stuck.out);
    let said = both(&["task", "20"]);
    assert!(said.out.contains("orders::report") && said.out.contains("user="), "{}", said.out);
    assert!(!said.out.contains('\u{1b}'), "what programs say cannot move the cursor");
    assert!(both(&["task", "26"]).out.contains("nothing left that could wake it"));
    let none = recording.loopd(&["waits", "--app", "orders"]);
    assert!(none.err.contains("no wait of orders was seen"), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_of_an_instant_are_those_of_who_was_there() {
    let mut recording = Recording::new().await;
    recording::add_waiting(&mut recording.writer).await;
    let earlier = recording.loopd(&["waits", "--at", "2026-11-22T14:00:05Z"]);
    assert_eq!(earlier.code, 0, "{earlier:?}");
    assert!(
        earlier.err.contains("these are of orders, process 1, which ran from 2026-11-22 14:00:00"),
        "{earlier:?}"
    );
    let at = "no wait of orders was seen that lasted at 2026-11-22 14:00:05.000";
    assert!(earlier.err.contains(at), "{earlier:?}");
    let newest = recording.loopd(&["waits", "--at", "-0s"]);
    assert!(newest.err.is_empty() && newest.out.contains("reloader"), "{newest:?}");
    for (app, who) in [(vec![], "no program"), (vec!["--app", "waiting"], "no run of \"waiting\"")]
    {
        let at = ["waits", "--at", "2026-11-22T15:30:00Z"];
        let nobody = recording.loopd(&[&at[..], &app].concat());
        let told =
            format!("{who} was there at 2026-11-22 15:30:00.000; the newest, waiting, ran from");
        assert!(nobody.code != 0 && nobody.err.contains(&told), "{nobody:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn findings_have_proof_and_fix_from_the_file_and_from_the_server() {
    let mut recording = Recording::new().await;
    recording::add_python(&mut recording.writer).await;
    let shown = recording.loopd(&["findings"]);
    assert_eq!(shown.code, 0, "{}", shown.err);
    for expected in [
        "shop/orders/app.py:37  never_awaited, certain, 2 times, last at ",
        "  fix: Write `await` before the call",
        "aiohttp/client.py:400  unclosed_session, certain, once, at ",
        "; --rules lists them\n",
    ] {
        assert!(shown.out.contains(expected), "{expected}: {}", shown.out);
    }
    let first = recording.loopd(&["findings", "shop", "--json"]).json();
    let never = first.iter().find(|it| it["rule"] == "never_awaited").unwrap();
    assert_eq!((&never["level"], &never["occurrences"]), (&"error".into(), &2.into()));
    assert_eq!(recording.loopd(&["findings", "--json", "--limit", "1"]).json().len(), 1);
    let important = recording.loopd(&["findings", "--json", "--app", "orders"]).json();
    let all = recording.loopd(&["findings", "--json", "--all", "--process", "orders"]).json();
    let is_info = |it: &&Value| it["level"] == "info";
    assert_eq!(important.iter().filter(is_info).count(), 0, "{important:?}");
    assert!(all.iter().filter(is_info).count() > 0, "{all:?}");

    let latest = recording.loopd(&["findings", "--from", "-5s", "--json"]).json();
    let never = |it: &&Value| it["rule"] == "never_awaited";
    assert_eq!(latest.iter().find(never).unwrap()["occurrences"], 1);
    let rules = recording.loopd(&["findings", "--rules", "--json"]).json();
    assert!(rules.iter().any(|it| it["rule"] == "asyncio_checks" && it["state"] == "found"));
    let listed = recording.loopd(&["findings", "--rules"]).out;
    assert!(listed.contains("needs  "), "{listed}");
    let backwards = recording.loopd(&["findings", "--from", "-1s", "--to", "-2s"]);
    assert_eq!(backwards.code, 2, "{}", backwards.err);

    let url = recording.serve().await;
    let served = loopd(&["findings", "--json", "--from", "-5s", "--url", &url]);
    assert_eq!(served.json(), latest, "{}", served.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn check_fails_on_findings_and_says_so_in_every_format() {
    let mut recording = Recording::new().await;
    recording::add_python(&mut recording.writer).await;
    let failed = recording.loopd(&["check", "--app", "shop"]);
    assert_eq!(failed.code, 1, "{}", failed.err);
    assert!(failed.out.contains("\nfailed  shop: "), "{}", failed.out);
    // Before anything happened.
    let ok = recording.loopd(&["check", "--app", "shop", "--to", "-9s", "--fail-on", "info"]);
    assert_eq!(ok.code, 0, "{}{}", ok.out, ok.err);
    assert!(ok.out.starts_with("ok  shop: nothing found; "), "{}", ok.out);

    let sarif = recording.loopd(&["check", "--format", "sarif"]);
    assert_eq!(sarif.code, 1);
    let log: Value = serde_json::from_str(&sarif.out).unwrap();
    let results = log["runs"][0]["results"].as_array().unwrap();
    let never = results.iter().find(|it| it["ruleId"] == "never_awaited").unwrap();
    let place = &never["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "file:///srv/shop/orders/app.py");
    assert_eq!(place["region"]["startLine"], 37);
    let junit = recording.loopd(&["check", "--format", "junit"]).out;
    assert!(junit.contains("name=\"never_awaited\" time=\"0\">\n      <failure"), "{junit}");
    let comment = recording.loopd(&["check", "--format", "markdown"]).out;
    assert!(comment.starts_with("### loopd on shop: "), "{comment}");

    let url = recording.serve().await;
    let served = loopd(&["check", "--format", "json", "--fail-on", "error", "--url", &url]);
    assert_eq!(served.code, 1, "{}", served.err);
    let document: Value = serde_json::from_str(&served.out).unwrap();
    assert!(document["failed"].as_u64().unwrap() >= 1, "{document}");
    let local = recording.loopd(&["check", "--format", "json", "--fail-on", "error"]).out;
    assert_eq!(serde_json::from_str::<Value>(&local).unwrap(), document);
}

#[tokio::test]
async fn what_was_lost_fails_no_check_but_has_a_code_of_its_own() {
    let mut recording = Recording::new().await;
    recording::add_lossy(&mut recording.writer).await;
    let check = recording.loopd(&["check", "--app", "lossy", "--fail-on", "error"]);
    assert_eq!(check.code, 4, "{}{}", check.out, check.err);
    assert!(check.out.starts_with("ok  lossy: "), "{}", check.out);
    let findings = recording.loopd(&["findings", "--app", "lossy"]);
    assert!(
        findings.out.starts_with("info  capture incomplete: 1,200 records"),
        "{}",
        findings.out
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ranges_are_compared_from_the_file_and_from_the_server() {
    let recording = Recording::new().await;
    let url = recording.serve().await;
    // In the first ten seconds a task panicked and two polls computed for long.
    let halves = ["compare", "orders@..-590s", "1@-590s.."];
    let run = recording.loopd(&halves);
    assert_eq!((run.code, run.err.as_str()), (0, ""), "{run:?}");
    let sides = "A  orders 1.2.3, process 1, from 2026-11-22 14:00:00.000 to 2026-11-22 14:00:10.000\n\
                 B  orders 1.2.3, process 1, from 2026-11-22 14:00:10.000 to 2026-11-22 14:10:00.000\n";
    assert!(run.out.starts_with(sides), "{}", run.out);
    let (_, only_b) = run.out.split_once("\nFound in B only: ").expect(&run.out);
    let (only_b, only_a) = only_b.split_once("\nFound in A only: ").expect(&run.out);
    assert!(only_b.contains("task_leak") && only_b.contains("  fix: "), "{only_b}");
    assert!(only_a.contains("`orders/src/main.rs:9` panicked"), "{only_a}");
    assert!(!only_a.contains("  fix: "), "what is gone needs none: {only_a}");
    let row = |line: &&str| line.starts_with("orders/src/report.rs:30 ");
    let report: Vec<_> = run.out.lines().find(row).unwrap().split_whitespace().collect();
    assert_eq!(report[1..5], ["5.5", "%", "0.1", "%"], "{}", run.out);
    assert!(run.out.contains("WAKE P99 B"), "{}", run.out);
    let least = recording.loopd(&[&halves[..], &["--limit", "1"]].concat()).out;
    assert!(least.ends_with("more places; --limit shows them\n"), "{least}");

    for args in [&halves[..], &["compare", "--json", halves[1], halves[2]]] {
        let (file, server) = (recording.loopd(args), loopd(&[args, &["--url", &url]].concat()));
        assert_eq!((file.out, file.err), (server.out, server.err), "{args:?}");
        assert_eq!(file.code, server.code, "{args:?}");
    }
    let same = recording.loopd(&["compare", "orders", "orders"]);
    let nothing = "\nnothing is worse or better than before, as far as was seen\n";
    assert!(same.out.contains(nothing), "{}", same.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_named_by_file_and_server_alike() {
    let mut recording = Recording::new().await;
    recording::add_lossy(&mut recording.writer).await;
    let url = recording.serve().await;
    for (args, code, expected) in [
        (&["orders"][..], 1, "orders was recorded once: name two ranges of it, as in orders@-20m"),
        (&["odrers", "orders"], 1, "no program \"odrers\" is known; known are: lossy, orders"),
        (&["orders", "99"], 1, "no program \"99\" is known; known are: lossy, orders"),
        (&["orders@-20m", "orders"], 2, "\"-20m\" is no range: write FROM..TO, FROM.. or ..TO"),
        (&["orders@", "orders"], 2, "\"\" is no range: write FROM..TO, FROM.. or ..TO"),
        (&["orders@noon..", "orders"], 2, "write -5m"),
        (&["orders@-1m..-2m", "orders"], 2, "the range of orders ends before it begins"),
        (&["orders", "orders@-1m..-1m"], 2, "the range of orders ends before it begins"),
    ] {
        let args = [&["compare"], args].concat();
        let (file, server) =
            (recording.loopd(&args), loopd(&[&args[..], &["--url", &url]].concat()));
        for run in [file, server] {
            assert_eq!((run.code, run.out.as_str()), (code, ""), "{args:?}: {run:?}");
            assert!(run.err.contains(expected), "{args:?}: {run:?}");
        }
    }
    // What was lost on either side is a warning, and an exit code.
    for args in [["compare", "orders", "lossy"], ["compare", "lossy", "orders"]] {
        let run = recording.loopd(&args);
        assert_eq!(run.code, 4, "{args:?}: {run:?}");
        assert!(run.err.contains("1,200 records of lossy never arrived"), "{run:?}");
        assert!(run.out.contains("capture incomplete"), "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_muted_fails_no_check_until_it_is_heard_again() {
    let mut recording = Recording::new().await;
    recording::add_python(&mut recording.writer).await;
    let db = recording.db();
    let Recording { folder, writer, reader } = recording;
    writer.close().await.unwrap();
    drop(reader);
    let server = Loopd::start_on(&folder, &db, &["--retain-age", "off"]);
    let url = format!("http://{}", server.addr);
    let ask = |args: &[&str]| loopd(&[args, &["--url", &url]].concat());
    let from_file = |args: &[&str]| loopd(&[args, &["--db", db.to_str().unwrap()]].concat());
    let check = ["check", "--fail-on", "error", "--app", "shop"];
    assert_eq!((ask(&check).code, from_file(&check).code), (1, 1));

    let all = ask(&["findings", "--json", "--app", "shop"]).json();
    let errors: Vec<_> = all.iter().filter(|it| it["level"] == "error").collect();
    assert!(!errors.is_empty(), "{all:?}");
    let key = |it: &Value| ["rule", "subject"].map(|key| it[key].as_str().unwrap().to_owned());
    for [rule, subject] in errors.iter().copied().map(key) {
        let why = ["--app", "shop", "--reason", "runs at night"];
        let run = ask(&[&["findings", "mute", &rule, &subject], &why[..]].concat());
        assert_eq!((run.code, run.out.as_str()), (0, ""), "{run:?}");
        let said = format!("note: {rule} of {subject} is muted in all runs of shop\n");
        assert_eq!(run.err, said);
    }
    for look in [&ask as &dyn Fn(&[&str]) -> Run, &from_file] {
        let run = look(&check);
        assert_eq!(run.code, 0, "{run:?}");
        let shown = look(&["findings", "--app", "shop"]);
        assert!(!shown.out.contains("never_awaited"), "{}", shown.out);
        assert!(shown.out.contains("only worth knowing, or muted; --all shows them"));
        let all = look(&["findings", "--app", "shop", "--all"]);
        assert!(all.out.contains("\n  muted: runs at night\n"), "{}", all.out);
        // Of another program nothing is muted.
        let orders = look(&["findings", "--json", "--app", "orders", "--all"]).json();
        assert!(orders.iter().all(|it| it.get("muted").is_none()), "{orders:?}");
    }
    let [rule, subject] = key(errors[0]);
    let run = ask(&["findings", "unmute", &rule, &subject, "--app", "shop"]);
    let said = format!("note: {rule} of {subject} is heard again in all runs of shop\n");
    assert_eq!((run.code, run.err), (0, said));
    assert_eq!((ask(&check).code, from_file(&check).code), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_muted_is_named() {
    let recording = Recording::new().await;
    let shown = recording.serve().await;
    fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
        [&["findings", "mute", "task_leak", "orders/src/leak.rs:12"], more].concat()
    }
    let why = ["--reason", "known"];

    let run = recording.loopd(&with(&why));
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("name the running `loopd serve` with --url"), "{run:?}");
    let run = loopd(&with(&["--url", &shown]));
    assert_eq!(run.code, 2, "without a reason: {run:?}");
    assert!(run.err.contains("--reason <TEXT>"), "{run:?}");
    let run = loopd(&with(&["--reason", "", "--url", &shown]));
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.err.contains("`reason` must have from 1 to 1024 bytes"), "{run:?}");
    let run = loopd(&with(&[&why[..], &["--app", "odrers", "--url", &shown]].concat()));
    assert_eq!(run.err, "error: no program \"odrers\" is known; known are: orders\n");
    assert_eq!(run.code, 1);
    // A server that only shows a file has nowhere to keep it.
    let run = loopd(&with(&[&why[..], &["--url", &shown]].concat()));
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("this server shows a recording, and keeps nothing"), "{run:?}");
    let run = loopd(&["findings", "unmute", "task_leak", "--url", &shown]);
    assert_eq!(run.code, 2, "without a subject: {run:?}");
    assert!(run.err.contains("<SUBJECT>"), "{run:?}");
}

#[tokio::test]
async fn a_report_is_a_page_with_findings_first() {
    let recording = Recording::new().await;
    let page = recording.folder.path().join("orders.html");
    let args = ["report", "--app", "orders", "-o", page.to_str().unwrap()];
    let written = recording.loopd(&args);
    assert_eq!(written.code, 0, "{}", written.err);
    let text = std::fs::read_to_string(&page).unwrap();
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    assert!(at("<h2>Findings</h2>") < at("<h2>Workers</h2>"));
    assert!(at("orders/src/leak.rs:12") < at("<h2>What was looked for</h2>"));
    assert!(!text.contains("Tasks by spawn location"));
    let again = recording.loopd(&args);
    assert_eq!(again.code, 2, "{}", again.err);
}

#[tokio::test]
async fn python_is_advised_in_its_own_words() {
    let mut recording = Recording::new().await;
    recording::add_python(&mut recording.writer).await;
    let doctor = recording.loopd(&["doctor"]);
    for expected in [
        "ok    shop (2)    steps is on: every step, spawn, wake and end of asyncio's tasks\n",
        "uvloop is on: uvloop's loops, as far as they call Python; callbacks of libuv are not seen\n",
        "warn  shop (2)    stacks is unavailable: Python stacks of what blocks",
        "-> every real-time signal has a handler\n",
    ] {
        assert!(doctor.out.contains(expected), "{expected}: {}", doctor.out);
    }
    let slow = recording.loopd(&["slow"]);
    assert!(slow.out.contains("use `await asyncio.sleep(…)`"), "{}", slow.out);
    assert!(slow.out.contains("> sleepy  shop/orders/app.py:23"), "{}", slow.out);
    let tokio = recording.loopd(&["slow", "--app", "orders"]).out;
    assert!(tokio.contains("tokio::task::spawn_blocking"), "{tokio}");
}
