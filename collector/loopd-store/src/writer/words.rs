//! Words that agents use over and over, as the small numbers that packed rows can carry.
//!
//! While a commit is gathered a word is its place in a list of its own; [`Words::write`] gives the
//! ids of the database for it. All that are stored are known from the start, so that those keep
//! their ids for everybody when there is no room for new ones.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;

use super::digest::cut;
use crate::sql::packed_rows::NULL;

/// Operations, system calls and places in the kernel: a few dozen of each. Beyond that, new ones
/// are stored as none.
const MAX_WORDS: usize = 4_096;
/// So many new ones may come from one process while the store is open, and so many different ones in
/// one commit. An agent that invents words shall leave room for others.
const MAX_OF_PROCESS: usize = 512;
/// Longer words are cut.
const MAX_WORD: usize = 64;

/// Words and their ids: all that are stored. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct WordIds {
    ids: Arc<HashMap<String, i64>>,
    /// How many came from which process.
    new: Arc<HashMap<i64, usize>>,
}

impl WordIds {
    /// Reads those that are stored.
    pub(super) async fn load(db: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let words: Vec<(String, i64)> =
            sqlx::query_as("SELECT text, id FROM word").fetch_all(db).await?;
        Ok(Self { ids: Arc::new(words.into_iter().collect()), new: Arc::default() })
    }

    fn has_room(&self, process: i64) -> bool {
        let new = self.new.get(&process).copied().unwrap_or_default();
        self.ids.len() < MAX_WORDS && new < MAX_OF_PROCESS
    }

    fn add(&mut self, process: i64, word: String, id: i64) {
        Arc::make_mut(&mut self.ids).insert(word, id);
        *Arc::make_mut(&mut self.new).entry(process).or_default() += 1;
    }
}

/// The words of one commit.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// The place of each, and the process that used it first.
    places: HashMap<String, (i64, i64)>,
    /// How many each process used first.
    first: HashMap<i64, usize>,
}

impl Words {
    /// Its place; [`NULL`] for no word.
    pub(super) fn place(&mut self, process: i64, word: &str) -> i64 {
        if word.is_empty() {
            return NULL;
        }
        let word = cut(word, MAX_WORD);
        if let Some(&(place, _)) = self.places.get(&word) {
            return place;
        }
        let first = self.first.entry(process).or_default();
        if *first >= MAX_OF_PROCESS {
            return NULL;
        }
        *first += 1;
        let place = self.places.len() as i64;
        self.places.insert(word, (place, process));
        place
    }

    /// The id of each place.
    pub(super) async fn write(
        self,
        db: &mut SqliteConnection,
        known: &mut WordIds,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut ids = vec![NULL; self.places.len()];
        for (word, (place, process)) in self.places {
            let id = match known.ids.get(&word) {
                Some(&id) => id,
                None if !known.has_room(process) => continue,
                None => {
                    let sql = "INSERT INTO word (text) VALUES (?)
                        ON CONFLICT DO UPDATE SET text = excluded.text RETURNING id";
                    let id = sqlx::query_scalar(sql).bind(&word).fetch_one(&mut *db).await?;
                    known.add(process, word, id);
                    id
                }
            };
            ids[place as usize] = id;
        }
        Ok(ids)
    }
}

/// The id of a word that was gathered as its place.
pub(super) fn word_id(ids: &[i64], place: i64) -> i64 {
    usize::try_from(place).ok().and_then(|place| ids.get(place).copied()).unwrap_or(NULL)
}
