//! What agents can be asked to capture: the names of settings, what each may be, and how what was
//! asked of every program, of those of a name, and of one run adds up.

use loopd_model::{Coverage, CoverageState, Settings};

use crate::ProcessKey;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SettingKey {
    /// Single polls and parks.
    RecordPolls,
    /// Wakes.
    RecordWakes,
    /// Who waits for what, and the state of resources.
    RecordWaits,
    /// Stacks of long polls.
    SampleStacks,
    /// Every open file descriptor.
    TrackFds,
    /// The program's own spans and events.
    AppEvents,
    /// From which length a poll is slow.
    SlowThreshold,
}

/// The value of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// On or off.
    Switch(bool),
    /// A length of time in nanoseconds.
    Nanos(u64),
}

/// A value that a setting cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` must be {}", key.name(), key.allowed())]
pub struct InvalidSetting {
    /// The setting.
    pub key: SettingKey,
}

/// The least and the most that [`SettingKey::SlowThreshold`] may be, in nanoseconds: 1 ms, below
/// which watching costs more than what is watched, and an hour.
pub const SLOW_THRESHOLDS: (u64, u64) = (1_000_000, 3_600_000_000_000);

impl SettingKey {
    /// Every setting.
    pub const ALL: [Self; 7] = [
        Self::RecordPolls,
        Self::RecordWakes,
        Self::RecordWaits,
        Self::SampleStacks,
        Self::TrackFds,
        Self::AppEvents,
        Self::SlowThreshold,
    ];

    /// Its name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RecordPolls => "record_polls",
            Self::RecordWakes => "record_wakes",
            Self::RecordWaits => "record_waits",
            Self::SampleStacks => "sample_stacks",
            Self::TrackFds => "track_fds",
            Self::AppEvents => "app_events",
            Self::SlowThreshold => "slow_threshold",
        }
    }

    /// The setting of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key| key.name() == name)
    }

    /// What it may be, in words.
    pub const fn allowed(self) -> &'static str {
        match self {
            Self::SlowThreshold => "from 1000000 to 3600000000000 nanoseconds (1 ms to 1 h)",
            _ => "true or false",
        }
    }

    /// The layer that it switches as a whole, if there is one.
    const fn layer(self) -> Option<&'static str> {
        match self {
            Self::SampleStacks => Some("watchdog"),
            Self::TrackFds => Some("fds"),
            Self::AppEvents => Some("app_events"),
            _ => None,
        }
    }

    /// Its value there; `None` if it is not said.
    pub fn of(self, settings: &Settings) -> Option<SettingValue> {
        let switch = match self {
            Self::RecordPolls => settings.record_polls,
            Self::RecordWakes => settings.record_wakes,
            Self::RecordWaits => settings.record_waits,
            Self::SampleStacks => settings.sample_stacks,
            Self::TrackFds => settings.track_fds,
            Self::AppEvents => settings.app_events,
            Self::SlowThreshold => return settings.slow_threshold.map(SettingValue::Nanos),
        };
        switch.map(SettingValue::Switch)
    }

    /// Sets or takes away its value there.
    fn put(self, settings: &mut Settings, value: Option<SettingValue>) {
        let switch = match value {
            Some(SettingValue::Switch(is_on)) => Some(is_on),
            Some(SettingValue::Nanos(_)) | None => None,
        };
        match self {
            Self::RecordPolls => settings.record_polls = switch,
            Self::RecordWakes => settings.record_wakes = switch,
            Self::RecordWaits => settings.record_waits = switch,
            Self::SampleStacks => settings.sample_stacks = switch,
            Self::TrackFds => settings.track_fds = switch,
            Self::AppEvents => settings.app_events = switch,
            Self::SlowThreshold => {
                settings.slow_threshold = match value {
                    Some(SettingValue::Nanos(nanos)) => Some(nanos),
                    Some(SettingValue::Switch(_)) | None => None,
                };
            }
        }
    }

    fn check(self, value: SettingValue) -> Result<(), InvalidSetting> {
        let (least, most) = SLOW_THRESHOLDS;
        let is_allowed = match value {
            SettingValue::Switch(_) => self != Self::SlowThreshold,
            SettingValue::Nanos(nanos) => {
                self == Self::SlowThreshold && (least..=most).contains(&nanos)
            }
        };
        if is_allowed { Ok(()) } else { Err(InvalidSetting { key: self }) }
    }
}

/// What is to become of some settings; those not named stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsChange {
    /// At most one for each key. `None`: not asked for any more.
    changes: Vec<(SettingKey, Option<SettingValue>)>,
}

impl SettingsChange {
    /// Also asks for `value`, or with `None` for nothing any more. The last word about a key
    /// counts.
    pub fn with(
        mut self,
        key: SettingKey,
        value: Option<SettingValue>,
    ) -> Result<Self, InvalidSetting> {
        value.map_or(Ok(()), |value| key.check(value))?;
        self.changes.retain(|(known, _)| *known != key);
        self.changes.push((key, value));
        Ok(self)
    }

    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// What is changed, and to what.
    pub fn iter(&self) -> impl Iterator<Item = (SettingKey, Option<SettingValue>)> + '_ {
        self.changes.iter().copied()
    }

    /// Makes the change.
    pub fn apply(&self, settings: &mut Settings) {
        for &(key, value) in &self.changes {
            key.put(settings, value);
        }
    }
}

/// Who is asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingsScope {
    /// Every program, also those to come.
    All,
    /// Every run of the program of this name, also those to come.
    App(String),
    /// One run.
    Process(ProcessKey),
}

/// How things stand with the settings of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessSettings {
    /// What is asked of it, by whatever scope; the narrowest wins. Absent: not asked for.
    pub desired: Settings,
    /// What its agent said is in force; `None` if it did not say.
    pub in_force: Option<Settings>,
    /// What its agent would do if nothing were asked; `None` if it did not say.
    pub configured: Option<Settings>,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
}

impl ProcessSettings {
    /// What the agent is told: what is asked for, and for the rest its own configuration, so that
    /// what is not asked for any more goes back to that.
    pub fn told(&self) -> Settings {
        merged(self.configured.unwrap_or_default(), &self.desired)
    }

    /// Whether the agent has not yet said that all it is told is in force. What it cannot do at
    /// all is not waited for: its coverage says why.
    pub fn is_pending(&self) -> bool {
        let (told, in_force) = (self.told(), self.in_force.unwrap_or_default());
        SettingKey::ALL.into_iter().any(|key| {
            let told = key.of(&told);
            told.is_some() && told != key.of(&in_force) && !self.is_out_of_reach(key)
        })
    }

    fn is_out_of_reach(&self, key: SettingKey) -> bool {
        key.layer().is_some_and(|name| {
            let layer = self.coverage.iter().find(|layer| layer.layer == name);
            layer.is_some_and(|layer| layer.state == CoverageState::Unavailable)
        })
    }
}

/// What an agent said about its settings when it connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedSettings {
    /// What is in force; `None` from an agent that does not say.
    pub in_force: Option<Settings>,
    /// What its own configuration says; `None` from an agent that does not say.
    pub configured: Option<Settings>,
}

/// `base`, but for what `over` says.
pub(crate) fn merged(mut base: Settings, over: &Settings) -> Settings {
    for key in SettingKey::ALL {
        if let Some(value) = key.of(over) {
            key.put(&mut base, Some(value));
        }
    }
    base
}

/// As the database keeps them.
pub(crate) fn to_json(settings: &Settings) -> String {
    let pairs = SettingKey::ALL.into_iter().filter_map(|key| {
        let value = match key.of(settings)? {
            SettingValue::Switch(is_on) => is_on.into(),
            SettingValue::Nanos(nanos) => nanos.into(),
        };
        Some((key.name().to_owned(), value))
    });
    serde_json::Value::Object(pairs.collect()).to_string()
}

/// The writer made this JSON; what is not as it made it is left out.
pub(crate) fn from_json(json: &str) -> Settings {
    let pairs: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(json).unwrap_or_default();
    let mut settings = Settings::default();
    for (name, value) in pairs {
        let value = match value {
            serde_json::Value::Bool(is_on) => Some(SettingValue::Switch(is_on)),
            value => value.as_u64().map(SettingValue::Nanos),
        };
        if let Some(key) = SettingKey::from_name(&name) {
            key.put(&mut settings, value);
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    const ON: Option<SettingValue> = Some(SettingValue::Switch(true));
    const OFF: Option<SettingValue> = Some(SettingValue::Switch(false));

    #[test]
    fn settings_survive_the_way_through_the_database() {
        let mut settings = Settings::default();
        assert_eq!(to_json(&settings), "{}");
        for key in SettingKey::ALL {
            let value = match key {
                SettingKey::SlowThreshold => SettingValue::Nanos(5_000_000),
                _ => SettingValue::Switch((key as u8).is_multiple_of(2)),
            };
            SettingsChange::default().with(key, Some(value)).unwrap().apply(&mut settings);
            assert_eq!(from_json(&to_json(&settings)), settings);
            assert_eq!(key.of(&settings), Some(value));
            assert_eq!(SettingKey::from_name(key.name()), Some(key));
        }
        assert_eq!(from_json("[1]"), Settings::default());
        assert_eq!(from_json(r#"{"record_polls":7,"more":true}"#), Settings::default());
    }

    #[test]
    fn a_value_that_a_setting_cannot_have_is_refused_by_name() {
        let refused = |key, value| {
            let refused = SettingsChange::default().with(key, Some(value)).unwrap_err();
            refused.to_string()
        };
        let (least, most) = SLOW_THRESHOLDS;
        let threshold = "`slow_threshold` must be from 1000000 to 3600000000000 nanoseconds \
                         (1 ms to 1 h)";
        for nanos in [0, least - 1, most + 1, u64::MAX] {
            assert_eq!(refused(SettingKey::SlowThreshold, SettingValue::Nanos(nanos)), threshold);
        }
        let switch = SettingValue::Switch(true);
        assert_eq!(refused(SettingKey::SlowThreshold, switch), threshold);
        let polls = refused(SettingKey::RecordPolls, SettingValue::Nanos(1));
        assert_eq!(polls, "`record_polls` must be true or false");
    }

    #[test]
    fn what_is_not_asked_for_any_more_goes_back_to_the_configuration() {
        let change = SettingsChange::default().with(SettingKey::RecordPolls, OFF).unwrap();
        let mut process = ProcessSettings {
            configured: Some(Settings { record_polls: Some(true), ..Settings::default() }),
            in_force: Some(Settings { record_polls: Some(true), ..Settings::default() }),
            ..ProcessSettings::default()
        };
        assert!(!process.is_pending());
        change.apply(&mut process.desired);
        assert_eq!(process.told().record_polls, Some(false));
        assert!(process.is_pending());
        process.in_force = Some(process.told());
        assert!(!process.is_pending());
        let back = change.with(SettingKey::RecordPolls, None).unwrap();
        back.apply(&mut process.desired);
        assert_eq!(process.told().record_polls, Some(true));
        assert!(process.is_pending());
    }

    #[test]
    fn an_agent_that_says_nothing_is_told_only_what_was_asked_for() {
        let process = ProcessSettings::default();
        assert_eq!(process.told(), Settings::default());
        assert!(!process.is_pending());
        let mut asked = process;
        let change = SettingsChange::default().with(SettingKey::TrackFds, ON).unwrap();
        change.apply(&mut asked.desired);
        assert!(asked.is_pending());
        asked.coverage.push(Coverage {
            layer: "fds".into(),
            state: CoverageState::Unavailable,
            reason: "not here".into(),
        });
        assert!(!asked.is_pending(), "what cannot be had is not waited for");
    }
}
