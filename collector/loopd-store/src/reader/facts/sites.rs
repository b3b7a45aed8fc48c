//! What tasks did, by spawn location.

use std::collections::{BTreeMap, BTreeSet};

use loopd_analysis::findings::{Facts, SpawnSite};
use loopd_model::TaskId;
use rusqlite::Connection;

use super::cells::{self, Cells};
use super::{Range, place};
use crate::StoreError;
use crate::reader::{Reader, spans};

/// The locations of callbacks: a program has few.
const CALLBACKS: &str = "SELECT DISTINCT spawn_location FROM task INDEXED BY callback_by_process
    WHERE process = ?1 AND kind = 4 AND spawn_location IS NOT NULL LIMIT 10000";

impl Reader {
    pub(super) async fn add_sites(
        &self,
        range: Range,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let length = range.to.saturating_sub(range.from).max(1);
        let before = range.from.saturating_sub(length);
        // Less than half of it would say little.
        let has_before = range.started <= before.saturating_add(length / 2);
        let read = move |db: &Connection| {
            let process = range.process.0;
            let here = cells::read(db, process, (range.from, range.end()))?;
            let before = has_before.then(|| cells::read(db, process, (before, range.from)));
            let mut callbacks = db.prepare(CALLBACKS)?;
            let callbacks = callbacks.query_map([process], |row| row.get(0))?;
            let callbacks = callbacks.collect::<Result<BTreeSet<i64>, _>>()?;
            let before = before.transpose()?.unwrap_or_default();
            let mut wanted: Vec<i64> = here.keys().chain(before.keys()).copied().collect();
            wanted.sort_unstable();
            wanted.dedup();
            let places = spans::places(db, process, &wanted)?;
            Ok((here, before, callbacks, places))
        };
        let failed = StoreError::sqlite("add up roll-ups");
        let (here, before, callbacks, places) = self.raw.ask(read).await.map_err(failed)?;
        let sites = |cells: Cells| {
            // Several columns of one line are one place to people.
            let mut sites: BTreeMap<Option<String>, SpawnSite> = BTreeMap::new();
            for (location, cell) in cells {
                let location_text = places.get(&location).map(place);
                let site = sites.entry(location_text.clone()).or_insert_with(|| SpawnSite {
                    location: location_text,
                    is_callback: callbacks.contains(&location),
                    ..SpawnSite::default()
                });
                site.cell.merge(&cell);
            }
            let mut sites: Vec<_> = sites.into_values().collect();
            sites.sort_by(|a, b| {
                (b.cell.busy_time, &a.location).cmp(&(a.cell.busy_time, &b.location))
            });
            sites
        };
        facts.sites = sites(here);
        facts.before = sites(before);
        if has_before {
            facts.before_name = before_name(length.cast_unsigned());
            facts.before_length = length.cast_unsigned();
        }
        Ok(())
    }
}

/// So many tasks are named of each place.
const MAX_EXAMPLES: usize = 3;

/// Names some of the tasks of each place: those that are told of anyway, as slow, as ended badly, as alive.
pub(super) fn add_examples(facts: &mut Facts) {
    let slow = facts.slow_polls.iter().map(|it| (&it.poll.spawn_location, it.task));
    let ended = facts.ended.iter().map(|it| (&it.location, it.task));
    let alive = facts.alive.iter().map(|it| (&it.location, it.task));
    let of_places =
        facts.tasks.iter().flat_map(|it| it.examples.iter().map(|&task| (&it.location, task)));
    let mut examples: BTreeMap<Option<String>, Vec<TaskId>> = BTreeMap::new();
    for (location, task) in slow.chain(ended).chain(alive).chain(of_places) {
        let known = examples.entry(location.clone()).or_default();
        if known.len() < MAX_EXAMPLES && !known.contains(&task) {
            known.push(task);
        }
    }
    for site in &mut facts.sites {
        site.examples = examples.get(&site.location).cloned().unwrap_or_default();
    }
}

/// As in "more than in *the ten minutes before*".
fn before_name(length: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400_000_000_000, "day"),
        (3_600_000_000_000, "hour"),
        (60_000_000_000, "minute"),
        (1_000_000_000, "second"),
    ];
    const WORDS: [&str; 13] = [
        "", "", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
        "twelve",
    ];
    // The largest unit of which there are two, or almost exactly one.
    let rounded = |unit: u64| length.saturating_add(unit / 2) / unit;
    let fits = |unit: u64| {
        let rest = length.abs_diff(rounded(unit).saturating_mul(unit));
        length >= 2 * unit || (rounded(unit) == 1 && rest <= unit / 20)
    };
    let Some(&(unit, name)) = UNITS.iter().find(|(unit, _)| fits(*unit)) else {
        return "the time before".into();
    };
    match rounded(unit) {
        1 => format!("the {name} before"),
        n => match usize::try_from(n).ok().and_then(|n| WORDS.get(n)) {
            Some(word) => format!("the {word} {name}s before"),
            None => format!("the {n} {name}s before"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::before_name;

    #[test]
    fn a_range_is_named_as_people_say_it() {
        const S: u64 = 1_000_000_000;
        let cases = [
            (600, "the ten minutes before"),
            (60, "the minute before"),
            (59, "the minute before"),
            (45, "the 45 seconds before"),
            (90, "the 90 seconds before"),
            (3_600, "the hour before"),
            (5_400, "the 90 minutes before"),
            (172_800, "the two days before"),
            (2, "the two seconds before"),
        ];
        for (seconds, name) in cases {
            assert_eq!(before_name(seconds * S), name, "{seconds}");
        }
        assert_eq!(before_name(S / 2), "the time before");
    }
}
