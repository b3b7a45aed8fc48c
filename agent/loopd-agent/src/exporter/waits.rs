//! Waits on their way into a batch. One that began and ended within a batch, and was short, is not
//! sent: the totals of its resource tell of it.
//!
//! A wait may begin on one thread and end on another, so that its end can be read first. An end
//! whose beginning is not known is therefore kept for one batch.

use foldhash::{HashMap, HashSet};
use loopd_model::{Event, EventKind, Holder, Nanos, ResourceId, TaskId, WaitId};

use crate::clock::Calibration;
use crate::exporter::tables::Tables;
use crate::waits::{self, WaitRecord};

/// Shorter waits and holds can be left to the totals, in nanoseconds.
const SHORT: u64 = 1_000_000;
/// Waits sent whose end is still to come, in each of two generations. When the younger is full the
/// older is forgotten: ends of its waits are sent one batch later than need be, and those whose
/// end a full ring refused take no room for ever.
const MAX_SENT: usize = 8 << 10;

/// See the module.
#[derive(Default)]
pub(crate) struct Waits {
    /// Begun and not ended, by their ids.
    begun: HashMap<u64, WaitRecord>,
    /// Ended, of beginnings not seen; with whether they have been here for a batch.
    early: HashMap<u64, (bool, WaitRecord)>,
    /// To be sent.
    ready: Vec<WaitRecord>,
    /// Holds that ended.
    holds: Vec<WaitRecord>,
    /// Waits whose beginning was sent, the younger generation first.
    sent: [HashSet<u64>; 2],
    /// No batch will follow the next.
    is_ending: bool,
    /// [`SHORT`] in ticks; 0 before the clock is calibrated.
    short_ticks: u64,
    sealed_at: u64,
}

impl Waits {
    /// Takes a record; `is_sampled` says whether the totals of its resource are sent.
    pub(crate) fn take(&mut self, record: WaitRecord, is_sampled: bool) {
        match &record {
            WaitRecord::Began { wait, .. } => self.began(*wait, record, is_sampled),
            WaitRecord::Ended { wait, .. } => self.ended(*wait, record),
            WaitRecord::HoldEnded { at, hold, .. } => {
                let is_short = at.saturating_sub(hold.since) < self.short_ticks;
                let list = if is_sampled && is_short { &mut self.holds } else { &mut self.ready };
                list.push(record);
            }
        }
    }

    fn began(&mut self, wait: u64, record: WaitRecord, is_sampled: bool) {
        if is_sampled {
            self.begun.insert(wait, record);
        } else {
            self.ready.push(record);
            self.remember(wait);
        }
        if let Some((_, ended)) = self.early.remove(&wait) {
            self.ended(wait, ended);
        }
    }

    fn ended(&mut self, wait: u64, record: WaitRecord) {
        if let Some(began) = self.begun.remove(&wait) {
            if at(&record).saturating_sub(at(&began)) >= self.short_ticks {
                self.ready.extend([began, record]);
            }
        } else if self.sent.iter_mut().any(|sent| sent.remove(&wait)) {
            self.ready.push(record);
        } else {
            self.early.insert(wait, (false, record));
        }
    }

    fn remember(&mut self, wait: u64) {
        if self.sent[0].len() >= MAX_SENT {
            self.sent.swap(0, 1);
            self.sent[0].clear();
        }
        self.sent[0].insert(wait);
    }

    /// How many records are kept.
    pub(crate) fn len(&self) -> usize {
        self.begun.len() + self.early.len() + self.ready.len() + self.holds.len()
    }

    /// Roughly what they take.
    pub(crate) fn bytes(&self) -> usize {
        let sent: usize = self.sent.iter().map(HashSet::capacity).sum();
        self.len() * size_of::<WaitRecord>() + sent * (size_of::<u64>() + 1)
    }

    /// The next batch is the last: nothing is kept for another.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
    }

    /// What goes into the batch that is sealed now, instants in ticks.
    pub(crate) fn seal(&mut self, clock: &Calibration, tables: &mut Tables) -> Vec<Event> {
        let mut records = std::mem::take(&mut self.ready);
        for (wait, began) in std::mem::take(&mut self.begun) {
            records.push(began);
            self.remember(wait);
        }
        let is_ending = self.is_ending;
        let late = self.early.extract_if(|_, (is_old, _)| *is_old || is_ending);
        records.extend(late.map(|(_, (_, ended))| ended));
        self.early.values_mut().for_each(|(is_old, _)| *is_old = true);
        self.add_holds(&mut records);
        self.sealed_at = records.iter().map(at).fold(self.sealed_at, u64::max);
        self.short_ticks = clock.ticks_in(SHORT);
        records.into_iter().map(|record| event(record, tables)).collect()
    }

    /// Short holds are sent if a wait that is sent names them.
    fn add_holds(&mut self, records: &mut Vec<WaitRecord>) {
        if self.holds.is_empty() {
            return;
        }
        let mut named = HashSet::default();
        for record in &*records {
            if let WaitRecord::Began { resource, holders, .. } = record {
                named.extend(holders.iter().map(|holder| (*resource, holder.since)));
            }
        }
        let sealed_at = self.sealed_at;
        let is_wanted = |record: &WaitRecord| match record {
            // One that began before may be named by a wait of an earlier batch.
            WaitRecord::HoldEnded { resource, hold, .. } => {
                hold.since <= sealed_at || named.contains(&(*resource, hold.since))
            }
            _ => true,
        };
        records.extend(self.holds.drain(..).filter(is_wanted));
    }
}

fn at(record: &WaitRecord) -> u64 {
    match record {
        WaitRecord::Began { at, .. }
        | WaitRecord::Ended { at, .. }
        | WaitRecord::HoldEnded { at, .. } => *at,
    }
}

fn holder(holder: &waits::Holder, tables: &mut Tables) -> Holder {
    Holder {
        task: TaskId(holder.task),
        since: Nanos(holder.since),
        location: tables.location(holder.location),
        amount: holder.amount,
    }
}

fn event(record: WaitRecord, tables: &mut Tables) -> Event {
    let at = Nanos(at(&record));
    let kind = match record {
        WaitRecord::Began { wait, task, resource, op, location, amount, holders, .. } => {
            EventKind::WaitBegan {
                wait: WaitId(wait),
                task: TaskId(task),
                resource: ResourceId(resource),
                op: op.as_str().to_owned(),
                location: tables.location(location),
                amount,
                holders: holders.iter().map(|one| holder(one, tables)).collect(),
            }
        }
        WaitRecord::Ended { wait, how, .. } => EventKind::WaitEnded { wait: WaitId(wait), how },
        WaitRecord::HoldEnded { resource, hold, waits, .. } => EventKind::HoldEnded {
            resource: ResourceId(resource),
            hold: holder(&hold, tables),
            waits,
        },
    };
    Event { at, kind }
}

#[cfg(test)]
mod tests {
    use loopd_model::WaitHow;

    use super::*;
    use crate::clock::Origin;
    use crate::waits::{Holders, Op};

    fn began(wait: u64, at: u64) -> WaitRecord {
        WaitRecord::Began {
            at,
            wait,
            task: 1,
            resource: 2,
            op: Op::Lock,
            location: 0,
            amount: 0,
            holders: Holders::default(),
        }
    }

    fn ended(wait: u64, at: u64) -> WaitRecord {
        WaitRecord::Ended { at, wait, how: WaitHow::Ready }
    }

    /// What each of some batches holds, as wait ids; an end is negative.
    fn check(batches: &[(&[WaitRecord], bool, &[i64])]) {
        let clock = Origin::now().calibrate();
        let (mut waits, mut tables) = (Waits::default(), Tables::new(1 << 20));
        waits.seal(&clock, &mut tables);
        for (records, is_sampled, expected) in batches {
            records.iter().for_each(|record| waits.take(record.clone(), *is_sampled));
            let id = |event: &Event| match &event.kind {
                EventKind::WaitBegan { wait, .. } => wait.0 as i64,
                EventKind::WaitEnded { wait, .. } => -(wait.0 as i64),
                _ => 0,
            };
            let sent: Vec<_> = waits.seal(&clock, &mut tables).iter().map(id).collect();
            assert_eq!(sent, *expected);
        }
    }

    const LONG: u64 = 1 << 60;

    #[test]
    fn only_a_short_wait_within_a_batch_of_a_sampled_resource_is_left_out() {
        check(&[(&[began(1, 5), ended(1, 6)], true, &[])]);
        check(&[(&[began(1, 5), ended(1, 6)], false, &[1, -1])]);
        check(&[(&[began(1, 5), ended(1, LONG)], true, &[1, -1])]);
        check(&[(&[began(1, 5)], true, &[1]), (&[ended(1, 6)], true, &[-1])]);
    }

    #[test]
    fn an_end_that_is_read_first_waits_a_batch_for_its_beginning() {
        check(&[(&[ended(1, 6), began(1, 5)], true, &[])]);
        check(&[(&[ended(1, LONG)], true, &[]), (&[began(1, 5)], true, &[1, -1])]);
        check(&[(&[ended(1, 6)], true, &[]), (&[], true, &[-1])]);
        check(&[(&[ended(1, LONG), began(1, 5)], false, &[1, -1])]);
    }

    #[test]
    fn the_last_batch_keeps_nothing_back() {
        let clock = Origin::now().calibrate();
        let (mut waits, mut tables) = (Waits::default(), Tables::new(1 << 20));
        waits.take(ended(1, 6), true);
        waits.end();
        assert_eq!(waits.seal(&clock, &mut tables).len(), 1);
        assert_eq!(waits.len(), 0);
    }

    #[test]
    fn waits_whose_end_never_comes_make_room_for_others() {
        let mut waits = Waits::default();
        for wait in 1..=5 * MAX_SENT as u64 {
            waits.take(began(wait, 5), false);
        }
        let latest = 5 * MAX_SENT as u64;
        let sent = waits.ready.len();
        waits.take(ended(latest, 6), false);
        assert_eq!(waits.ready.len(), sent + 1, "its end is sent at once");
        assert!(waits.sent.iter().all(|sent| sent.len() <= MAX_SENT));
    }
}
