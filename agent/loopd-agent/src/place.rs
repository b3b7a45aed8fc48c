//! Places in source code as numbers that fit a ring: the address of the compiler's own constant, or
//! a file's number with line and column, where there is no such constant.
#![expect(unsafe_code, reason = "turns an address back into the reference it came from")]

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::Location;
use std::sync::RwLock;

use crate::renewable::Renewable;

/// Files that have numbers: a program and all its libraries have some thousands. Places in later
/// ones are not known.
const MAX_FILES: usize = 4096;
/// Of a number that is no address: on no platform is an address as high for a program.
const IS_MADE: u64 = 1 << 63;
const FILE_SHIFT: u32 = 48;
const LINE_SHIFT: u32 = 16;

static FILES: Renewable<RwLock<Files>> = Renewable::new(RwLock::default);

#[derive(Default)]
struct Files {
    numbers: HashMap<&'static str, u32>,
    names: Vec<&'static str>,
}

/// In a forked child: the lock may be held by a thread that is not there.
pub(crate) fn renew() {
    FILES.renew();
    LAST.set(("", 0));
}

thread_local! {
    /// The last file asked for.
    static LAST: Cell<(&'static str, u32)> = const { Cell::new(("", 0)) };
}

/// A place as a number.
#[inline(always)]
pub(crate) fn number(location: &'static Location<'static>) -> u64 {
    std::ptr::from_ref(location).expose_provenance() as u64
}

/// The number of a file; 0 if there are too many, or other threads are looking one up.
pub(crate) fn file(name: &str) -> u32 {
    let (last, number) = LAST.get();
    if last == name {
        return number;
    }
    let known = FILES
        .try_read()
        .ok()
        .and_then(|files| files.numbers.get_key_value(name).map(|(name, number)| (*name, *number)));
    match known.or_else(|| add(name)) {
        Some(known) => {
            LAST.set(known);
            known.1
        }
        None => 0,
    }
}

#[cold]
fn add(name: &str) -> Option<(&'static str, u32)> {
    let mut files = FILES.try_write().ok()?;
    let Files { numbers, names } = &mut *files;
    if let Some((name, number)) = numbers.get_key_value(name) {
        return Some((name, *number));
    }
    if names.len() >= MAX_FILES {
        return None;
    }
    let name: &'static str = name.to_owned().leak();
    names.push(name);
    let number = names.len() as u32;
    numbers.insert(name, number);
    Some((name, number))
}

/// A place made of a file's number, line and column; none without a file.
pub(crate) fn made_of(file: u32, line: u32, column: u32) -> u64 {
    if file == 0 {
        return 0;
    }
    let (file, line) = (u64::from(file) << FILE_SHIFT, u64::from(line) << LINE_SHIFT);
    IS_MADE | file | line | u64::from(column).min((1 << LINE_SHIFT) - 1)
}

/// The file, line and column of the place with this number. Only numbers made by [`number`] and
/// [`made_of`] in this process may be given; 0 is no place.
pub(crate) fn find(number: u64) -> Option<(&'static str, u32, u32)> {
    if number & IS_MADE != 0 {
        let file = (number & !IS_MADE) >> FILE_SHIFT;
        let files = FILES.read().ok()?;
        let name = files.names.get((file as usize).checked_sub(1)?)?;
        let column = number & ((1 << LINE_SHIFT) - 1);
        return Some((name, (number >> LINE_SHIFT) as u32, column as u32));
    }
    let address = usize::try_from(number).ok().filter(|&address| address != 0)?;
    let pointer = std::ptr::with_exposed_provenance::<Location<'static>>(address);
    // SAFETY: such numbers are written to rings only by `number`, whose argument lives for the
    // rest of the process, and rings are read only in the process that wrote them.
    let location = unsafe { &*pointer };
    Some((location.file(), location.line(), location.column()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_by_their_numbers() {
        let here = Location::caller();
        assert_eq!(find(number(here)), Some((here.file(), here.line(), here.column())));
        let made = made_of(file("src/made.rs"), u32::MAX, 7);
        assert_eq!(find(made), Some(("src/made.rs", u32::MAX, 7)));
        let copy = String::from("src/made.rs");
        assert_eq!(file(&copy), file("src/made.rs"));
        assert_eq!((find(0), made_of(0, 1, 1)), (None, 0));
    }
}
