//! Numbers that JSON must carry as text, because a browser's numbers end at 2^53.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

pub use loopd_analysis::text::{at_least_text, count_text, duration_text};
use loopd_model::UnixNanos;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// An instant in wall time, in JSON the decimal text of its nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanosText(pub i64);

/// An id of a task, a resource, a loop or a location, in JSON its decimal text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdText(pub u64);

impl From<UnixNanos> for UnixNanosText {
    fn from(at: UnixNanos) -> Self {
        Self(at.0)
    }
}

macro_rules! as_text {
    ($name:ident, $expected:literal, $pattern:literal, $about:literal) => {
        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let schema = ObjectBuilder::new().schema_type(Type::String);
                schema.pattern(Some($pattern)).description(Some($about)).into()
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                stringify!($name).into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = std::num::ParseIntError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(|_| {
                    serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &$expected)
                })
            }
        }
    };
}

as_text!(
    UnixNanosText,
    "decimal nanoseconds since 1970",
    "^-?[0-9]{1,19}$",
    "An instant: decimal nanoseconds since 1970 (UTC), as text because a browser's numbers end at 2^53."
);
as_text!(
    IdText,
    "a decimal id",
    "^[0-9]{1,20}$",
    "An id of a task, a resource, a loop or a location: decimal text because a browser's numbers end at 2^53. \
     `0` stands for none."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_survive_the_way_through_json() {
        for value in [i64::MIN, -1, 0, i64::MAX] {
            let text = serde_json::to_string(&UnixNanosText(value)).unwrap();
            assert_eq!(text, format!("\"{value}\""));
            assert_eq!(serde_json::from_str::<UnixNanosText>(&text).unwrap().0, value);
        }
        let text = serde_json::to_string(&IdText(u64::MAX)).unwrap();
        assert_eq!(serde_json::from_str::<IdText>(&text).unwrap().0, u64::MAX);
        assert!(serde_json::from_str::<IdText>("\"-1\"").is_err());
    }
}
