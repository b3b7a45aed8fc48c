//! The resources whose state is read once a second, and again when they are closed.

use std::sync::Arc;

use foldhash::HashMap;
use loopd_model::{EventKind, Metric, ResourceId};

use crate::clock::{Calibration, ticks};
use crate::exporter::stage::Stage;
use crate::resource::{self, Inbox, READINGS, State};

/// Resources sampled at once: at a second's interval and some 300 bytes each, half a megabyte of
/// events a second at worst. Beyond it they are recorded as any other, but not sampled.
const MAX_SAMPLED: usize = 2048;

/// See the module.
pub(crate) struct Resources {
    inbox: Inbox,
    sampled: HashMap<u64, Sampled>,
    /// Once there is one; nothing is sampled before.
    clock: Option<Calibration>,
}

struct Sampled {
    state: Arc<State>,
    /// What was sent last; `None` if nothing was.
    last: Option<[u64; READINGS]>,
}

impl Resources {
    /// Takes up every resource that is opened from now on.
    pub(crate) fn open() -> Self {
        Self { inbox: Inbox::open(), sampled: HashMap::default(), clock: None }
    }

    /// Takes up what is new.
    pub(crate) fn round(&mut self) {
        while let Some(state) = self.inbox.next() {
            if self.sampled.len() >= MAX_SAMPLED {
                // The word that one was closed may have been lost.
                self.sampled.retain(|_, known| !known.state.is_closed());
            }
            if self.sampled.len() < MAX_SAMPLED {
                self.sampled.insert(state.id, Sampled { state, last: None });
            } else {
                resource::count_unsampled();
            }
        }
    }

    /// From now on times can be told.
    pub(crate) fn set_clock(&mut self, clock: Calibration) {
        self.clock = Some(clock);
    }

    /// Whether the totals of a resource are sent.
    pub(crate) fn samples(&self, resource: u64) -> bool {
        self.sampled.contains_key(&resource)
    }

    /// Stages what has changed since the last time, of every resource.
    pub(crate) fn measure(&mut self, stage: &mut Stage) {
        let Some(clock) = &self.clock else { return };
        self.sampled.retain(|_, known| {
            // Read before the state: what is read after the close is final.
            let is_closed = known.state.is_closed();
            known.measure(clock, stage);
            !is_closed
        });
    }

    /// A resource was closed: its last state, and no more of it.
    pub(crate) fn closed(&mut self, resource: u64, stage: &mut Stage) {
        self.round();
        let Some(clock) = &self.clock else { return };
        if let Some(mut known) = self.sampled.remove(&resource) {
            known.measure(clock, stage);
        }
    }

    /// Roughly what it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.sampled.capacity() * (size_of::<Sampled>() + size_of::<u64>())
            + self.sampled.len() * size_of::<State>()
    }
}

impl Sampled {
    fn measure(&mut self, clock: &Calibration, stage: &mut Stage) {
        let mut now = [0; READINGS];
        for &reading in self.state.kind.readings {
            now[reading as usize] = reading.of(&self.state, clock);
        }
        if self.last == Some(now) {
            return;
        }
        let last = self.last.replace(now);
        let is_news = |reading: &resource::Reading| {
            let index = *reading as usize;
            last.is_none_or(|last| last[index] != now[index])
        };
        let metric = |reading: resource::Reading| Metric {
            name: reading.name().to_owned(),
            worker: None,
            value: now[reading as usize] as f64,
        };
        let readings = self.state.kind.readings.iter().copied().filter(|r| is_news(r));
        let readings = readings.map(metric).collect();
        let resource = ResourceId(self.state.id);
        stage.event(ticks(), EventKind::ResourceState { resource, readings });
    }
}
