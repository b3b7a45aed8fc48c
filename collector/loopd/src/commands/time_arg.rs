//! Instants as people type them.

use std::str::FromStr;

use anyhow::anyhow;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use loopd_model::UnixNanos;

use crate::exit::{Exit, OrExit};

/// An instant that may depend on where the data ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeArg {
    /// So long before the newest data.
    Before(SignedDuration),
    /// The last time that the clock showed this, as seen from the newest data.
    Clock(Time),
    /// This date and time on the clock of this machine.
    Local(DateTime),
    /// Exactly then.
    At(Timestamp),
}

const FORMS: &str = "write -5m (before the newest data), 14:03:07.412, \
    \"2026-11-22 14:03:07\" (this machine's time zone), or 2026-11-22T14:03:07Z";

impl FromStr for TimeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(length) = text.strip_prefix('-') {
            let length: SignedDuration = length.parse().map_err(|_| FORMS.to_owned())?;
            return Ok(Self::Before(length.abs()));
        }
        if let Ok(at) = text.parse() {
            return Ok(Self::At(at));
        }
        // A bare date-time would also parse as a time of day, with its date ignored.
        if text.contains('-') {
            return text.parse().map(Self::Local).map_err(|_| FORMS.to_owned());
        }
        text.parse().map(Self::Clock).map_err(|_| FORMS.to_owned())
    }
}

impl TimeArg {
    /// The instant, for data that ends at `newest`, on a clock of `zone`.
    pub(crate) fn resolve(self, newest: UnixNanos, zone: &TimeZone) -> anyhow::Result<UnixNanos> {
        let newest = Timestamp::from_nanosecond(i128::from(newest.0))?;
        let at = match self {
            Self::At(at) => at,
            Self::Before(length) => newest.checked_sub(length)?,
            Self::Local(local) => zone.to_timestamp(local)?,
            Self::Clock(time) => {
                let today = newest.to_zoned(zone.clone()).date();
                match zone.to_timestamp(today.to_datetime(time))? {
                    at if at <= newest => at,
                    _ => zone.to_timestamp(today.yesterday()?.to_datetime(time))?,
                }
            }
        };
        Ok(UnixNanos(i64::try_from(at.as_nanosecond())?))
    }
}

/// A range as people type it, `FROM..TO`, of which either end may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RangeArg {
    from: Option<TimeArg>,
    to: Option<TimeArg>,
}

impl FromStr for RangeArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (from, to) = text
            .split_once("..")
            .ok_or_else(|| format!("{text:?} is no range: write FROM..TO, FROM.. or ..TO"))?;
        let time = |text: &str| match text {
            "" => Ok(None),
            text => text.parse().map(Some),
        };
        Ok(Self { from: time(from)?, to: time(to)? })
    }
}

impl RangeArg {
    /// Both ends, for data of `whose` that ends at `newest`, on a clock of `zone`.
    pub(crate) fn resolve(
        self,
        whose: &str,
        newest: UnixNanos,
        zone: &TimeZone,
    ) -> anyhow::Result<(Option<UnixNanos>, Option<UnixNanos>)> {
        let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(newest, zone)).transpose();
        let (from, to) = (resolve(self.from)?, resolve(self.to)?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(anyhow!("the range of {whose} ends before it begins")).or_exit(Exit::Usage);
        }
        Ok((from, to))
    }
}

/// An instant on the clock of `zone`, to the millisecond: `2026-11-22 14:03:07.412`.
pub(crate) fn clock_text(at: i64, zone: &TimeZone) -> String {
    match Timestamp::from_nanosecond(i128::from(at)) {
        Ok(at) => at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S%.3f").to_string(),
        Err(_) => at.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22T14:00:00Z.
    const NEWEST: UnixNanos = UnixNanos(1_795_356_000_000_000_000);

    fn check(text: &str, expected: &str) {
        let at = text.parse::<TimeArg>().unwrap().resolve(NEWEST, &TimeZone::UTC).unwrap();
        let at = Timestamp::from_nanosecond(i128::from(at.0)).unwrap();
        assert_eq!(at.to_string(), expected, "{text}");
    }

    #[test]
    fn every_form_is_understood() {
        check("-5m", "2026-11-22T13:55:00Z");
        check("-1h 30m", "2026-11-22T12:30:00Z");
        check("-1.5s", "2026-11-22T13:59:58.5Z");
        check("13:03:07.412", "2026-11-22T13:03:07.412Z");
        check("14:03", "2026-11-21T14:03:00Z");
        check("2026-11-20 08:00", "2026-11-20T08:00:00Z");
        check("2026-11-22T10:00:00+01:00", "2026-11-22T09:00:00Z");
    }

    #[test]
    fn nonsense_is_answered_with_the_forms() {
        for text in ["", "noon", "-", "-5 parsecs", "25:00", "2026-13-01"] {
            let error = text.parse::<TimeArg>().unwrap_err();
            assert!(error.contains("write -5m"), "{text}");
        }
    }

    #[test]
    fn either_end_of_a_range_may_be_left_out() {
        let range = |text: &str| {
            let range: RangeArg = text.parse().unwrap();
            let (from, to) = range.resolve("it", NEWEST, &TimeZone::UTC).unwrap();
            [from, to].map(|at| at.map(|at| NEWEST.0 - at.0))
        };
        assert_eq!(range("-2s..-1.5s"), [Some(2_000_000_000), Some(1_500_000_000)]);
        assert_eq!(range("-2s.."), [Some(2_000_000_000), None]);
        assert_eq!(range(".."), [None, None]);
        assert!("-2s".parse::<RangeArg>().unwrap_err().contains("write FROM..TO"));
        let backwards: RangeArg = "-1s..-2s".parse().unwrap();
        let error = backwards.resolve("it", NEWEST, &TimeZone::UTC).unwrap_err();
        assert_eq!(error.to_string(), "the range of it ends before it begins");
    }

    #[test]
    fn instants_are_shown_to_the_millisecond() {
        assert_eq!(clock_text(NEWEST.0 + 412_999_999, &TimeZone::UTC), "2026-11-22 14:00:00.412");
    }
}
