//! What agents are asked to capture, what is in force, and how a request changes it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use loopd_store::{
    ProcessKey, ProcessSettings, Reader, SettingKey, SettingValue, SettingsChange, SettingsScope,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::ViewError;
use super::process::Coverage;

/// What can be switched. In what is asked for, null means: nothing is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Settings {
    /// Single polls and parks.
    pub record_polls: Option<bool>,
    /// Wakes.
    pub record_wakes: Option<bool>,
    /// Who waits for what, and the state of resources.
    pub record_waits: Option<bool>,
    /// Stacks of long polls.
    pub sample_stacks: Option<bool>,
    /// Every open file descriptor.
    pub track_fds: Option<bool>,
    /// The program's own spans and events.
    pub app_events: Option<bool>,
    /// From which length, in nanoseconds, a poll is slow.
    pub slow_threshold: Option<u64>,
}

/// The shape of the body of a change, which [`parse_change`] reads.
#[derive(Debug)]
pub(crate) struct SettingsPatch;

impl PartialSchema for SettingsPatch {
    fn schema() -> RefOr<Schema> {
        let about = "What is left out stays as it is; null takes back what was asked for.";
        let object = ObjectBuilder::new().description(Some(about));
        let setting = |object: ObjectBuilder, key: SettingKey| {
            let kind = match key {
                SettingKey::SlowThreshold => Type::Integer,
                _ => Type::Boolean,
            };
            let value = ObjectBuilder::new().schema_type(SchemaType::from_iter([kind, Type::Null]));
            let allowed = format!("Null, or {}.", key.allowed());
            object.property(key.name(), value.description(Some(allowed)))
        };
        SettingKey::ALL.into_iter().fold(object, setting).into()
    }
}

impl ToSchema for SettingsPatch {
    fn name() -> Cow<'static, str> {
        "SettingsPatch".into()
    }
}

/// How things stand with the settings of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsState {
    /// What is asked for: of this run, else of programs of its name, else of all.
    pub desired: Settings,
    /// By the name of each setting that is asked for, whose word that is. Only what is asked of the
    /// run itself can be taken back from it alone.
    #[serde(default)]
    #[schema(required)]
    pub asked_by: BTreeMap<String, Asker>,
    /// What its agent said is in force; null from an agent that cannot be asked.
    pub in_force: Option<Settings>,
    /// What its own configuration says, to which a setting goes back when nobody asks for it any
    /// more; null from an agent that cannot be asked.
    pub configured: Option<Settings>,
    /// Whether its agent has not yet said that it does what it is asked for.
    pub pending: bool,
}

/// Whose word it is that something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Asker {
    /// It is asked of this run.
    Run,
    /// It is asked of every run of this program.
    App,
    /// It is asked of every program.
    All,
}

/// `GET /api/v1/processes/{process}/settings`, and the answer to a change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SettingsView {
    /// Of which process.
    pub process: i64,
    /// How things stand.
    #[serde(flatten)]
    pub state: SettingsState,
    /// What is captured, what is not, and why.
    pub coverage: Vec<Coverage>,
}

/// `GET /api/v1/settings`, and the answer to a change of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommonSettingsView {
    /// What is asked of every program.
    pub all: Settings,
    /// What is asked of every run of a program, by name; it wins over `all`.
    pub apps: Vec<AppSettings>,
}

/// What is asked of every run of one program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppSettings {
    /// The name of the program.
    pub app: String,
    /// What is asked of it.
    pub settings: Settings,
}

pub(super) type Asked = Vec<(SettingsScope, loopd_model::Settings)>;

/// How things stand with the settings of a process.
pub async fn settings(reader: &Reader, process: i64) -> Result<SettingsView, ViewError> {
    let settings = stored(reader, process).await?;
    let state = SettingsState::new(&settings, &asked(reader, process).await?);
    let coverage = settings.coverage.into_iter().map(Coverage::from).collect();
    Ok(SettingsView { process, state, coverage })
}

pub(super) async fn stored(reader: &Reader, process: i64) -> Result<ProcessSettings, ViewError> {
    let settings = reader.process_settings(ProcessKey(process)).await?;
    settings.ok_or(ViewError::NoProcess { process })
}

/// What each scope asks of a process, the widest first.
pub(super) async fn asked(reader: &Reader, process: i64) -> Result<Asked, ViewError> {
    Ok(reader.asked_of(ProcessKey(process)).await?)
}

/// What is asked of every program, and of those of a name.
pub async fn common(reader: &Reader) -> Result<CommonSettingsView, ViewError> {
    let mut view = CommonSettingsView { all: Settings::default(), apps: Vec::new() };
    for (scope, settings) in reader.common_settings().await? {
        match scope {
            SettingsScope::All => view.all = settings.into(),
            SettingsScope::App(app) => {
                view.apps.push(AppSettings { app, settings: settings.into() });
            }
            SettingsScope::Process(_) => {}
        }
    }
    Ok(view)
}

/// Reads the body of a change: only what is named changes, and null takes back what was asked for.
pub fn parse_change(body: &Value) -> Result<SettingsChange, ViewError> {
    let invalid = |sentence: String| ViewError::Invalid(sentence);
    let names = || SettingKey::ALL.map(SettingKey::name).join(", ");
    let Value::Object(pairs) = body else {
        let example = "{\"record_polls\": false}";
        return Err(invalid(format!("send an object of settings, as in {example}")));
    };
    let mut change = SettingsChange::default();
    for (name, value) in pairs {
        let Some(key) = SettingKey::from_name(name) else {
            return Err(invalid(format!("there is no setting `{name}`; there are: {}", names())));
        };
        let refuse = || invalid(format!("`{name}` must be {} or null, not {value}", key.allowed()));
        let value = match value {
            Value::Null => None,
            Value::Bool(is_on) => Some(SettingValue::Switch(*is_on)),
            value => Some(SettingValue::Nanos(value.as_u64().ok_or_else(refuse)?)),
        };
        change = change.with(key, value).map_err(|_| refuse())?;
    }
    if change.is_empty() {
        return Err(invalid(format!("name at least one setting; there are: {}", names())));
    }
    Ok(change)
}

/// The body that [`parse_change`] reads back.
pub fn change_body(change: &SettingsChange) -> Value {
    let pair = |(key, value): (SettingKey, Option<SettingValue>)| {
        let value = match value {
            None => Value::Null,
            Some(SettingValue::Switch(is_on)) => is_on.into(),
            Some(SettingValue::Nanos(nanos)) => nanos.into(),
        };
        (key.name().to_owned(), value)
    };
    Value::Object(change.iter().map(pair).collect::<Map<_, _>>())
}

impl From<loopd_model::Settings> for Settings {
    fn from(settings: loopd_model::Settings) -> Self {
        Self {
            record_polls: settings.record_polls,
            record_wakes: settings.record_wakes,
            record_waits: settings.record_waits,
            sample_stacks: settings.sample_stacks,
            track_fds: settings.track_fds,
            app_events: settings.app_events,
            slow_threshold: settings.slow_threshold,
        }
    }
}

impl From<Settings> for loopd_model::Settings {
    fn from(settings: Settings) -> Self {
        Self {
            record_polls: settings.record_polls,
            record_wakes: settings.record_wakes,
            record_waits: settings.record_waits,
            sample_stacks: settings.sample_stacks,
            track_fds: settings.track_fds,
            app_events: settings.app_events,
            slow_threshold: settings.slow_threshold,
        }
    }
}

impl SettingsState {
    pub(super) fn new(settings: &ProcessSettings, asked: &Asked) -> Self {
        Self {
            desired: settings.desired.into(),
            asked_by: asked_by(&settings.desired, asked),
            in_force: settings.in_force.map(Settings::from),
            configured: settings.configured.map(Settings::from),
            pending: settings.is_pending(),
        }
    }
}

/// Of each setting that is asked for, the narrowest scope that does.
fn asked_by(desired: &loopd_model::Settings, asked: &Asked) -> BTreeMap<String, Asker> {
    let asker = |key: SettingKey| {
        key.of(desired)?;
        let (scope, _) = asked.iter().rev().find(|(_, settings)| key.of(settings).is_some())?;
        let asker = match scope {
            SettingsScope::All => Asker::All,
            SettingsScope::App(_) => Asker::App,
            SettingsScope::Process(_) => Asker::Run,
        };
        Some((key.name().to_owned(), asker))
    };
    SettingKey::ALL.into_iter().filter_map(asker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        parse_change(&serde_json::from_str(body).unwrap()).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_change_names_the_field() {
        assert_eq!(
            refused(r#"{"record_polls":"yes"}"#),
            "`record_polls` must be true or false or null, not \"yes\""
        );
        assert_eq!(
            refused(r#"{"slow_threshold":5}"#),
            "`slow_threshold` must be from 1000000 to 3600000000000 nanoseconds (1 ms to 1 h) or \
             null, not 5"
        );
        assert!(refused(r#"{"slow_threshold":-1}"#).contains("not -1"));
        assert!(refused(r#"{"slow_threshold":true}"#).contains("not true"));
        assert!(refused(r#"{"track_fds":1}"#).starts_with("`track_fds` must be true or false"));
        assert!(refused(r#"{"colour":1}"#).starts_with("there is no setting `colour`; there are:"));
        assert!(refused("{}").starts_with("name at least one setting; there are: record_polls,"));
        assert!(refused("[]").starts_with("send an object of settings"));
    }

    #[test]
    fn a_change_survives_the_way_through_a_request() {
        let body = r#"{"app_events":true,"record_polls":null,"slow_threshold":50000000}"#;
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!(change_body(&parse_change(&body).unwrap()), body);
    }
}
