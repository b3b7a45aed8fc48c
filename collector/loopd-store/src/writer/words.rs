//! Words that agents use over and over, as the small numbers that packed rows can carry.
//!
//! While a commit is gathered a word is its place in a list of its own; [`Words::write`] gives the
//! ids of the database for it.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;

use super::digest::cut;
use crate::sql::packed_rows::NULL;

/// Operations, system calls and places in the kernel: a few dozen of each. Those of an agent that
/// invents more are stored without.
const MAX_WORDS: usize = 4_096;
/// Longer words are cut.
const MAX_WORD: usize = 64;

/// Words and their ids, as far as they have been needed.
pub(super) type WordIds = HashMap<String, i64>;

/// The words of one commit.
#[derive(Debug, Default)]
pub(super) struct Words {
    places: HashMap<String, i64>,
}

impl Words {
    /// Its place; [`NULL`] for no word.
    pub(super) fn place(&mut self, word: &str) -> i64 {
        if word.is_empty() {
            return NULL;
        }
        let word = cut(word, MAX_WORD);
        let next = self.places.len() as i64;
        if next >= MAX_WORDS as i64 && !self.places.contains_key(&word) {
            return NULL;
        }
        *self.places.entry(word).or_insert(next)
    }

    /// The id of each place.
    pub(super) async fn write(
        self,
        db: &mut SqliteConnection,
        known: &mut WordIds,
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut ids = vec![NULL; self.places.len()];
        for (word, place) in self.places {
            let id = match known.get(&word) {
                Some(&id) => id,
                None if known.len() >= MAX_WORDS => continue,
                None => {
                    let sql = "INSERT INTO word (text) VALUES (?)
                        ON CONFLICT DO UPDATE SET text = excluded.text RETURNING id";
                    let id = sqlx::query_scalar(sql).bind(&word).fetch_one(&mut *db).await?;
                    known.insert(word, id);
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
