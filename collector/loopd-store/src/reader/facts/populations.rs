//! What was alive at the end of a range, place by place, and how that grew.

use loopd_analysis::findings::{Facts, State, TaskPopulation, ThingPopulation};
use loopd_analysis::leaks::{self, Population};
use loopd_model::UnixNanos;

use super::{Range, place};
use crate::reader::Reader;
use crate::{ResourceSite, StoreError, TaskSite};

/// The window that is looked at: long enough that a burst is over, short enough that a leak of a few per
/// minute shows against what was there before. In tests of bounds an hour, in which their stores have as much
/// as a program has in minutes.
const WINDOW: u64 = if cfg!(test) { 3_600_000_000_000 } else { 600_000_000_000 };
/// At how many instants of the window things are counted.
const SAMPLES: usize = 9;

impl Reader {
    /// `at` is the instant at which they are judged.
    pub(super) async fn add_populations(
        &self,
        range: Range,
        at: UnixNanos,
        facts: &mut Facts,
    ) -> Result<(), StoreError> {
        let window = WINDOW.min(at.0.saturating_sub(range.started).max(1).cast_unsigned());
        let tasks = self.task_sites_by(range.process, at, window, SAMPLES, false).await?;
        let to = UnixNanos(range.to);
        let resources = self.resource_sites_by(range.process, at, window, SAMPLES, to).await?;
        let left_open = match at == to {
            true => None,
            // After the shutdown, which closes most of it.
            false => Some(self.resource_sites_by(range.process, to, 1, 2, to).await?),
        };
        facts.tasks = tasks
            .into_iter()
            .filter(|it| it.spawned + it.ended > 0 || it.counts.iter().any(|&count| count > 0))
            .map(|site| task_population(site, window))
            .collect();
        let is_any = |it: &ResourceSite| {
            it.opened + it.closed + it.unclosed > 0 || it.counts.iter().any(|&count| count > 0)
        };
        facts.resources = resources
            .into_iter()
            .filter(is_any)
            .map(|site| {
                let left_open = match &left_open {
                    None => site.open,
                    Some(sites) => open_there(sites, &site),
                };
                ThingPopulation { left_open, ..thing_population(site, window) }
            })
            .collect();
        facts.tasks.sort_by(|a, b| (b.alive, &a.location).cmp(&(a.alive, &b.location)));
        facts
            .resources
            .sort_by(|a, b| (b.open, &a.kind, &a.location).cmp(&(a.open, &b.kind, &b.location)));
        Ok(())
    }
}

/// The instant at which populations are judged.
pub(super) fn end_of_life(facts: &Facts) -> UnixNanos {
    let loops: Vec<_> = facts.loops.iter().map(|it| (it.opened_at, it.closed_at)).collect();
    leaks::end_of_life(facts.to, facts.state != State::Live, &loops)
}

fn task_population(site: TaskSite, window: u64) -> TaskPopulation {
    TaskPopulation {
        location: site.location.as_ref().map(place),
        alive: site.alive,
        spawned: site.spawned,
        ended: site.ended,
        population: Population { counts: site.counts, window, ages: site.ages },
        examples: site.examples,
    }
}

/// How many of a site were open at a later instant.
fn open_there(later: &[ResourceSite], site: &ResourceSite) -> u64 {
    let is_it = |it: &&ResourceSite| it.kind == site.kind && it.location == site.location;
    later.iter().find(is_it).map_or(0, |it| it.open)
}

fn thing_population(site: ResourceSite, window: u64) -> ThingPopulation {
    let examples = site.examples.into_iter().map(|it| (it.resource, it.name)).collect();
    ThingPopulation {
        kind: site.kind,
        location: site.location.as_ref().map(place),
        open: site.open,
        left_open: site.open,
        opened: site.opened,
        closed: site.closed,
        unclosed: site.unclosed,
        population: Population { counts: site.counts, window, ages: site.ages },
        examples,
    }
}
