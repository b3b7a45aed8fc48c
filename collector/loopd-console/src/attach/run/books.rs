//! What was produced and what was lost, by kind.

use std::collections::BTreeMap;

use loopd_model::{DropCause, LedgerEntry, Loss, Nanos, RecordKind};
use loopd_wire::MAX_NUMBER;

#[derive(Debug, Default)]
pub(super) struct Books {
    produced: [u64; RecordKind::SLOTS],
    dropped: [u64; RecordKind::SLOTS],
    /// Since the last batch: how many, from when to when.
    losses: BTreeMap<(RecordKind, DropCause), (u64, Nanos, Nanos)>,
}

impl Books {
    pub(super) fn produced(&mut self, kind: RecordKind, count: u64) {
        let produced = &mut self.produced[kind as usize];
        *produced = produced.saturating_add(count).min(MAX_NUMBER);
    }

    /// Notes a loss. What is lost was produced.
    pub(super) fn lose(&mut self, kind: RecordKind, cause: DropCause, count: u64, at: Nanos) {
        self.produced(kind, count);
        let dropped = &mut self.dropped[kind as usize];
        *dropped = dropped.saturating_add(count).min(MAX_NUMBER);
        let loss = self.losses.entry((kind, cause)).or_insert((0, at, at));
        (loss.0, loss.2) = (loss.0.saturating_add(count).min(MAX_NUMBER), at);
    }

    pub(super) fn has_new(&self) -> bool {
        !self.losses.is_empty()
    }

    /// Losses since the last batch, and the totals.
    pub(super) fn close(&mut self) -> (Vec<Loss>, Vec<LedgerEntry>) {
        let losses = std::mem::take(&mut self.losses).into_iter();
        let loss = |((kind, cause), (count, from, to))| Loss { kind, cause, count, from, to };
        (losses.map(loss).collect(), self.ledger())
    }

    pub(super) fn ledger(&self) -> Vec<LedgerEntry> {
        let entry = |kind| {
            let (produced, dropped) = (self.produced[kind as usize], self.dropped[kind as usize]);
            (produced > 0).then_some(LedgerEntry { kind, produced, dropped })
        };
        RecordKind::ALL.into_iter().filter_map(entry).collect()
    }
}
