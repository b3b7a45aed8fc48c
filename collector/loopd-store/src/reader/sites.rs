//! How populations grew: live tasks by spawn location, open resources by open location.
//!
//! Both are counted alike. What is alive now is an index; the window is walked backwards from
//! there, so that only what was born or died in it is read.

use std::collections::BTreeMap;

use loopd_model::{Location, TaskId, UnixNanos};
use rusqlite::Connection;

use super::alive::{self, Place, PlaceKey, Population, RESOURCES, TASKS, When};
use super::bounds::{MAX_LOOKED, SCALE};
use super::{Reader, lives, spans, unsigned};
use crate::{ProcessKey, ResourceSite, StoreError, TaskSite};

/// A population is counted at no more instants than this.
const MAX_SAMPLES: usize = 256;
/// So many instants of a curve.
const MAX_INSTANTS: usize = 1_000;
/// So many live tasks are counted, to go back from there.
const MAX_ALIVE: i64 = 200_000 / SCALE as i64;
/// So many of the oldest are given as examples.
const MAX_EXAMPLES: usize = 5;

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
    /// At the end of the window, as far as they were counted.
    alive: i64,
    has_more: bool,
    /// Born and died by step of the window: the first before it, the last after it.
    born: Vec<i64>,
    died: Vec<i64>,
    /// The oldest alive: age and id.
    oldest: Vec<(u64, i64)>,
    median_age: Option<u64>,
}

type Sites = BTreeMap<PlaceKey, Site>;

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
        self.task_sites_by(process, at, window, samples, true).await
    }

    /// The same, where tasks that are alive now and whose spawn was not seen count `with_unborn`: nobody
    /// knows whether they were alive at an earlier instant.
    pub(super) async fn task_sites_by(
        &self,
        process: ProcessKey,
        at: UnixNanos,
        window: u64,
        samples: usize,
        with_unborn: bool,
    ) -> Result<Vec<TaskSite>, StoreError> {
        let failed = || StoreError::sqlite("count live tasks by spawn location");
        let window = window_of(at, window, samples);
        let read = move |db: &Connection| {
            let mut sites = alive_sites(db, &TASKS, process.0, window, with_unborn)?;
            add_lives(db, &mut sites, process.0, window)?;
            Ok(sites)
        };
        let sites = self.raw.ask(read).await.map_err(failed())?;
        let locations = self.places_of(process, &sites).await.map_err(failed())?;
        let site = |((_, location), site): (PlaceKey, Site)| {
            let counts = site.counts(window);
            TaskSite {
                process,
                location_id: location,
                location: location.and_then(|id| locations.get(&id).cloned()),
                alive: counts.last().copied().unwrap_or(0),
                has_more: site.has_more,
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
        let ever = UnixNanos(i64::MAX);
        self.resource_sites_by(process, at, window, samples, ever).await
    }

    /// The same, where what was dropped unclosed counts if that was by `to`.
    pub(super) async fn resource_sites_by(
        &self,
        process: ProcessKey,
        at: UnixNanos,
        window: u64,
        samples: usize,
        to: UnixNanos,
    ) -> Result<Vec<ResourceSite>, StoreError> {
        let failed = || StoreError::sqlite("count open resources by open location");
        let window = window_of(at, window, samples);
        let read = move |db: &Connection| {
            let mut sites = alive_sites(db, &RESOURCES, process.0, window, true)?;
            let counted_from = add_steps(db, &mut sites, process.0, window)?;
            let unclosed = alive::unclosed(db, process.0, to.0)?;
            for key in unclosed.keys().filter(|key| key.1.is_some()) {
                sites.entry(key.clone()).or_insert_with(|| empty(window));
            }
            Ok((sites, unclosed, counted_from))
        };
        let (sites, unclosed, counted_from) = self.raw.ask(read).await.map_err(failed())?;
        let locations = self.places_of(process, &sites).await.map_err(failed())?;
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
                has_more: site.has_more,
                counted_from,
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

    /// The locations of sites.
    async fn places_of(
        &self,
        process: ProcessKey,
        sites: &Sites,
    ) -> Result<BTreeMap<i64, Location>, sqlx::Error> {
        let mut wanted: Vec<i64> = sites.keys().filter_map(|key| key.1).collect();
        wanted.sort_unstable();
        wanted.dedup();
        self.raw.ask(move |db| spans::places(db, process.0, &wanted)).await
    }

    /// How many tasks were alive, at each of these instants, at most the first 1,000; nothing if too
    /// many are alive now to be counted.
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
            let sql = "SELECT count(*) FILTER (WHERE spawned_at IS NOT NULL), count(*) FROM
                (SELECT spawned_at FROM task INDEXED BY task_alive
                 WHERE process = ? AND ended_at IS NULL AND kind IS NOT 4 LIMIT ?)";
            let key = (process.0, MAX_ALIVE + 1);
            let (mut alive, looked): (i64, i64) =
                db.query_row(sql, key, |row| Ok((row.get(0)?, row.get(1)?)))?;
            if looked > MAX_ALIVE {
                return Ok(Vec::new());
            }
            // What changed between an instant and the next, or since the last.
            let mut changes = vec![0i64; sorted.len()];
            lives::between(db, process.0, (first, i64::MAX), |lives| {
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
}

/// What is alive at the end of the window.
fn alive_sites(
    db: &Connection,
    of: &Population,
    process: i64,
    window: Window,
    with_unborn: bool,
) -> rusqlite::Result<Sites> {
    let when = When::alive_at(window.at, with_unborn);
    let mut places = alive::read(db, of, process, when)?;
    if of.table == TASKS.table {
        let mut births: BTreeMap<_, Vec<_>> = BTreeMap::new();
        lives::alive_records(db, process, window.at, |location, born, id| {
            births.entry((String::new(), location)).or_default().push((born, id));
        })?;
        for (key, births) in births {
            places.entry(key).or_default().add_births(births);
        }
    }
    let site = |(key, place): (PlaceKey, Place)| {
        let age = |born| unsigned(window.at.saturating_sub(born));
        let site = Site {
            alive: place.alive,
            has_more: place.has_more,
            oldest: place.oldest.iter().map(|&(born, id)| (age(born), id)).collect(),
            median_age: place.median_birth.map(age),
            ..empty(window)
        };
        (key, site)
    };
    Ok(places.into_iter().map(site).collect())
}

/// Adds the tasks that were spawned and that ended in each step of the window.
fn add_lives(
    db: &Connection,
    sites: &mut Sites,
    process: i64,
    window: Window,
) -> rusqlite::Result<()> {
    let start = window.start();
    lives::between(db, process, (start, window.at), |lives| {
        let key = (String::new(), lives.location);
        let site = sites.entry(key).or_insert_with(|| empty(window));
        for (instant, steps) in [(lives.born, &mut site.born), (lives.died, &mut site.died)] {
            if let Some(at) = instant.filter(|&at| at > start) {
                steps[window.step_of(at)] += lives.tasks;
            }
        }
    })?;
    Ok(())
}

/// Adds the resources that were opened and closed in each step of the window. What is more
/// than can be counted is left out, and from when on nothing is left out is given.
fn add_steps(
    db: &Connection,
    sites: &mut Sites,
    process: i64,
    window: Window,
) -> rusqlite::Result<Option<UnixNanos>> {
    let mut counted_from = None;
    for (instant, index) in CHANGES {
        let sql = format!(
            "SELECT {instant} FROM resource INDEXED BY {index} WHERE process = ?1 AND {instant} > ?2
                AND {instant} <= ?4 ORDER BY {instant} DESC LIMIT 1 OFFSET ?3"
        );
        let mut statement = db.prepare(&sql)?;
        let key = (process, window.start(), MAX_LOOKED, window.at);
        let last_left_out = statement.query(key)?.next()?.map(|row| row.get(0)).transpose()?;
        counted_from = counted_from.max(last_left_out);
    }
    // Both from the same instant, or what was opened would seem to be closed less often.
    let from: i64 = counted_from.unwrap_or(window.start());
    for (instant, index) in CHANGES {
        let mut statement = db.prepare(&steps_sql(instant, index))?;
        let samples = window.samples as i64;
        let key = (process, window.start(), window.step, samples, from, window.at);
        let mut rows = statement.query(key)?;
        while let Some(row) = rows.next()? {
            let key: PlaceKey = (row.get(0)?, row.get(1)?);
            let site = sites.entry(key).or_insert_with(|| empty(window));
            let step = usize::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
            let steps = if instant == "opened_at" { &mut site.born } else { &mut site.died };
            if let Some(count) = steps.get_mut(step) {
                *count += row.get::<_, i64>(3)?;
            }
        }
    }
    Ok(counted_from.map(|at| UnixNanos(at.saturating_add(1))))
}

/// What changes how many resources are open, with the index of it.
const CHANGES: [(&str, &str); 2] =
    [("opened_at", "resource_by_open"), ("closed_at", "resource_by_close")];

fn steps_sql(instant: &str, index: &str) -> String {
    // Step 1 is the first after the window's start; the last is all that came after its end.
    format!(
        "SELECT coalesce(kind, '') AS sort, open_location AS place,
            min(({instant} - ?2 - 1) / ?3 + 1, ?4) AS step, count(*) AS n
         FROM resource INDEXED BY {index}
         WHERE process = ?1 AND {instant} > ?5 AND {instant} <= ?6 AND opened_at IS NOT NULL
         GROUP BY 1, 2, 3"
    )
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) fn statements() -> [String; 2] {
    CHANGES.map(|(instant, index)| steps_sql(instant, index))
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
