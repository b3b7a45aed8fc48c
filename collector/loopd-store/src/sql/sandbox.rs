//! The walls around users' SQL. A read-only connection alone is none: it could be told to write
//! elsewhere, to read the schema, or to compute for ever.

use std::ffi::{CStr, c_char, c_int, c_void};

use libsqlite3_sys as ffi;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::limits::Limit;

use super::guard::Guard;
use crate::schema;

/// Tables that the views are made of. Naming one directly is refused.
const TABLES: [&str; 38] = [
    "process",
    "loop",
    "worker",
    "name",
    "location",
    "stack",
    "task",
    "segment",
    "slow_poll",
    "sample",
    "resource",
    "metric_name",
    "metric",
    "ledger_entry",
    "loss",
    "tile",
    "meta",
    "word",
    "wait",
    "wait_holder",
    "hold",
    "resource_state",
    "resource_reading",
    "mark",
    "app_span",
    "coverage_change",
    "task_dump",
    "dumped_task",
    "finding",
    "finding_mute",
    "note",
    "rollup",
    "any_task",
    "segment_spans",
    "task_records",
    "rollup_rows",
    "json_each",
    "json_tree",
];

/// Table-valued functions that anybody may use.
const TABLE_FUNCTIONS: [&str; 2] = ["json_each", "json_tree"];

/// Functions that only compute, in time and space bounded by the length of a value: SQLite's own,
/// and those that [`super::bounded`], [`super::format`] and [`super::json_groups`] put in their place.
const FUNCTIONS: &[&str] = &[
    // Numbers and text.
    "abs",
    "ceil",
    "ceiling",
    "char",
    "coalesce",
    "concat",
    "concat_ws",
    "exp",
    "floor",
    "format",
    "glob",
    "hex",
    "if",
    "ifnull",
    "iif",
    "instr",
    "length",
    "like",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "max",
    "min",
    "mod",
    "nullif",
    "octet_length",
    "pi",
    "pow",
    "power",
    "printf",
    "quote",
    "replace",
    "round",
    "rtrim",
    "sign",
    "sqrt",
    "substr",
    "substring",
    "trim",
    "trunc",
    "typeof",
    "unhex",
    "unicode",
    "upper",
    "likely",
    "unlikely",
    "likelihood",
    // Aggregates and windows.
    "avg",
    "count",
    "group_concat",
    "string_agg",
    "sum",
    "total",
    "row_number",
    "rank",
    "dense_rank",
    "percent_rank",
    "cume_dist",
    "ntile",
    "lag",
    "lead",
    "first_value",
    "last_value",
    "nth_value",
    // Time and JSON.
    "date",
    "time",
    "datetime",
    "julianday",
    "strftime",
    "unixepoch",
    "timediff",
    "current_timestamp",
    "json",
    "json_array",
    "json_array_length",
    "json_extract",
    "json_group_array",
    "json_group_object",
    "json_object",
    "json_quote",
    "json_type",
    "json_valid",
    "->",
    "->>",
    // loopd's.
    "wall_time",
    "duration",
    "short_path",
    "unix",
    "now",
    "ns",
    "bucket",
    "p50",
    "p90",
    "p99",
    "percentile",
];

/// Builds the walls around a connection for users' queries.
pub(super) fn enclose(connection: &Connection, guard: &Guard) -> rusqlite::Result<()> {
    guard.take_names(connection)?;
    super::functions::register(connection, guard)?;
    super::bounded::register(connection)?;
    super::format::register(connection)?;
    super::tables(connection, guard)?;
    super::json_groups::register(connection)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    for (limit, value) in [
        // One step of SQLite, which nothing can stop, is bounded by this.
        (Limit::SQLITE_LIMIT_LENGTH, super::bounded::MAX_LENGTH as i32),
        (Limit::SQLITE_LIMIT_SQL_LENGTH, super::query::MAX_SQL as i32),
        (Limit::SQLITE_LIMIT_COLUMN, 100),
        (Limit::SQLITE_LIMIT_EXPR_DEPTH, 100),
        (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 10),
        (Limit::SQLITE_LIMIT_VDBE_OP, 25_000),
        (Limit::SQLITE_LIMIT_FUNCTION_ARG, 32),
        (Limit::SQLITE_LIMIT_ATTACHED, 0),
        (Limit::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100),
        // `segment_spans` binds some.
        (Limit::SQLITE_LIMIT_VARIABLE_NUMBER, 16),
        (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 1),
        (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
    ] {
        connection.set_limit(limit, value)?;
    }
    authorize(connection, guard);
    Ok(())
}

/// Asks [`may`] about everything that a statement wants to do.
fn authorize(connection: &Connection, guard: &Guard) {
    // One small allocation for each of at most four connections; it must outlive the connection,
    // which nothing here sees closing.
    let guard: &'static Guard = Box::leak(Box::new(guard.clone()));
    let guard = std::ptr::from_ref(guard).cast_mut().cast::<c_void>();
    #[expect(unsafe_code, reason = "rusqlite sets authorizers only on connections that it owns")]
    // SAFETY: the handle is live, `authorizer` has the type asked for, and `guard` lives for ever.
    unsafe {
        ffi::sqlite3_set_authorizer(connection.handle(), Some(authorizer), guard);
    }
}

#[expect(unsafe_code, reason = "SQLite calls it")]
extern "C" fn authorizer(
    guard: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    accessor: *const c_char,
) -> c_int {
    // SAFETY: `guard` is what `authorize` gave, and is never written through; SQLite gives
    // NUL-terminated strings, or null, that live for the call.
    let (guard, first, second, accessor) =
        unsafe { (&*guard.cast::<Guard>(), text(first), text(second), text(accessor)) };
    super::spill::runs_here(guard);
    let is_allowed = guard.is_inside()
        || may(action, first, second, accessor)
        // A subquery by its name, of which no column is needed, as in `with x as … select count(*)`.
        || (action == ffi::SQLITE_READ && second.is_empty() && !guard.is_name_taken(first));
    if is_allowed { ffi::SQLITE_OK } else { ffi::SQLITE_DENY }
}

#[expect(unsafe_code, reason = "SQLite's strings are pointers")]
unsafe fn text<'a>(pointer: *const c_char) -> &'a str {
    if pointer.is_null() {
        return "";
    }
    // SAFETY: the caller has a NUL-terminated string that outlives `'a`.
    unsafe { CStr::from_ptr(pointer) }.to_str().unwrap_or("\u{fffd}")
}

/// Whether a query may do this. Everything not named here is denied.
fn may(action: c_int, first: &str, second: &str, accessor: &str) -> bool {
    let is_view = |name: &str| {
        name == "any_task" || schema::schema().views.iter().any(|view| view.name == name)
    };
    let is_one_of = |names: &[&str], name: &str| names.iter().any(|n| n.eq_ignore_ascii_case(name));
    match action {
        // What it takes is bounded by the clock, and by how much may go to temporary files.
        ffi::SQLITE_SELECT | ffi::SQLITE_RECURSIVE => true,
        // A view that reads itself, or a table read on a view's behalf. A query can pass a
        // subquery of its own off as a view by naming it like one; then it reads a table that
        // the view would have shown it.
        ffi::SQLITE_READ => {
            is_view(first)
                || is_one_of(&TABLE_FUNCTIONS, first)
                || (is_view(accessor) && TABLES.contains(&first))
                // A table of a view that is joined without any of its columns: SQLite asks for
                // no column and does not say on whose behalf.
                || (second.is_empty() && TABLES.contains(&first))
                // Subqueries without a name of their own.
                || first.is_empty()
        }
        ffi::SQLITE_FUNCTION => is_one_of(FUNCTIONS, second),
        _ => false,
    }
}
