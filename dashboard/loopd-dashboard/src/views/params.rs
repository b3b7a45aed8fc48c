//! The parameters of a request, read one by one so that each mistake is named.

use std::fmt::Display;
use std::str::FromStr;

use loopd_model::UnixNanos;

use super::ViewError;

/// The decoded `name=value` pairs of a query string.
#[derive(Clone, Debug, Default)]
pub struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Takes the pairs, which may be named `known` and nothing else, each at most once.
    pub fn new(pairs: Vec<(String, String)>, known: &[&str]) -> Result<Self, ViewError> {
        for (i, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Err(ViewError::Invalid(format!(
                    "there is no parameter `{name}` here; there are: {known}"
                )));
            }
            if pairs[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(ViewError::Invalid(format!("`{name}` is given twice")));
            }
        }
        Ok(Self { pairs })
    }

    /// The value, if there is one that is not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(known, _)| known == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// The value, which may not be empty: nothing is not the same as not asking.
    pub fn not_empty(&self, name: &str) -> Result<Option<&str>, ViewError> {
        let is_given = self.pairs.iter().any(|(known, _)| known == name);
        match self.text(name) {
            None if is_given => Err(ViewError::Invalid(format!("`{name}` is empty"))),
            text => Ok(text),
        }
    }

    /// The value as a number or id.
    pub fn parsed<T: FromStr>(&self, name: &str) -> Result<Option<T>, ViewError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            ViewError::Invalid(format!("`{name}` must be a whole number, not {text:?}"))
        })
    }

    /// The value as an instant.
    pub fn instant(&self, name: &str) -> Result<Option<UnixNanos>, ViewError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(|at| Some(UnixNanos(at))).map_err(|_| {
            ViewError::Invalid(format!("`{name}` must be nanoseconds since 1970, not {text:?}"))
        })
    }

    /// The value as a number from `min` to `max`.
    pub fn between<T>(&self, name: &str, default: T, min: T, max: T) -> Result<T, ViewError>
    where
        T: FromStr + PartialOrd + Display,
    {
        match self.parsed(name)? {
            None => Ok(default),
            Some(value) if value < min || value > max => {
                let sentence = format!("`{name}` must be from {min} to {max}, not {value}");
                Err(ViewError::Invalid(sentence))
            }
            Some(value) => Ok(value),
        }
    }

    /// The value as `0` or `1`.
    pub fn flag(&self, name: &str) -> Result<bool, ViewError> {
        self.one_of(name, &[("0", false), ("1", true)]).map(Option::unwrap_or_default)
    }

    /// The value as one of a few words.
    pub fn one_of<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ViewError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(Some(*value)),
            None => {
                let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                let words = words.join(", ");
                Err(ViewError::Invalid(format!("`{name}` must be one of {words}, not {text:?}")))
            }
        }
    }
}

/// The word for a value that [`Params::one_of`] would read back.
pub(crate) fn word<T: Copy + PartialEq>(
    words: &'static [(&'static str, T)],
    value: T,
) -> Option<&'static str> {
    words.iter().find(|(_, known)| *known == value).map(|(word, _)| *word)
}

/// Collects the parameters of a request that is about to be sent.
#[derive(Debug, Default)]
pub struct QueryPairs {
    /// What was collected.
    pub pairs: Vec<(&'static str, String)>,
}

impl QueryPairs {
    /// Adds one that is set.
    pub fn add(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.pairs.extend(value.map(|value| (name, value.to_string())));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Result<Params, ViewError> {
        let pairs = pairs.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Params::new(pairs.collect(), &["limit", "from", "state"])
    }

    #[test]
    fn every_mistake_is_named() {
        let unknown = params(&[("sort", "x")]).unwrap_err().to_string();
        assert_eq!(unknown, "there is no parameter `sort` here; there are: limit, from, state");
        let twice = params(&[("limit", "1"), ("limit", "2")]).unwrap_err().to_string();
        assert_eq!(twice, "`limit` is given twice");

        let params = params(&[("limit", "9"), ("from", "noon"), ("state", "dead")]).unwrap();
        let range = params.between("limit", 1, 1, 5).unwrap_err().to_string();
        assert_eq!(range, "`limit` must be from 1 to 5, not 9");
        let instant = params.instant("from").unwrap_err().to_string();
        assert_eq!(instant, "`from` must be nanoseconds since 1970, not \"noon\"");
        let state = params.one_of("state", &[("alive", 1), ("ended", 2)]).unwrap_err().to_string();
        assert_eq!(state, "`state` must be one of alive, ended, not \"dead\"");
    }

    #[test]
    fn what_may_not_be_empty_is_not_taken_for_what_is_not_given() {
        let given = params(&[("from", ""), ("state", "x")]).unwrap();
        assert_eq!(given.not_empty("from").unwrap_err().to_string(), "`from` is empty");
        assert_eq!(given.not_empty("state").unwrap(), Some("x"));
        assert_eq!(given.not_empty("limit").unwrap(), None);
    }
}
