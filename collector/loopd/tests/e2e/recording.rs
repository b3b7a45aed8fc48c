//! What a database holds, asked as a user would: `loopd query`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::binary::loopd;
use crate::load::{Script, TASKS, WORKERS};

/// What is counted of each process; the batches that are stored are its resources, of which each
/// batch opens one.
const COUNTS: &str = "select p.app,
    (select count(*) from resources r where r.process = p.process),
    (select count(*) from tasks t where t.process = p.process),
    (select count(*) from tasks t where t.process = p.process and t.state = 'alive'),
    (select sum(t.polls) from tasks t where t.process = p.process),
    (select count(*) from polls s where s.process = p.process),
    (select count(*) from wakes w where w.process = p.process),
    (select count(*) from slow s where s.process = p.process),
    (select count(*) from samples s where s.process = p.process),
    (select count(*) from waits w where w.process = p.process),
    (select count(*) from holds h where h.process = p.process),
    (select count(*) from marks m where m.process = p.process),
    (select count(*) from metrics m where m.process = p.process)
    from processes p";

/// Books that do not balance.
const UNBALANCED: &str = "select process, kind, produced, stored, dropped, lost from ledger
    where produced <> stored + dropped + lost";

/// The rows of a query over a file or a server, as `--db PATH` or `--url URL` says.
pub(crate) fn rows(source: [&str; 2], sql: &str) -> Vec<Vec<String>> {
    let output = loopd(&["query", "--format", "csv", "--timeout", "60"])
        .args(source)
        .arg(sql)
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{sql}: {error}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// How many batches of each script are stored, after checking that of each of them everything is
/// there, once.
#[track_caller]
pub(crate) fn stored_batches(source: [&str; 2], scripts: &[Script]) -> BTreeMap<u8, u64> {
    let mut stored = BTreeMap::new();
    let found: BTreeMap<String, Vec<u64>> = rows(source, COUNTS)
        .into_iter()
        .map(|row| (row[0].clone(), row[1..].iter().map(|n| n.parse().unwrap_or(0)).collect()))
        .collect();
    for script in scripts {
        let nothing = vec![0; 12];
        let counts = found.get(&script.app()).unwrap_or(&nothing);
        let n = counts[0];
        let polls = n * WORKERS * script.polls;
        let alive = n.min(1) * TASKS / 2;
        let expected = [n, n * TASKS, alive, polls, polls, n, n, n, n, n, n, n];
        assert_eq!(counts[..], expected, "{} has {n} batches", script.app());
        assert!(n >= script.acked(), "{}: {n} stored, {} acked", script.app(), script.acked());
        stored.insert(script.n, n);
    }
    let unbalanced = rows(source, UNBALANCED);
    assert!(unbalanced.is_empty(), "unbalanced: {unbalanced:?}");
    stored
}

/// Lets SQLite itself look for damage.
#[track_caller]
pub(crate) fn check_integrity(db: &Path) {
    let sql = rusqlite::Connection::open(db).unwrap();
    sql.busy_timeout(crate::LIMIT).unwrap();
    let check: String = sql.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}
