//! Waits with those who hold up each of them.

use std::collections::{BTreeMap, HashMap};

use loopd_model::{Location, LocationId, ResourceId, TaskId, WaitId};
use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, QueryBuilder, Row, Sqlite};

use super::bounds::{MAX_LOOKED, MAX_PAGE, page};
use super::{Answer, Db, Reader, amount, instant, location, unsigned};
use crate::{
    HoldRow, HolderRow, MAX_COUNTED_WAITS, Page, ProcessKey, StoreError, UnixNanos, WaitQuery,
    WaitRow, WaitState,
};

/// Among so many of the latest waits for a resource the last one to get it is looked for.
pub(super) const MAX_LATER: usize = 1_000;
/// Among so many for all the resources of a page together.
pub(super) const MAX_LATER_OF_ALL: usize = 20_000;
/// An agent tells the beginning of a hold twice, when somebody waits and when it ends; its clock may
/// have been corrected a little in between.
pub(super) const SAME_INSTANT: i64 = 1_000_000;

pub(super) const JOINED: &str = "
    JOIN process p ON p.id = w.process
    LEFT JOIN task t ON t.process = w.process AND t.task = w.task
    LEFT JOIN name n ON n.process = t.process AND n.name = t.name
    LEFT JOIN word o ON o.id = w.op
    LEFT JOIN resource r ON r.process = w.process AND r.resource = w.resource
    LEFT JOIN location rl ON rl.process = r.process AND rl.location = r.open_location
    LEFT JOIN location l ON l.process = w.process AND l.location = w.location
    WHERE w.began_at IS NOT NULL";

/// Its end was not seen, is not among what was lost, and its task was alive to the last. What a
/// program did after the last that is known of it takes nothing from what it was caught in.
pub(super) const IS_OPEN: &str =
    "(w.ended_at IS NULL AND t.ended_at IS NULL AND (t.task IS NOT NULL OR w.task = 0)
     AND NOT EXISTS (SELECT 1 FROM loss x INDEXED BY loss_of_waits
        WHERE x.process = w.process AND x.to_at >= w.began_at
        AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9))";

/// It began after the last loss that may have taken its end: the part of [`IS_OPEN`] that an index has.
pub(super) const AFTER_LOSSES: &str = "w.began_at > coalesce((SELECT x.to_at
    FROM loss x INDEXED BY loss_of_waits WHERE x.process = w.process
        AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9 ORDER BY x.to_at DESC LIMIT 1),
    -9223372036854775808)";

/// When it ended, or the last that is known of it: where its end may have been lost, nobody knows
/// what came after.
pub(super) const LAST_KNOWN: &str =
    "coalesce(w.ended_at, min(coalesce(t.ended_at, p.last_at), coalesce(
        (SELECT min(x.to_at) FROM loss x INDEXED BY loss_of_waits
        WHERE x.process = w.process AND x.to_at >= w.began_at
         AND (x.kind IS NULL OR x.kind = 9) AND x.cause <> 9), t.ended_at, p.last_at)))";

impl Reader {
    /// A page of waits with their holders. They are counted up to [`MAX_COUNTED_WAITS`], and one
    /// more if there are more.
    pub async fn waits(&self, query: &WaitQuery) -> Result<Page<WaitRow>, StoreError> {
        let read = async |db: &mut Db| {
            let total: i64 = count(query).build_query_scalar().fetch_one(&mut **db).await?;
            let rows = select(query).build().fetch_all(&mut **db).await?;
            let mut rows = rows.iter().map(wait).collect::<Answer<Vec<_>>>()?;
            add_holders(db, query.process, &mut rows).await?;
            add_later_holders(db, query.process, &mut rows).await?;
            Ok(Page { total: unsigned(total), rows, ..Page::default() })
        };
        self.ask("list waits", read).await
    }

    /// The latest holds of a resource, or of a task, that are over.
    pub async fn holds(
        &self,
        process: ProcessKey,
        resource: Option<ResourceId>,
        task: Option<TaskId>,
        limit: u64,
    ) -> Result<Vec<HoldRow>, StoreError> {
        let index = match (resource, task) {
            (Some(_), Some(_)) => "hold_by_holder",
            (Some(_), None) => "hold_by_resource",
            (None, Some(_)) => "hold_by_task",
            (None, None) => "hold_by_time",
        };
        let read = async |db: &mut Db| {
            let mut sql = QueryBuilder::new(format!(
                "SELECT h.*, n.text AS task_name, l.file, l.line, l.column
                 FROM hold h INDEXED BY {index}
                 LEFT JOIN task t ON t.process = h.process AND t.task = h.task
                 LEFT JOIN name n ON n.process = t.process AND n.name = t.name
                 LEFT JOIN location l ON l.process = h.process AND l.location = h.location
                 WHERE h.process = "
            ));
            sql.push_bind(process.0);
            if let Some(resource) = resource {
                sql.push(" AND h.resource = ").push_bind(resource.0 as i64);
            }
            if let Some(task) = task {
                sql.push(" AND h.task = ").push_bind(task.0 as i64);
            }
            sql.push(" ORDER BY h.ended_at DESC LIMIT ").push_bind(limit.min(MAX_PAGE) as i64);
            let rows = sql.build().fetch_all(&mut **db).await?;
            rows.iter().map(hold).collect()
        };
        self.ask("list holds", read).await
    }
}

/// The waits that are asked for, as `w`, and whatever belongs to them. Of those that may last only so
/// many are looked at, since most of them may be of tasks that are gone.
fn filter(sql: &mut QueryBuilder<Sqlite>, query: &WaitQuery) {
    // Without statistics SQLite may prefer the primary key, which holds all waits of the process.
    let index = match query {
        WaitQuery { is_pending: true, task: Some(_), .. } => "wait_pending_by_task",
        WaitQuery { is_pending: true, resource: Some(_), .. } => "wait_pending_by_resource",
        WaitQuery { is_pending: true, .. } => "wait_pending",
        WaitQuery { task: Some(_), .. } => "wait_by_task",
        WaitQuery { resource: Some(_), .. } => "wait_by_resource",
        _ => "wait_by_time",
    };
    let wait = if query.is_pending { "(SELECT * FROM wait w" } else { "wait w" };
    sql.push(format!(" FROM {wait} INDEXED BY {index} "));
    if !query.is_pending {
        sql.push(JOINED).push(" AND w.process = ").push_bind(query.process.0);
        of(sql, query);
        return;
    }
    sql.push(" WHERE w.process = ").push_bind(query.process.0);
    sql.push(" AND w.ended_at IS NULL AND ").push(AFTER_LOSSES);
    of(sql, query);
    sql.push(format!(" ORDER BY w.began_at, w.wait LIMIT {MAX_LOOKED}) w {JOINED} AND {IS_OPEN}"));
}

fn of(sql: &mut QueryBuilder<Sqlite>, query: &WaitQuery) {
    if let Some(task) = query.task {
        sql.push(" AND w.task = ").push_bind(task.0 as i64);
    }
    if let Some(resource) = query.resource {
        sql.push(" AND w.resource = ").push_bind(resource.0 as i64);
    }
}

/// How many, up to one more than are counted.
pub(super) fn count(query: &WaitQuery) -> QueryBuilder<Sqlite> {
    let mut sql = QueryBuilder::new("SELECT count(*) FROM (SELECT 1");
    filter(&mut sql, query);
    sql.push(" LIMIT ").push_bind(MAX_COUNTED_WAITS as i64 + 1).push(")");
    sql
}

/// What is read of each wait.
pub(super) fn columns() -> String {
    format!(
        "SELECT w.*, n.text AS task_name, coalesce(o.text, '') AS op_text, p.state AS process_state,
            coalesce(r.kind, '') AS kind, coalesce(r.name, '') AS resource_name, r.open_location,
            rl.file AS open_file, rl.line AS open_line, rl.column AS open_column,
            l.file, l.line, l.column,
            max(0, {LAST_KNOWN} - w.began_at) AS length,
            {IS_OPEN} AS is_open"
    )
}

pub(super) fn select(query: &WaitQuery) -> QueryBuilder<Sqlite> {
    // Not by id: every thread has a block of them to give.
    let order = if query.is_pending {
        "ORDER BY w.began_at, w.wait"
    } else {
        "ORDER BY w.began_at DESC, w.wait DESC"
    };
    let mut sql = QueryBuilder::new("");
    if query.is_pending {
        // Those looked at are in order, and only a page of them is read in full.
        sql.push("SELECT * FROM (").push(columns());
        filter(&mut sql, query);
    } else {
        sql.push(columns());
        filter(&mut sql, query);
        sql.push(" ").push(order);
    }
    let (limit, offset) = page(query.limit, query.offset);
    sql.push(" LIMIT ").push_bind(limit).push(" OFFSET ").push_bind(offset);
    if query.is_pending {
        sql.push(") w ").push(order);
    }
    sql
}

pub(super) fn wait(row: &SqliteRow) -> Answer<WaitRow> {
    let is_open: bool = row.try_get("is_open")?;
    let is_live = row.try_get::<i64, _>("process_state")? == 1;
    Ok(WaitRow {
        process: ProcessKey(row.try_get("process")?),
        wait: WaitId(row.try_get::<i64, _>("wait")? as u64),
        task: task(row)?,
        task_name: row.try_get("task_name")?,
        resource: resource(row)?,
        resource_kind: row.try_get("kind")?,
        resource_name: row.try_get("resource_name")?,
        resource_location: open_location(row)?,
        op: row.try_get("op_text")?,
        location: location(row, "location")?,
        amount: row.try_get::<Option<i64>, _>("amount")?.map_or(0, unsigned),
        began_at: UnixNanos(row.try_get("began_at")?),
        ended_at: instant(row, "ended_at")?,
        length: amount(row, "length")?,
        state: match row.try_get::<Option<i64>, _>("how")? {
            Some(0) => WaitState::Unfinished,
            Some(1) => WaitState::Ready,
            Some(_) => WaitState::Cancelled,
            None if is_open && is_live => WaitState::Pending,
            None => WaitState::Unfinished,
        },
        is_open,
        holders: Vec::new(),
    })
}

/// Who held the resources when the waits began, and when they gave them back.
pub(super) async fn add_holders(
    db: &mut Db,
    process: ProcessKey,
    waits: &mut [WaitRow],
) -> Answer<()> {
    let sql = format!(
        "SELECT h.*, n.text AS task_name, l.file, l.line, l.column,
            (SELECT x.ended_at FROM hold x INDEXED BY hold_by_holder
             WHERE x.process = h.process AND x.resource = w.resource AND x.task = h.task
                AND x.since BETWEEN h.since - {SAME_INSTANT} AND h.since + {SAME_INSTANT}
                AND x.ended_at >= w.began_at LIMIT 1) AS released_at
        FROM json_each(?2) j
        CROSS JOIN wait_holder h ON h.process = ?1 AND h.wait = j.value
        JOIN wait w ON w.process = h.process AND w.wait = h.wait
        LEFT JOIN task t ON t.process = h.process AND t.task = h.task
        LEFT JOIN name n ON n.process = t.process AND n.name = t.name
        LEFT JOIN location l ON l.process = h.process AND l.location = h.location
        ORDER BY h.wait, h.place"
    );
    let ids: Vec<i64> = waits.iter().map(|wait| wait.wait.0 as i64).collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let query = sqlx::query(AssertSqlSafe(sql)).bind(process.0).bind(ids);
    let rows = query.fetch_all(&mut **db).await?;
    let mut holders: HashMap<u64, Vec<HolderRow>> = HashMap::new();
    for row in rows {
        holders.entry(row.try_get::<i64, _>("wait")? as u64).or_default().push(HolderRow {
            task: task(&row)?,
            task_name: row.try_get("task_name")?,
            since_at: UnixNanos(row.try_get("since")?),
            location: location(&row, "location")?,
            amount: amount(&row, "amount")?,
            released_at: instant(&row, "released_at")?,
            is_later: false,
        });
    }
    for wait in waits {
        wait.holders = holders.remove(&wait.wait.0).unwrap_or_default();
    }
    Ok(())
}

/// Operations that make a task a holder once they are done.
pub(super) const TAKES: [&str; 4] = ["lock", "read", "write", "acquire"];

/// Locks change hands while others wait. Whoever got a resource last, and is not known to have
/// given it back, holds up those that still wait, once all who held it when they began have.
pub(super) async fn add_later_holders(
    db: &mut Db,
    process: ProcessKey,
    waits: &mut [WaitRow],
) -> Answer<()> {
    let is_free = |wait: &&mut WaitRow| {
        wait.is_open
            && TAKES.contains(&wait.op.as_str())
            && wait.holders.iter().all(|holder| holder.released_at.is_some())
    };
    let mut free: BTreeMap<u64, Vec<&mut WaitRow>> = BTreeMap::new();
    for wait in waits.iter_mut().filter(is_free) {
        if let Some(resource) = wait.resource {
            free.entry(resource.0).or_default().push(wait);
        }
    }
    if free.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = free.keys().map(|&resource| resource as i64).collect();
    let each = MAX_LATER.min(MAX_LATER_OF_ALL / ids.len());
    let sql = later_holders_sql(each);
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(process.0)
        .bind(serde_json::to_string(&ids).unwrap_or_default())
        .fetch_all(&mut **db)
        .await?;
    for row in rows {
        let holder = HolderRow {
            task: task(&row)?,
            task_name: row.try_get("task_name")?,
            since_at: UnixNanos(row.try_get("since")?),
            location: location(&row, "location")?,
            amount: row.try_get::<Option<i64>, _>("amount")?.map_or(0, unsigned),
            released_at: None,
            is_later: true,
        };
        let resource = row.try_get::<i64, _>("resource")? as u64;
        for wait in free.remove(&resource).unwrap_or_default() {
            if holder.since_at >= wait.began_at && holder.task != wait.task {
                wait.holders.push(holder.clone());
            }
        }
    }
    Ok(())
}

/// The last that got each of some resources and may still have it, among the latest `each` waits for it.
pub(super) fn later_holders_sql(each: usize) -> String {
    format!(
        "SELECT x.*, max(x.ended_at) AS since, n.text AS task_name, l.file, l.line, l.column
         FROM json_each(?2) j
         CROSS JOIN wait x ON x.process = ?1 AND x.wait IN (SELECT w.wait
            FROM wait w INDEXED BY wait_by_resource WHERE w.process = ?1 AND w.resource = j.value AND w.began_at IS NOT NULL
            ORDER BY w.began_at DESC LIMIT {each})
         LEFT JOIN task t ON t.process = x.process AND t.task = x.task
         LEFT JOIN name n ON n.process = t.process AND n.name = t.name
         LEFT JOIN location l ON l.process = x.process AND l.location = x.location
         WHERE x.how = 1 AND t.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM hold h
            INDEXED BY hold_by_holder WHERE h.process = x.process AND h.resource = x.resource
                AND h.task = x.task AND h.since >= x.ended_at - {SAME_INSTANT})
         GROUP BY j.value"
    )
}

pub(super) fn hold(row: &SqliteRow) -> Answer<HoldRow> {
    Ok(HoldRow {
        resource: resource(row)?,
        task: task(row)?,
        task_name: row.try_get("task_name")?,
        since_at: UnixNanos(row.try_get("since")?),
        ended_at: UnixNanos(row.try_get("ended_at")?),
        location: location(row, "location")?,
        amount: amount(row, "amount")?,
        waits: amount(row, "waits")?,
    })
}

fn task(row: &SqliteRow) -> Answer<Option<TaskId>> {
    let task: Option<i64> = row.try_get("task")?;
    Ok(task.filter(|&task| task != 0).map(|task| TaskId(task as u64)))
}

fn resource(row: &SqliteRow) -> Answer<Option<ResourceId>> {
    let resource: Option<i64> = row.try_get("resource")?;
    Ok(resource.filter(|&resource| resource != 0).map(|resource| ResourceId(resource as u64)))
}

fn open_location(row: &SqliteRow) -> Answer<Option<Location>> {
    let Some(file) = row.try_get::<Option<String>, _>("open_file")? else { return Ok(None) };
    Ok(Some(Location {
        id: LocationId(row.try_get::<i64, _>("open_location")? as u64),
        file,
        line: row.try_get::<i64, _>("open_line")? as u32,
        column: row.try_get::<i64, _>("open_column")? as u32,
    }))
}
