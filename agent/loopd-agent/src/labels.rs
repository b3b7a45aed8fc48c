//! Names as numbers that fit a ring, for those who name every task they spawn: the same few names
//! again and again.

use std::collections::HashMap;
use std::sync::RwLock;

use crate::renewable::Renewable;

/// Names that have numbers: as many as the exporter's table of names holds. Later ones are not told.
const MAX_LABELS: usize = 8 << 10;

static LABELS: Renewable<RwLock<Labels>> = Renewable::new(RwLock::default);

#[derive(Default)]
struct Labels {
    numbers: HashMap<&'static str, u32>,
    names: Vec<&'static str>,
}

/// The number of a name, cut as any name in a ring; 0 if it is empty or there are too many.
pub fn number(name: &str) -> u32 {
    let name = &name[..name.floor_char_boundary(crate::record::MAX_TEXT)];
    if name.is_empty() {
        return 0;
    }
    let Ok(mut labels) = LABELS.get().write() else { return 0 };
    if let Some(&number) = labels.numbers.get(name) {
        return number;
    }
    if labels.names.len() >= MAX_LABELS {
        return 0;
    }
    let name: &'static str = name.to_owned().leak();
    labels.names.push(name);
    let number = labels.names.len() as u32;
    labels.numbers.insert(name, number);
    number
}

/// The name with this number; `None` for 0.
pub(crate) fn find(number: u32) -> Option<&'static str> {
    let labels = LABELS.get().read().ok()?;
    labels.names.get((number as usize).checked_sub(1)?).copied()
}

/// In a forked child: the lock may be held by a thread that is not there.
pub(crate) fn renew() {
    LABELS.renew();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_by_their_numbers() {
        let (first, second) = (number("handle"), number("fetch"));
        assert_eq!((find(first), find(second)), (Some("handle"), Some("fetch")));
        assert_eq!((number(&String::from("handle")), number("")), (first, 0));
        assert_eq!(find(0), None);
    }
}
