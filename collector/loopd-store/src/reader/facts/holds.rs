//! Holds of a range, by where they were taken.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use loopd_analysis::findings::{Facts, HoldSite};
use loopd_model::{RecordKind, ResourceId, TaskId, UnixNanos};
use rusqlite::Connection;

use super::Range;
use super::lookup::Lookup;
use super::raw::{self, Budget};
use crate::StoreError;
use crate::reader::bounds::SCALE;
use crate::reader::{Reader, unsigned};
use crate::segments::{Wanted, Wants};

/// So many holds that ended in the range are looked at, the latest.
const MAX_HOLDS: i64 = 20_000 / SCALE as i64;
/// So many places are given, those held longest at.
const MAX_SITES: usize = 200;
/// Of so many of them it is looked up how busy the longest hold was.
const MAX_BUSY: usize = 20;

const HOLDS: &str = "SELECT resource, task, since, ended_at, location, waits
    FROM hold INDEXED BY hold_by_time
    WHERE process = ?1 AND ended_at >= ?2 AND ended_at <= ?3
    ORDER BY ended_at DESC, rowid DESC LIMIT ?4";

impl Reader {
    pub(super) async fn add_holds(
        &self,
        range: Range,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let read = move |db: &Connection| {
            let mut sites = sites(db, range)?;
            add_busy_time(db, range, &mut sites)?;
            Ok(sites.into_iter().map(Site::finish).collect())
        };
        let read = self.raw.ask(read).await;
        facts.hold_sites = read.map_err(StoreError::sqlite("read the holds of a range"))?;
        Ok(())
    }
}

#[derive(Default)]
struct Site {
    site: HoldSite,
    places: BTreeSet<Option<String>>,
    /// When the longest began and ended.
    longest: (i64, i64),
}

impl Site {
    fn finish(self) -> HoldSite {
        let mut places = self.places.into_iter();
        let only = places.next().flatten().filter(|_| places.next().is_none());
        HoldSite { resource_location: only, ..self.site }
    }
}

/// The sites held longest at.
fn sites(db: &Connection, range: Range) -> rusqlite::Result<Vec<Site>> {
    let mut lookup = Lookup::new(db, range.process.0, range.to)?;
    let mut sites: BTreeMap<(i64, String), Site> = BTreeMap::new();
    let mut statement = db.prepare(HOLDS)?;
    let mut rows = statement.query((range.process.0, range.from, range.to, MAX_HOLDS))?;
    while let Some(row) = rows.next()? {
        let (resource, task): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (since, ended): (i64, i64) = (row.get(2)?, row.get(3)?);
        let location: i64 = row.get(4)?;
        let thing = lookup.thing(resource)?;
        let site = sites.entry((location, thing.kind.clone())).or_default();
        if site.site.holds == 0 {
            site.site.location = lookup.place(Some(location))?;
            site.site.resource_kind = thing.kind;
            // The latest is read first.
            site.site.last_at = UnixNanos(ended);
            site.site.first_at = UnixNanos(since);
        }
        let time = unsigned(ended.saturating_sub(since));
        // Of equals the earlier, whatever the order in which they are read.
        let is_longest = site.site.holds == 0
            || (time, Reverse(since)) > (site.site.max_time, Reverse(site.longest.0));
        site.site.holds += 1;
        site.site.total_time = site.site.total_time.saturating_add(time);
        site.site.waits = site.site.waits.saturating_add(unsigned(row.get(5)?));
        site.site.first_at = site.site.first_at.min(UnixNanos(since));
        site.places.insert(thing.place);
        if is_longest {
            site.site.max_time = time;
            site.site.max_task = (task != 0).then_some(TaskId(task as u64));
            site.site.resource = ResourceId(resource as u64);
            site.longest = (since, ended);
        }
    }
    let mut sites: Vec<Site> = sites.into_values().collect();
    sites.sort_by_key(|it| Reverse((it.site.total_time, it.site.waits, it.longest)));
    sites.truncate(MAX_SITES);
    Ok(sites)
}

/// How long the holders of the longest holds were polled meanwhile.
fn add_busy_time(db: &Connection, range: Range, sites: &mut [Site]) -> rusqlite::Result<()> {
    let mut budget = Budget::default();
    for it in sites.iter_mut().take(MAX_BUSY) {
        let (since, ended) = it.longest;
        let Some(task) = it.site.max_task else { continue };
        let wanted = Wanted {
            start_to: ended - 1,
            end_from: since,
            task: Some(task.0),
            columns: Wants { times: true, ..Wants::default() },
            ..Wanted::default()
        };
        let (mut busy, mut is_known) = (0, false);
        let key = (range.process.0, RecordKind::Poll, None);
        let is_all = raw::each(db, key, &wanted, &mut budget, |_, found| {
            for (&start, &length) in found.start.iter().zip(&found.length) {
                let end = start.saturating_add(length);
                if end <= range.to {
                    busy += unsigned(end.min(ended) - start.max(since));
                    // It was taken in a poll: without that one they are gone, or were not recorded.
                    is_known |= start <= since;
                }
            }
        })?;
        it.site.max_busy_time = (is_all && is_known).then_some(busy);
    }
    Ok(())
}

/// What is sent to SQLite, for the test of its plans.
#[cfg(test)]
pub(super) const STATEMENTS: [&str; 1] = [HOLDS];
