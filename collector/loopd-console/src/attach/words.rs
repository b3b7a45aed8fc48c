//! Names and places that were given ids, each to be sent once.

use std::collections::HashMap;

use loopd_model::{Batch, Location, LocationId, Name, NameId};
use loopd_wire::{MAX_PATH_BYTES, MAX_TEXT_BYTES};

use super::values::cut;

/// So many names are told apart: that of every task is one. Those of tasks beyond are among their fields.
const MAX_NAMES: usize = 8_192;
/// So many places; those of tasks beyond are among their fields, those of resources are not known.
const MAX_LOCATIONS: usize = 8_192;

#[derive(Debug, Default)]
pub(super) struct Words {
    names: HashMap<String, NameId>,
    locations: HashMap<(String, u32, u32), LocationId>,
    new_names: Vec<Name>,
    new_locations: Vec<Location>,
}

impl Words {
    /// The id of a name; `None` if there is no room for another.
    pub(super) fn name(&mut self, text: &str) -> Option<NameId> {
        let text = cut(text, MAX_TEXT_BYTES);
        if let Some(&id) = self.names.get(text) {
            return Some(id);
        }
        if self.names.len() >= MAX_NAMES {
            return None;
        }
        let id = NameId(self.names.len() as u64 + 1);
        self.names.insert(text.to_owned(), id);
        self.new_names.push(Name { id, text: text.to_owned() });
        Some(id)
    }

    /// The id of a place; none if there is no room for another.
    pub(super) fn location(&mut self, (file, line, column): (&str, u32, u32)) -> LocationId {
        let key = (cut(file, MAX_PATH_BYTES).to_owned(), line, column);
        if let Some(&id) = self.locations.get(&key) {
            return id;
        }
        if self.locations.len() >= MAX_LOCATIONS {
            return LocationId::NONE;
        }
        let id = LocationId(self.locations.len() as u64 + 1);
        let file = key.0.clone();
        self.locations.insert(key, id);
        self.new_locations.push(Location { id, file, line, column });
        id
    }

    /// About how many bytes what is new takes.
    pub(super) fn new_bytes(&self) -> usize {
        let names = self.new_names.iter().map(|name| name.text.len() + 16);
        let places = self.new_locations.iter().map(|place| place.file.len() + 24);
        names.chain(places).sum()
    }

    /// Puts what is new into a batch.
    pub(super) fn put(&mut self, batch: &mut Batch) {
        batch.names.append(&mut self.new_names);
        batch.locations.append(&mut self.new_locations);
    }

    pub(super) fn has_new(&self) -> bool {
        !self.new_names.is_empty() || !self.new_locations.is_empty()
    }
}
