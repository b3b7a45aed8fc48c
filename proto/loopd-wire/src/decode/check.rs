//! The checks that decoding is made of, and the errors they give.

use super::{DecodeError, Field, Tolerated};
use crate::limits::{MAX_NUMBER, MAX_TEXT_BYTES};

/// Where in a message a field is.
#[derive(Clone, Copy)]
pub(super) struct Place(Option<(&'static str, usize)>);

impl Place {
    pub(super) const MESSAGE: Self = Self(None);

    pub(super) const fn entry(list: &'static str, index: usize) -> Self {
        Self(Some((list, index)))
    }

    pub(super) const fn field(self, name: &'static str) -> Field {
        Field { entry: self.0, name }
    }

    pub(super) const fn missing(self, name: &'static str) -> DecodeError {
        DecodeError::Missing { field: self.field(name) }
    }

    /// A number that the store can keep.
    pub(super) fn number(self, name: &'static str, value: u64) -> Result<u64, DecodeError> {
        if value > MAX_NUMBER {
            let field = self.field(name);
            return Err(DecodeError::Limit { field, given: value, limit: MAX_NUMBER });
        }
        Ok(value)
    }

    /// A number that must be given.
    pub(super) fn required(self, name: &'static str, value: u64) -> Result<u64, DecodeError> {
        if value == 0 {
            return Err(self.missing(name));
        }
        self.number(name, value)
    }

    pub(super) fn at_most(
        self,
        name: &'static str,
        given: usize,
        limit: usize,
    ) -> Result<(), DecodeError> {
        if given > limit {
            let (given, limit) = (given as u64, limit as u64);
            return Err(DecodeError::Limit { field: self.field(name), given, limit });
        }
        Ok(())
    }

    pub(super) fn equal(
        self,
        name: &'static str,
        given: u64,
        expected: u64,
    ) -> Result<(), DecodeError> {
        if given != expected {
            return Err(DecodeError::Mismatch { field: self.field(name), given, expected });
        }
        Ok(())
    }
}

/// Checks the length of a list of the message itself.
pub(super) fn at_most(list: &'static str, given: usize, limit: usize) -> Result<(), DecodeError> {
    Place::MESSAGE.at_most(list, given, limit)
}

/// The number of an enum value, if it can be one that is known.
pub(super) fn fits(number: i32) -> Option<u8> {
    u8::try_from(number).ok()
}

impl Tolerated {
    /// Cuts a text of the common length.
    pub(super) fn text(&mut self, text: String) -> String {
        self.cut(text, MAX_TEXT_BYTES)
    }

    /// Cuts `text` to at most `limit` bytes, between two characters.
    pub(super) fn cut(&mut self, mut text: String, limit: usize) -> String {
        if text.len() > limit {
            text.truncate(text.floor_char_boundary(limit));
            self.cut_texts += 1;
        }
        text
    }

    /// Replaces an enum value that is not known.
    pub(super) fn known<T>(&mut self, value: Option<T>, unknown: T) -> T {
        value.unwrap_or_else(|| {
            self.unknown_values += 1;
            unknown
        })
    }
}
