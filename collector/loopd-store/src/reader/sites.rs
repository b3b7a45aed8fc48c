//! How populations grew: live tasks by spawn location, open resources by open location.
//!
//! Both are counted alike. What is alive now is an index; the window is walked backwards from
//! there, so that only what was born or died in it is read.

use std::collections::BTreeMap;

use loopd_model::{Location, LocationId, TaskId, UnixNanos};
use rusqlite::Connection;
use sqlx::{AssertSqlSafe, Row};

use super::{Reader, lives, unsigned};
use crate::{MAX_AGES, ProcessKey, ResourceSite, StoreError, TaskSite};

/// A population is counted at no more instants than this.
const MAX_SAMPLES: usize = 256;
/// So many instants of a curve.
const MAX_INSTANTS: usize = 1_000;
/// So many of the oldest are given as examples.
const MAX_EXAMPLES: usize = 5;

/// What a population is made of, as the columns of its table.
struct Population {
    table: &'static str,
    id: &'static str,
    /// What it is grouped by besides the location.
    sort: &'static str,
    location: &'static str,
    born: &'static str,
    died: &'static str,
    /// The index of what is alive.
    alive: &'static str,
}

const TASKS: Population = Population {
    table: "task",
    id: "task",
    sort: "''",
    location: "spawn_location",
    born: "spawned_at",
    died: "ended_at",
    alive: "task_alive",
};

const RESOURCES: Population = Population {
    table: "resource",
    id: "resource",
    sort: "coalesce(kind, '')",
    location: "open_location",
    born: "opened_at",
    died: "closed_at",
    alive: "resource_open",
};

/// The window that ends at `at`, cut into steps.
#[derive(Clone, Copy)]
struct Window {
    at: i64,
    step: i64,
    samples: usize,
}

impl Window {
    /// The step of an instant after its start: 1 is the first, the last is all that came after its end.
    fn step_of(self, at: i64) -> usize {
        let step = at.saturating_sub(self.start()).saturating_sub(1) / self.step + 1;
        usize::try_from(step).unwrap_or(0).min(self.samples)
    }

    fn start(self) -> i64 {
        // Nothing the store keeps is before 1970, and SQL subtracts it.
        self.at.saturating_sub(self.step.saturating_mul(self.samples as i64 - 1)).max(0)
    }
}

/// One site of either population.
#[derive(Default)]
struct Site {
    /// At the end of the window.
    alive: i64,
    /// Born and died by step of the window: the first before it, the last after it.
    born: Vec<i64>,
    died: Vec<i64>,
    /// The oldest alive: age and id.
    oldest: Vec<(u64, i64)>,
    median_age: Option<u64>,
}

/// Sort and location.
type SiteKey = (String, Option<i64>);
type Sites = BTreeMap<SiteKey, Site>;

impl Site {
    /// How many were alive at each instant of the window; the last is its end.
    fn counts(&self, window: Window) -> Vec<u64> {
        let mut alive = self.alive;
        let mut counts = vec![0; window.samples];
        for (i, count) in counts.iter_mut().enumerate().rev() {
            *count = unsigned(alive);
            // Back to the instant before.
            alive -= self.born[i] - self.died[i];
        }
        counts
    }

    fn sum_in_window(events: &[i64]) -> u64 {
        // The first holds what came before, the last what came after.
        unsigned(events[1..events.len() - 1].iter().sum())
    }
}

impl Reader {
    /// Live tasks per spawn location over the window that ends at `at`, at `samples` instants.
    pub async fn task_sites(
        &self,
        process: ProcessKey,
        at: UnixNanos,
        window: u64,
        samples: usize,
    ) -> Result<Vec<TaskSite>, StoreError> {
        let failed = || StoreError::sqlite("count live tasks by spawn location");
        let window = window_of(at, window, samples);
        let sites = self.sites(&TASKS, process, window).await.map_err(failed())?;
        let locations = self.locations(process).await.map_err(failed())?;
        let site = |((_, location), site): (SiteKey, Site)| {
            let counts = site.counts(window);
            TaskSite {
                process,
                location_id: location,
                location: location.and_then(|id| locations.get(&id).cloned()),
                alive: counts.last().copied().unwrap_or(0),
                spawned: Site::sum_in_window(&site.born),
                ended: Site::sum_in_window(&site.died),
                counts,
                median_age: site.median_age,
                examples: site
                    .oldest
                    .iter()
                    .take(MAX_EXAMPLES)
                    .map(|(_, id)| TaskId(*id as u64))
                    .collect(),
                ages: site.oldest.into_iter().map(|(age, _)| age).collect(),
            }
        };
        Ok(sites.into_iter().map(site).collect())
    }

    /// Open resources per kind and open location over the window that ends at `at`.
    pub async fn resource_sites(
        &self,
        process: ProcessKey,
        at: UnixNanos,
        window: u64,
        samples: usize,
    ) -> Result<Vec<ResourceSite>, StoreError> {
        let failed = || StoreError::sqlite("count open resources by open location");
        let window = window_of(at, window, samples);
        let mut sites = self.sites(&RESOURCES, process, window).await.map_err(failed())?;
        let unclosed = self.unclosed(process).await.map_err(failed())?;
        for key in unclosed.keys().filter(|key| key.1.is_some()) {
            sites.entry(key.clone()).or_insert_with(|| empty(window));
        }
        let locations = self.locations(process).await.map_err(failed())?;
        let oldest = |site: &Site| -> Vec<i64> {
            site.oldest.iter().take(MAX_EXAMPLES).map(|&(_, id)| id).collect()
        };
        let ids: Vec<i64> = sites.values().flat_map(oldest).collect();
        let mut resources = self.resources_by_id(process, &ids).await.map_err(failed())?;
        let mut rows = Vec::new();
        for ((kind, location), site) in sites {
            let counts = site.counts(window);
            let examples = oldest(&site).iter().filter_map(|id| resources.remove(id)).collect();
            rows.push(ResourceSite {
                process,
                location: location.and_then(|id| locations.get(&id).cloned()),
                open: counts.last().copied().unwrap_or(0),
                opened: Site::sum_in_window(&site.born),
                closed: Site::sum_in_window(&site.died),
                unclosed: unclosed.get(&(kind.clone(), location)).copied().unwrap_or(0),
                counts,
                median_age: site.median_age,
                examples,
                ages: site.oldest.into_iter().map(|(age, _)| age).collect(),
                kind,
            });
        }
        Ok(rows)
    }

    /// Every site with something alive now, or born or died since the window began.
    async fn sites(
        &self,
        of: &Population,
        process: ProcessKey,
        window: Window,
    ) -> Result<Sites, sqlx::Error> {
        let Population { born, died, .. } = of;
        let mut sites = Sites::new();
        let sql = alive_sql(of);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(process.0)
            .bind(MAX_AGES as i64)
            .bind(window.at)
            .fetch_all(&self.pool)
            .await?;
        for row in rows {
            let key = (row.try_get("sort")?, row.try_get("place")?);
            let site = sites.entry(key).or_insert_with(|| empty(window));
            let (rank, alive): (i64, i64) = (row.try_get("rank")?, row.try_get("alive")?);
            site.alive = alive;
            let Some(born): Option<i64> = row.try_get("born")? else { continue };
            let age = unsigned(window.at.saturating_sub(born));
            if rank <= MAX_AGES as i64 {
                site.oldest.push((age, row.try_get("id")?));
            }
            if rank == (alive + 1) / 2 {
                site.median_age = Some(age);
            }
        }
        if of.table == "task" {
            self.add_lives(&mut sites, process, window).await?;
            return Ok(sites);
        }
        for (instant, is_birth) in [(born, true), (died, false)] {
            self.add_steps(&mut sites, of, process, window, (instant, is_birth)).await?;
        }
        Ok(sites)
    }

    /// Adds the tasks that were spawned and that ended in each step since the window began.
    async fn add_lives(
        &self,
        sites: &mut Sites,
        process: ProcessKey,
        window: Window,
    ) -> Result<(), sqlx::Error> {
        let start = window.start();
        let read = move |db: &Connection| {
            let mut found = Sites::new();
            lives::after(db, process.0, start, |lives| {
                let key = (String::new(), lives.location);
                let site = found.entry(key).or_insert_with(|| empty(window));
                for (instant, steps) in [(lives.born, &mut site.born), (lives.died, &mut site.died)]
                {
                    if let Some(at) = instant.filter(|&at| at > start) {
                        steps[window.step_of(at)] += lives.tasks;
                    }
                }
                // Those with rows are counted where these are.
                let was_alive = lives.born.is_some_and(|born| born <= window.at)
                    && lives.died.is_some_and(|died| died > window.at);
                site.alive += if was_alive && !lives.have_rows { lives.tasks } else { 0 };
            })?;
            Ok(found)
        };
        for (key, found) in self.raw.ask(read).await? {
            let site = sites.entry(key).or_insert_with(|| empty(window));
            site.alive += found.alive;
            (site.born, site.died) = (found.born, found.died);
        }
        Ok(())
    }

    /// Adds what was born, or died, in each step since the window began.
    async fn add_steps(
        &self,
        sites: &mut Sites,
        of: &Population,
        process: ProcessKey,
        window: Window,
        (instant, is_birth): (&str, bool),
    ) -> Result<(), sqlx::Error> {
        let sql = steps_sql(of, instant);
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(process.0)
            .bind(window.start())
            .bind(window.step)
            .bind(window.samples as i64)
            .fetch_all(&self.pool)
            .await?;
        for row in rows {
            let key = (row.try_get("sort")?, row.try_get("place")?);
            let site = sites.entry(key).or_insert_with(|| empty(window));
            let step = usize::try_from(row.try_get::<i64, _>("step")?).unwrap_or(0);
            let steps = if is_birth { &mut site.born } else { &mut site.died };
            if let Some(count) = steps.get_mut(step) {
                *count += row.try_get::<i64, _>("n")?;
            }
        }
        Ok(())
    }

    /// How many tasks were alive, at each of these instants; at most the first 1,000.
    pub async fn tasks_alive_at(
        &self,
        process: ProcessKey,
        instants: &[UnixNanos],
    ) -> Result<Vec<u64>, StoreError> {
        let mut order: Vec<usize> = (0..instants.len().min(MAX_INSTANTS)).collect();
        order.sort_by_key(|&place| instants[place]);
        let sorted: Vec<i64> = order.iter().map(|&place| instants[place].0).collect();
        let Some(&first) = sorted.first() else { return Ok(Vec::new()) };
        let read = move |db: &Connection| {
            let sql = "SELECT count(*) FROM task INDEXED BY task_alive
                WHERE process = ? AND ended_at IS NULL AND spawned_at IS NOT NULL";
            let mut alive: i64 = db.query_row(sql, [process.0], |row| row.get(0))?;
            // What changed between an instant and the next, or since the last.
            let mut changes = vec![0i64; sorted.len()];
            lives::after(db, process.0, first, |lives| {
                for (instant, change) in [(lives.born, lives.tasks), (lives.died, -lives.tasks)] {
                    let after = instant.map_or(0, |at| sorted.partition_point(|&other| other < at));
                    if let Some(place) = after.checked_sub(1) {
                        changes[place] += change;
                    }
                }
            })?;
            // Backwards from now.
            let counts = changes.iter().rev().map(|change| {
                alive -= change;
                unsigned(alive)
            });
            let mut counts: Vec<u64> = counts.collect();
            counts.reverse();
            Ok(counts)
        };
        let found = self.raw.ask(read).await.map_err(StoreError::sqlite("count live tasks"))?;
        let mut counts = vec![0; found.len()];
        order.iter().zip(found).for_each(|(&place, count)| counts[place] = count);
        Ok(counts)
    }

    async fn unclosed(&self, process: ProcessKey) -> Result<BTreeMap<SiteKey, u64>, sqlx::Error> {
        let sql = "SELECT coalesce(kind, ''), open_location, count(*) FROM resource
            WHERE process = ? AND closed_at IS NOT NULL AND how = 3 GROUP BY 1, 2";
        let rows: Vec<(String, Option<i64>, i64)> =
            sqlx::query_as(sql).bind(process.0).fetch_all(&self.pool).await?;
        Ok(rows.into_iter().map(|(kind, place, n)| ((kind, place), unsigned(n))).collect())
    }

    async fn locations(&self, process: ProcessKey) -> Result<BTreeMap<i64, Location>, sqlx::Error> {
        let sql = "SELECT location, file, line, column FROM location WHERE process = ?";
        let rows: Vec<(i64, String, u32, u32)> =
            sqlx::query_as(sql).bind(process.0).fetch_all(&self.pool).await?;
        let location = |(id, file, line, column)| {
            (id, Location { id: LocationId(id as u64), file, line, column })
        };
        Ok(rows.into_iter().map(location).collect())
    }
}

fn alive_sql(of: &Population) -> String {
    let Population { table, id, sort, location, born, died, alive: index } = of;
    // Alive at the window's end: still alive, or died since.
    let columns = format!("{sort} AS sort, {location} AS place, {id} AS id, {born} AS born");
    let alive = format!(
        "SELECT {columns} FROM {table} INDEXED BY {index} WHERE process = ?1 AND {died} IS NULL
            AND ({born} IS NULL OR {born} <= ?3)
         UNION ALL
         SELECT {columns} FROM {table} WHERE process = ?1 AND {died} > ?3 AND {born} <= ?3"
    );
    format!(
        "SELECT * FROM (SELECT *,
            row_number() OVER (PARTITION BY sort, place ORDER BY born) AS rank,
            count(*) OVER (PARTITION BY sort, place) AS alive FROM ({alive}))
         WHERE rank <= ?2 OR rank = (alive + 1) / 2 ORDER BY sort, place, rank"
    )
}

fn steps_sql(of: &Population, instant: &str) -> String {
    let Population { table, sort, location, born, .. } = of;
    // Step 1 is the first after the window's start; the last is all that came after its end.
    format!(
        "SELECT {sort} AS sort, {location} AS place,
            min(({instant} - ?2 - 1) / ?3 + 1, ?4) AS step, count(*) AS n
         FROM {table} WHERE process = ?1 AND {instant} > ?2 AND {born} IS NOT NULL
         GROUP BY 1, 2, 3"
    )
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> [String; 3] {
    [alive_sql(&TASKS), steps_sql(&RESOURCES, "opened_at"), steps_sql(&RESOURCES, "closed_at")]
}

fn window_of(at: UnixNanos, window: u64, samples: usize) -> Window {
    let samples = samples.clamp(2, MAX_SAMPLES);
    let step = i64::try_from(window / (samples as u64 - 1)).unwrap_or(i64::MAX).max(1);
    Window { at: at.0, step, samples }
}

fn empty(window: Window) -> Site {
    let steps = vec![0; window.samples + 1];
    Site { born: steps.clone(), died: steps, ..Site::default() }
}
