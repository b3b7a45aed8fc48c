//! What events refer to by id: names, places, stacks. Each table is bounded; what it holds is kept,
//! because a collector with another database must be told again.

use std::collections::HashMap;

use loopd_model::{Frame, Location, LocationId, Name, NameId, Stack, StackId};

/// Programs have some thousands of spawn calls at most.
const MAX_LOCATIONS: usize = 8 << 10;
/// Names are for people; a program that makes them up without end loses the later ones.
const MAX_NAMES: usize = 8 << 10;
/// Of text.
const MAX_NAME_BYTES: usize = 1 << 20;
/// Distinct stacks of long polls.
const MAX_STACKS: usize = 2 << 10;
/// Of frames and their text.
const MAX_STACK_BYTES: usize = 2 << 20;
/// The limits hold at this memory limit, and shrink with a smaller one.
const FULL_SIZE_AT: usize = 32 << 20;

/// The limits of one agent.
struct Limits {
    locations: usize,
    names: usize,
    name_bytes: usize,
    stacks: usize,
    stack_bytes: usize,
}

/// The tables, and what has not been put into a batch yet.
pub(crate) struct Tables {
    limits: Limits,
    /// By the address of the compiler's constant.
    by_address: foldhash::HashMap<u64, LocationId>,
    /// By text: one place has a constant per instantiation of its function.
    by_place: HashMap<(String, u32, u32), LocationId>,
    by_name: HashMap<String, NameId>,
    /// By number of [`crate::labels`], less one.
    by_label: Vec<Option<NameId>>,
    by_stack: HashMap<Vec<u64>, StackId>,
    all: Dictionary,
    name_bytes: usize,
    place_bytes: usize,
    stack_bytes: usize,
    /// How much of `all` has been taken.
    taken: (usize, usize, usize),
}

/// Names, places and stacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Dictionary {
    pub(crate) names: Vec<Name>,
    pub(crate) locations: Vec<Location>,
    pub(crate) stacks: Vec<Stack>,
}

impl Tables {
    /// Empty tables within their share of the agent's memory.
    pub(crate) fn new(memory_limit: usize) -> Self {
        let part = |full: usize| full / FULL_SIZE_AT.div_ceil(memory_limit.max(1)).max(1);
        Self {
            limits: Limits {
                locations: part(MAX_LOCATIONS),
                names: part(MAX_NAMES),
                name_bytes: part(MAX_NAME_BYTES),
                stacks: part(MAX_STACKS),
                stack_bytes: part(MAX_STACK_BYTES),
            },
            by_address: foldhash::HashMap::default(),
            by_place: HashMap::new(),
            by_name: HashMap::new(),
            by_label: Vec::new(),
            by_stack: HashMap::new(),
            all: Dictionary::default(),
            name_bytes: 0,
            place_bytes: 0,
            stack_bytes: 0,
            taken: (0, 0, 0),
        }
    }

    /// The id of the place with this number; none when the table is full.
    pub(crate) fn location(&mut self, number: u64) -> LocationId {
        if let Some(&id) = self.by_address.get(&number) {
            return id;
        }
        if self.by_address.len() >= self.limits.locations {
            return LocationId::NONE;
        }
        let Some((file, line, column)) = crate::place::find(number) else {
            return LocationId::NONE;
        };
        let id = self.location_named(file, line, column);
        self.by_address.insert(number, id);
        id
    }

    /// The id of a place that no constant of the compiler's names; none when the table is full.
    pub(crate) fn location_at(&mut self, file: &str, line: u32) -> LocationId {
        if self.by_place.len() >= self.limits.locations {
            let known = self.by_place.get(&(file.to_owned(), line, 0));
            return known.copied().unwrap_or(LocationId::NONE);
        }
        self.location_named(file, line, 0)
    }

    fn location_named(&mut self, file: &str, line: u32, column: u32) -> LocationId {
        let next = LocationId(self.all.locations.len() as u64 + 1);
        let id = *self.by_place.entry((file.to_owned(), line, column)).or_insert(next);
        if id == next {
            self.place_bytes += file.len();
            self.all.locations.push(Location { id, file: file.to_owned(), line, column });
        }
        id
    }

    /// The id of this name; `None` when the table is full.
    pub(crate) fn name(&mut self, text: String) -> Option<NameId> {
        if let Some(&id) = self.by_name.get(&text) {
            return Some(id);
        }
        if self.by_name.len() >= self.limits.names
            || self.name_bytes + text.len() > self.limits.name_bytes
        {
            return None;
        }
        let id = NameId(self.by_name.len() as u64 + 1);
        self.name_bytes += text.len();
        self.all.names.push(Name { id, text: text.clone() });
        self.by_name.insert(text, id);
        Some(id)
    }

    /// The id of the name with this number of [`crate::labels`]; `None` when the table is full.
    pub(crate) fn label(&mut self, number: u32) -> Option<NameId> {
        let index = (number as usize).checked_sub(1)?;
        if let Some(&Some(id)) = self.by_label.get(index) {
            return Some(id);
        }
        let id = self.name(crate::labels::find(number)?.to_owned())?;
        if self.by_label.len() <= index {
            self.by_label.resize(index + 1, None);
        }
        self.by_label[index] = Some(id);
        Some(id)
    }

    /// The id of the stack with these addresses, if it is in the table.
    pub(crate) fn known_stack(&self, addresses: &[u64]) -> Option<StackId> {
        self.by_stack.get(addresses).copied()
    }

    /// The id of the stack with these addresses; `frames` says what they are. `None` when the
    /// table is full.
    pub(crate) fn stack(&mut self, addresses: Vec<u64>, frames: Vec<Frame>) -> Option<StackId> {
        if let Some(&id) = self.by_stack.get(&addresses) {
            return Some(id);
        }
        let bytes = stack_bytes(&frames) + addresses.len() * size_of::<u64>();
        if self.by_stack.len() >= self.limits.stacks
            || self.stack_bytes + bytes > self.limits.stack_bytes
        {
            return None;
        }
        let id = StackId(self.by_stack.len() as u64 + 1);
        self.stack_bytes += bytes;
        self.by_stack.insert(addresses, id);
        self.all.stacks.push(Stack { id, frames });
        Some(id)
    }

    /// What is new since the last call.
    pub(crate) fn take_new(&mut self) -> Dictionary {
        let (names, locations, stacks) = self.taken;
        self.taken = (self.all.names.len(), self.all.locations.len(), self.all.stacks.len());
        Dictionary {
            names: self.all.names[names..].to_vec(),
            locations: self.all.locations[locations..].to_vec(),
            stacks: self.all.stacks[stacks..].to_vec(),
        }
    }

    /// Everything taken so far: for a collector that has never heard of it.
    pub(crate) fn everything(&self) -> Dictionary {
        let (names, locations, stacks) = self.taken;
        Dictionary {
            names: self.all.names[..names].to_vec(),
            locations: self.all.locations[..locations].to_vec(),
            stacks: self.all.stacks[..stacks].to_vec(),
        }
    }

    /// Roughly what the tables take.
    pub(crate) fn bytes(&self) -> usize {
        // Of one entry: a half-full hash table's share of it, and its definition.
        const ADDRESS: usize = 40;
        const PLACE: usize = 160;
        const NAME: usize = 130;
        const STACK: usize = 130;
        2 * (self.name_bytes + self.place_bytes)
            + self.stack_bytes
            + ADDRESS * self.by_address.len()
            + PLACE * self.by_place.len()
            + NAME * self.by_name.len()
            + STACK * self.by_stack.len()
    }
}

impl Dictionary {
    /// The same in pieces of roughly at most this many bytes, and this many definitions each.
    pub(crate) fn chunks(self, max_bytes: usize, max_len: usize) -> Vec<Self> {
        let mut chunks: Vec<Self> = Vec::new();
        let (mut bytes, mut len) = (max_bytes, max_len);
        let mut chunk_for = |item_bytes: usize| {
            if bytes + item_bytes > max_bytes || len >= max_len {
                chunks.push(Self::default());
                (bytes, len) = (0, 0);
            }
            bytes += item_bytes;
            len += 1;
            chunks.len() - 1
        };
        let names: Vec<_> =
            self.names.into_iter().map(|name| (chunk_for(name.text.len() + 8), name)).collect();
        let locations: Vec<_> = self
            .locations
            .into_iter()
            .map(|location| (chunk_for(location.file.len() + 16), location))
            .collect();
        let stacks: Vec<_> = self
            .stacks
            .into_iter()
            .map(|stack| (chunk_for(stack_bytes(&stack.frames)), stack))
            .collect();
        names.into_iter().for_each(|(chunk, name)| chunks[chunk].names.push(name));
        locations.into_iter().for_each(|(chunk, place)| chunks[chunk].locations.push(place));
        stacks.into_iter().for_each(|(chunk, stack)| chunks[chunk].stacks.push(stack));
        chunks
    }
}

fn stack_bytes(frames: &[Frame]) -> usize {
    let text = |frame: &Frame| frame.function.len() + frame.file.len();
    frames.iter().map(|frame| text(frame) + size_of::<Frame>()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_sent_once_and_again_on_request() {
        let mut tables = Tables::new(FULL_SIZE_AT);
        assert_eq!(tables.name("a".into()), Some(NameId(1)));
        assert_eq!(tables.name("b".into()), Some(NameId(2)));
        assert_eq!(tables.name("a".into()), Some(NameId(1)));
        assert_eq!(tables.take_new().names.len(), 2);
        assert_eq!(tables.take_new(), Dictionary::default());
        assert_eq!(tables.everything().names.len(), 2);
    }

    #[test]
    fn one_place_has_one_id_however_many_constants_the_compiler_made() {
        let mut tables = Tables::new(FULL_SIZE_AT);
        let first = tables.location_named("src/main.rs", 3, 5);
        assert_eq!(tables.location_named("src/main.rs", 3, 5), first);
        assert_ne!(tables.location_named("src/main.rs", 4, 5), first);
        assert_eq!(tables.location(0), LocationId::NONE);
    }

    #[test]
    fn a_full_table_refuses() {
        let mut tables = Tables::new(FULL_SIZE_AT);
        let long = "x".repeat(256);
        let accepted = (0..10_000).filter(|i| tables.name(format!("{i}{long}")).is_some()).count();
        assert!((3_000..5_000).contains(&accepted), "{accepted}");
    }
}
