//! Files in and out: `loopd export`, `loopd import`, `loopd db`.

use std::path::PathBuf;

use serde_json::Value;

use crate::read_commands::recording::{self, START};
use crate::read_commands::{Recording, loopd};

impl Recording {
    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exports to a file of this name.
    fn export(&self, format: &str, name: &str, args: &[&str]) -> crate::read_commands::Run {
        let file = self.file(name);
        let fixed = ["export", "--format", format, "-o", file.to_str().unwrap()];
        self.loopd(&[&fixed, args].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_written_and_counted() {
    let recording = Recording::new().await;
    for (format, name, begins) in [
        ("perfetto", "orders.pftrace", &b"\x0a"[..]),
        ("chrome", "orders.json", b"{\"traceEvents\":["),
        ("loopd", "orders.db", b"SQLite format 3\0"),
        ("folded", "orders.folded", b"orders;main;"),
        ("html", "orders.html", b"<!doctype html>"),
    ] {
        let run = recording.export(format, name, &[]);
        assert_eq!((run.code, run.out.as_str()), (0, ""), "{format}: {run:?}");
        assert!(run.err.contains(name), "{format}: {run:?}");
        let bytes = std::fs::read(recording.file(name)).unwrap();
        assert!(bytes.starts_with(begins), "{format}");
    }
    let run = recording.export("chrome", "again.json", &[]);
    assert!(run.err.contains("223 polls, 123 tasks"), "{run:?}");
    // Nothing of how it was written is left.
    let names = std::fs::read_dir(recording.folder.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| !name.contains("export")));
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_go_to_a_folder_or_one_of_them_to_the_standard_output() {
    let recording = Recording::new().await;
    for (format, begins) in [("parquet", &b"PAR1"[..]), ("csv", b"process,")] {
        let run = recording.export(format, format, &[]);
        assert_eq!(run.code, 0, "{run:?}");
        for table in ["polls", "tasks", "slow", "frames", "losses"] {
            let file = recording.file(&format!("{format}/{table}.{format}"));
            assert!(std::fs::read(file).unwrap().starts_with(begins), "{format} {table}");
        }
    }
    let args = ["export", "--format", "csv", "--table", "slow", "-o", "-"];
    let run = recording.loopd(&args);
    assert_eq!(run.out.lines().count(), 4, "{run:?}");
    let args = [&args[..], &["--from", "14:00:01.5", "--to", "14:00:03"]].concat();
    let line = format!("1,1,0,{},300000000,10,", START + 2_000_000_000);
    let run = recording.loopd(&args);
    assert!(run.out.lines().nth(1).unwrap().starts_with(&line), "{run:?}");
    assert_eq!(run.out.lines().count(), 2, "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_overwritten_unasked() {
    let recording = Recording::new().await;
    std::fs::write(recording.file("mine"), "mine").unwrap();
    for format in ["html", "loopd", "csv"] {
        let run = recording.export(format, "mine", &[]);
        assert_eq!(run.code, 2, "{run:?}");
        assert!(run.err.contains("--force"), "{run:?}");
        assert_eq!(std::fs::read(recording.file("mine")).unwrap(), b"mine");
    }
    assert_eq!(recording.export("html", "mine", &["--force"]).code, 0);
    assert!(std::fs::metadata(recording.file("mine")).unwrap().len() > 1_000);
    let run = recording.export("html", "loopd.db", &["--force"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.err.contains("is the database that is read"), "{run:?}");
    // A usage that makes no sense.
    for args in [&["--table", "polls"][..], &["--from", "-1s", "--to", "-2s"]] {
        assert_eq!(recording.export("html", "other", args).code, 2, "{args:?}");
    }
    let run = recording.export("csv", "other", &["--table", "poles"]);
    assert!(run.code == 2 && run.err.contains("processes, loops"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_lost_is_a_warning_and_an_exit_code() {
    let mut recording = Recording::new().await;
    recording::add_lossy(&mut recording.writer).await;
    let run = recording.export("chrome", "lossy.json", &["--app", "lossy"]);
    assert_eq!(run.code, 4, "{run:?}");
    assert!(run.err.contains("1,200 records of lossy never arrived"), "{run:?}");
    assert_eq!(recording.export("chrome", "orders.json", &["--app", "orders"]).code, 0);
    let run = recording.export("chrome", "all.json", &["--all"]);
    assert_eq!(run.code, 4, "{run:?}");
    let text = std::fs::read(recording.file("all.json")).unwrap();
    let all: Value = serde_json::from_slice(&text).unwrap();
    let names = all["traceEvents"].as_array().unwrap();
    assert_eq!(names.iter().filter(|event| event["name"] == "process_name").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_for_its_file() {
    let recording = Recording::new().await;
    let url = recording.serve().await;
    let target = recording.file("served.json");
    let args = ["export", "--format", "chrome", "--url", &url, "-o", target.to_str().unwrap()];
    let run = loopd(&args);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.err.contains("the database of the server at"), "{run:?}");
    // As if it were on another machine.
    std::fs::rename(recording.db(), recording.file("away.db")).unwrap();
    let run = loopd(&[&args[..], &["--force"]].concat());
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("loopd.db") && run.err.contains("--db"), "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_travels_to_another_database() {
    let mut recording = Recording::new().await;
    recording::add_lossy(&mut recording.writer).await;
    let run = recording.export("loopd", "all.db", &["--all"]);
    assert_eq!(run.code, 4, "{run:?}");
    let (from, to) = (recording.file("all.db"), recording.file("other.db"));
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let run = loopd(&["import", from, "--db", to]);
    assert_eq!((run.code, run.out.as_str()), (0, "orders is process 1\nlossy is process 2\n"));

    for args in [&["apps"][..], &["tasks"], &["slow"], &["waits"], &["leaks"]] {
        let imported = loopd(&[args, &["--db", to]].concat());
        assert_eq!(imported.out, recording.loopd(args).out, "{args:?}");
    }
    let run = loopd(&["import", from, "--db", to]);
    assert!(run.out.contains("orders is there already as process 1"), "{run:?}");
    let run = loopd(&["import", from, "--db", to, "--replace", "--json"]);
    assert!(run.json().iter().all(|line| line["known"] == true && line["added"] == true));

    // Its writer is open in this test.
    let run = loopd(&["import", from, "--db", recording.db().to_str().unwrap()]);
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.err.contains("stop that one"), "{run:?}");
    let run = loopd(&["import", "/nowhere.db", "--db", to]);
    assert_eq!(run.code, 5, "{run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_checked_measured_and_shrunk() {
    let recording = Recording::new().await;
    let run = recording.loopd(&["db", "check"]);
    assert_eq!(run.code, 0, "{run:?}");
    assert!(run.out.contains("fine; ") && run.out.contains("5 segments with 226"), "{run:?}");
    let stats = &recording.loopd(&["db", "stats", "--json"]).json()[0];
    assert_eq!((&stats["polls"], &stats["processes"][0]["app"]), (&223.into(), &"orders".into()));
    assert!(stats["bytes_per_poll"].as_f64().unwrap() > 1.0, "{stats}");
    let run = recording.loopd(&["db", "stats"]);
    assert!(run.out.contains("223 polls at") && run.out.contains("TABLE"), "{run:?}");
    let run = recording.loopd(&["db", "compact"]);
    assert_eq!(run.code, 5, "{run:?}");

    let db = recording.db();
    let Recording { folder: _folder, writer, reader } = recording;
    drop(reader);
    writer.close().await.unwrap();
    let db = ["--db", db.to_str().unwrap()];
    let run = loopd(&[&["db", "compact", "--json"], &db[..]].concat());
    let (before, after) = (&run.json()[0]["bytes_before"], &run.json()[0]["bytes_after"]);
    assert!(after.as_u64().unwrap() <= before.as_u64().unwrap(), "{run:?}");

    let file = rusqlite::Connection::open(db[1]).unwrap();
    file.execute("UPDATE segment SET data = x'00'", []).unwrap();
    let run = loopd(&[&["db", "check"], &db[..]].concat());
    assert_eq!(run.code, 5, "{run:?}");
    assert!(run.out.contains("BAD  segment of process 1"), "{run:?}");
    let run = loopd(&[&["db", "check", "--json"], &db[..]].concat());
    assert_eq!(run.json()[0]["wrong"], 5, "{run:?}");
    let export = ["export", "--format", "folded", "-o", "-"];
    let run = loopd(&[&export, &db[..]].concat());
    assert!(run.code == 4 && run.err.contains("5 segments"), "{run:?}");
}
