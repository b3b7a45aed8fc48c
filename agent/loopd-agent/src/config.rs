//! What the agent can be told, in code or by environment variables.

use std::time::Duration;

use loopd_model::{Coverage, CoverageState};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Endpoint;

use crate::agent::{self, Agent};
use crate::embed::Embedded;

/// Where `loopd serve` listens unless told otherwise.
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:7411";
/// As asyncio's `slow_callback_duration`.
const DEFAULT_SLOW_THRESHOLD: Duration = Duration::from_millis(100);
/// Below this the watchdog would be busier than what it watches.
pub(crate) const LEAST_SLOW_THRESHOLD: Duration = Duration::from_millis(1);
pub(crate) const MOST_SLOW_THRESHOLD: Duration = Duration::from_secs(3600);
const DEFAULT_MEMORY_LIMIT: usize = 32 << 20;
/// What a program that ends can spare.
const DEFAULT_EXIT_TIMEOUT: Duration = Duration::from_millis(500);
const MOST_EXIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Below this not even a few threads and batches have room.
const LEAST_MEMORY_LIMIT: usize = 1 << 20;
const MAX_LABELS: usize = loopd_wire::MAX_LABELS;

/// How to record. Made by [`Config::from_env`], so that whoever runs the program can set what its
/// author did not; a value set in code wins, but for [`Config::tracing`].
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) is_enabled: bool,
    pub(crate) endpoint: String,
    pub(crate) app: Option<String>,
    pub(crate) app_version: String,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) slow_threshold: Duration,
    pub(crate) memory_limit: usize,
    pub(crate) record_polls: bool,
    pub(crate) record_wakes: bool,
    pub(crate) record_waits: bool,
    pub(crate) sample_stacks: bool,
    pub(crate) track_fds: bool,
    pub(crate) tracing: bool,
    /// Whether the environment lets the agent be the program's subscriber, should that ask for it.
    pub(crate) may_trace: bool,
    pub(crate) tracing_filter: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) exit_timeout: Duration,
    /// Who records instead of tokio's hooks.
    pub(crate) embedded: Option<Embedded>,
    /// Environment variables that could not be read.
    errors: Vec<StartError>,
    /// Those that were passed over, for [`Config::coverage`].
    ignored: Vec<StartError>,
}

/// Why the agent did not start. The program goes on without being recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An environment variable or setting has a value that cannot be used.
    #[error("{name} is {value:?}, but must be {allowed}")]
    Invalid {
        /// The variable, for example `LOOPD_SLOW_THRESHOLD`.
        name: &'static str,
        /// What it is set to; a token is not repeated.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// An agent has been started in this process before.
    #[error("an agent was already started in this process; there can be only one")]
    AlreadyStarted,
    /// The operating system would not give a thread.
    #[error("start thread {name}: {reason}")]
    Thread {
        /// The thread.
        name: &'static str,
        /// The system's reason.
        reason: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            is_enabled: true,
            endpoint: DEFAULT_ENDPOINT.to_owned(),
            app: None,
            app_version: String::new(),
            labels: Vec::new(),
            slow_threshold: DEFAULT_SLOW_THRESHOLD,
            memory_limit: DEFAULT_MEMORY_LIMIT,
            record_polls: true,
            record_wakes: true,
            record_waits: true,
            sample_stacks: true,
            track_fds: false,
            tracing: false,
            may_trace: true,
            tracing_filter: None,
            token: None,
            exit_timeout: DEFAULT_EXIT_TIMEOUT,
            embedded: None,
            errors: Vec::new(),
            ignored: Vec::new(),
        }
    }
}

impl Config {
    /// The defaults, changed by the `LOOPD_…` environment variables listed in the crate's
    /// documentation. A value that cannot be read is reported by [`Config::start`].
    pub fn from_env() -> Self {
        Self::from_variables(|name| {
            std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
        })
    }

    fn from_variables(get: impl Fn(&'static str) -> Option<String>) -> Self {
        let mut config = Self::default();
        let set = |name| get(name).filter(|value| !value.is_empty()).map(|value| (name, value));
        config.errors = config.read(set);
        config
    }

    /// Takes what can be read; gives what cannot.
    fn read(
        &mut self,
        get: impl Fn(&'static str) -> Option<(&'static str, String)>,
    ) -> Vec<StartError> {
        let mut errors = Vec::new();
        let mut keep = |result: Result<(), StartError>| errors.extend(result.err());
        if let Some((name, value)) = get("LOOPD_ENABLED") {
            keep(parse_bool(name, &value).map(|is_on| self.is_enabled = is_on));
        }
        if let Some((name, value)) = get("LOOPD_ENDPOINT") {
            keep(parse_endpoint(name, &value).map(|_| self.endpoint = value));
        }
        if let Some((_, value)) = get("LOOPD_APP") {
            self.app = Some(value);
        }
        if let Some((_, value)) = get("LOOPD_APP_VERSION") {
            self.app_version = value;
        }
        if let Some((name, value)) = get("LOOPD_LABELS") {
            keep(parse_labels(name, &value).map(|labels| self.labels = labels));
        }
        if let Some((name, value)) = get("LOOPD_SLOW_THRESHOLD") {
            keep(parse_duration(name, &value).map(|threshold| self.slow_threshold = threshold));
        }
        if let Some((name, value)) = get("LOOPD_MEMORY_LIMIT") {
            keep(parse_bytes(name, &value).map(|bytes| self.memory_limit = bytes));
        }
        if let Some((name, value)) = get("LOOPD_RECORD_POLLS") {
            keep(parse_bool(name, &value).map(|is_on| self.record_polls = is_on));
        }
        if let Some((name, value)) = get("LOOPD_RECORD_WAKES") {
            keep(parse_bool(name, &value).map(|is_on| self.record_wakes = is_on));
        }
        if let Some((name, value)) = get("LOOPD_RECORD_WAITS") {
            keep(parse_bool(name, &value).map(|is_on| self.record_waits = is_on));
        }
        if let Some((name, value)) = get("LOOPD_SAMPLE_STACKS") {
            keep(parse_bool(name, &value).map(|is_on| self.sample_stacks = is_on));
        }
        if let Some((name, value)) = get("LOOPD_TRACK_FDS") {
            keep(parse_bool(name, &value).map(|is_on| self.track_fds = is_on));
        }
        if let Some((name, value)) = get("LOOPD_TRACING") {
            keep(parse_bool(name, &value).map(|is_on| self.may_trace = is_on));
        }
        if let Some((name, value)) = get("LOOPD_TRACING_FILTER") {
            keep(check_filter(name, &value).map(|()| self.tracing_filter = Some(value)));
        }
        if let Some((name, value)) = get("LOOPD_TOKEN") {
            keep(parse_token(name, &value).map(|_| self.token = Some(value)));
        }
        if let Some((name, value)) = get("LOOPD_EXIT_TIMEOUT") {
            keep(parse_exit_timeout(name, &value).map(|time| self.exit_timeout = time));
        }
        errors
    }

    /// Goes on with the default of what could not be read, and says so among the coverage: for
    /// programs that have no place to report an error.
    pub(crate) fn forgiving(mut self) -> Self {
        self.ignored.append(&mut self.errors);
        self
    }

    /// What people call the program; by default the name of its executable.
    pub fn app(mut self, name: impl Into<String>) -> Self {
        self.app = Some(name.into());
        self
    }

    /// The program's own version.
    pub fn app_version(mut self, version: impl Into<String>) -> Self {
        self.app_version = version.into();
        self
    }

    /// Adds a label, for example `env=dev`. At most 32.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let key = key.into();
        self.labels.retain(|(known, _)| *known != key);
        self.labels.push((key, value.into()));
        self
    }

    /// Where the collector listens: `http://host:port` or `unix:/path`.
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// From which length a poll is slow.
    pub fn slow_threshold(mut self, threshold: Duration) -> Self {
        self.slow_threshold = threshold;
        self
    }

    /// The most memory the agent takes, in bytes.
    pub fn memory_limit(mut self, bytes: usize) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Whether to record single polls and parks.
    pub fn record_polls(mut self, is_on: bool) -> Self {
        self.record_polls = is_on;
        self
    }

    /// Whether to record who wakes whom.
    pub fn record_wakes(mut self, is_on: bool) -> Self {
        self.record_wakes = is_on;
        self
    }

    /// Whether to record waits, who holds what is waited for, and the states of resources.
    pub fn record_waits(mut self, is_on: bool) -> Self {
        self.record_waits = is_on;
        self
    }

    /// Whether to take the stacks of polls that run long.
    pub fn sample_stacks(mut self, is_on: bool) -> Self {
        self.sample_stacks = is_on;
        self
    }

    /// Whether to track every open file descriptor (Linux only).
    pub fn track_fds(mut self, is_on: bool) -> Self {
        self.track_fds = is_on;
        self
    }

    /// Whether to make loopd's the program's `tracing` subscriber, for programs that have none:
    /// records what tokio's own instrumentation tells. It needs the cargo feature `tokio-tracing`
    /// and `tokio_unstable`. A program with a subscriber adds `loopd_agent::layer()` to it.
    ///
    /// The one setting that cannot be made by an environment variable, which could end a program
    /// that installs a subscriber later: `init()` panics if there is one. `LOOPD_TRACING=off` takes
    /// it back.
    pub fn tracing(mut self, is_on: bool) -> Self {
        self.tracing = is_on;
        self
    }

    /// Which of the program's own `tracing` spans and events are recorded: directives as
    /// `orders=debug,info`. None by default. It needs the cargo feature `layer`.
    pub fn tracing_filter(mut self, directives: impl Into<String>) -> Self {
        self.tracing_filter = Some(directives.into());
        self
    }

    /// Whether to record at all. When not, [`Config::start`] gives an agent that does nothing.
    pub fn enabled(mut self, is_on: bool) -> Self {
        self.is_enabled = is_on;
        self
    }

    /// What the collector asks for when it listens beyond this machine.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The longest that the end of the program may wait, as dropping an [`Agent`] does, for what is not sent
    /// yet. What is left then is lost.
    pub fn exit_timeout(mut self, time: Duration) -> Self {
        self.exit_timeout = time;
        self
    }

    /// Starts recording. At most one agent can be started in a process.
    pub fn start(self) -> Result<Agent, StartError> {
        agent::start(self)
    }

    /// Checks everything, whether it came from the environment or from code.
    pub(crate) fn check(&self) -> Result<Checked, StartError> {
        if let Some(error) = self.errors.first() {
            return Err(error.clone());
        }
        let endpoint = parse_endpoint("LOOPD_ENDPOINT", &self.endpoint)?;
        let token = self.token.as_deref().map(|token| parse_token("LOOPD_TOKEN", token));
        check_threshold("LOOPD_SLOW_THRESHOLD", self.slow_threshold, None)?;
        check_memory("LOOPD_MEMORY_LIMIT", self.memory_limit, None)?;
        check_exit_timeout("LOOPD_EXIT_TIMEOUT", self.exit_timeout, None)?;
        check_labels("LOOPD_LABELS", &self.labels)?;
        if let Some(filter) = &self.tracing_filter {
            check_filter("LOOPD_TRACING_FILTER", filter)?;
        }
        Ok(Checked { endpoint, token: token.transpose()? })
    }

    /// What this build and configuration capture. The watchdog speaks for itself.
    pub(crate) fn coverage(&self, watchdog: Coverage) -> Vec<Coverage> {
        if let Some(embedded) = &self.embedded {
            let mut layers = embedded.coverage.clone();
            layers.extend([watchdog, crate::fds::coverage()]);
            layers.extend(self.ignored_settings());
            return layers;
        }
        let layer = |layer: &str, state, reason: &str| Coverage {
            layer: layer.to_owned(),
            state,
            reason: reason.to_owned(),
        };
        let hooks = if cfg!(tokio_unstable) {
            layer("hooks", CoverageState::On, "")
        } else {
            let reason = "the program was built without RUSTFLAGS=\"--cfg tokio_unstable\": only tasks spawned through loopd_agent are seen";
            layer("hooks", CoverageState::Unavailable, reason)
        };
        let metrics = if cfg!(tokio_unstable) {
            layer("metrics", CoverageState::On, "")
        } else {
            let reason = "without tokio_unstable: no spawn, poll and queue counters";
            layer("metrics", CoverageState::On, reason)
        };
        let wrapped = layer("wrapped", CoverageState::On, "");
        let guards = layer("guards", CoverageState::On, "");
        let delays = match (cfg!(tokio_unstable), cfg!(feature = "schedule-latency")) {
            (false, _) => (
                CoverageState::Unavailable,
                "the program was built without RUSTFLAGS=\"--cfg tokio_unstable\"",
            ),
            (_, false) => (
                CoverageState::Unavailable,
                "needs loopd-agent's cargo feature `schedule-latency`; without it, wakes come only from tasks spawned through loopd_agent and from tokio's tracing",
            ),
            _ => (CoverageState::On, "wakes that nothing else tells come without who did them"),
        };
        let delays = layer("schedule_latency", delays.0, delays.1);
        let mut layers =
            vec![hooks, wrapped, delays, guards, watchdog, metrics, crate::fds::coverage()];
        layers.extend(self.ignored_settings());
        layers
    }

    fn ignored_settings(&self) -> impl Iterator<Item = Coverage> {
        self.ignored.iter().map(|error| Coverage {
            layer: "configuration".to_owned(),
            state: CoverageState::Unavailable,
            reason: format!("{error}; the default is used instead"),
        })
    }
}

/// What [`Config::check`] made of the text.
pub(crate) struct Checked {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: Option<AsciiMetadataValue>,
}

fn invalid(name: &'static str, value: &str, allowed: &'static str) -> StartError {
    StartError::Invalid { name, value: value.to_owned(), allowed }
}

fn parse_bool(name: &'static str, value: &str) -> Result<bool, StartError> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(invalid(name, value, "1, true, yes or on, or 0, false, no or off")),
    }
}

fn parse_endpoint(name: &'static str, value: &str) -> Result<Endpoint, StartError> {
    let allowed = "http://host:port or unix:/path";
    let is_known = value.starts_with("http://") || value.starts_with("unix:/");
    let endpoint = is_known.then(|| Endpoint::from_shared(value.to_owned()).ok()).flatten();
    endpoint.ok_or_else(|| invalid(name, value, allowed))
}

fn check_filter(name: &'static str, value: &str) -> Result<(), StartError> {
    let is_filter = crate::layer::is_filter(value);
    let error = || invalid(name, value, "directives of tracing, like info or orders=debug,warn");
    is_filter.then_some(()).ok_or_else(error)
}

fn parse_token(name: &'static str, value: &str) -> Result<AsciiMetadataValue, StartError> {
    let header = AsciiMetadataValue::try_from(format!("Bearer {value}"));
    header.map_err(|_| invalid(name, "(not shown)", "printable ASCII"))
}

const LABELS: &str = "key=value pairs separated by commas, at most 32";

fn parse_labels(name: &'static str, value: &str) -> Result<Vec<(String, String)>, StartError> {
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=')?;
        Some((key.trim().to_owned(), value.trim().to_owned()))
    };
    let pairs = value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(pair);
    let labels = pairs.collect::<Option<Vec<_>>>().ok_or_else(|| invalid(name, value, LABELS))?;
    check_labels(name, &labels)?;
    Ok(labels)
}

fn check_labels(name: &'static str, labels: &[(String, String)]) -> Result<(), StartError> {
    if labels.len() > MAX_LABELS || labels.iter().any(|(key, _)| key.is_empty()) {
        let text = labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
        return Err(invalid(name, &text.join(","), LABELS));
    }
    Ok(())
}

const THRESHOLDS: &str = "a time from 1ms to 3600s, like 100ms, 2s or 1500us";

fn parse_duration(name: &'static str, value: &str) -> Result<Duration, StartError> {
    let duration = parse_time(value).ok_or_else(|| invalid(name, value, THRESHOLDS))?;
    check_threshold(name, duration, Some(value))?;
    Ok(duration)
}

fn parse_time(value: &str) -> Option<Duration> {
    let (number, unit) = split_unit(value)?;
    let seconds = match unit {
        "us" | "µs" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return None,
    };
    Duration::try_from_secs_f64(seconds).ok()
}

const EXIT_TIMEOUTS: &str = "a time up to 60s, like 500ms, 5s or 0s";

fn parse_exit_timeout(name: &'static str, value: &str) -> Result<Duration, StartError> {
    let time = parse_time(value).ok_or_else(|| invalid(name, value, EXIT_TIMEOUTS))?;
    check_exit_timeout(name, time, Some(value))?;
    Ok(time)
}

fn check_exit_timeout(
    name: &'static str,
    time: Duration,
    text: Option<&str>,
) -> Result<(), StartError> {
    if time <= MOST_EXIT_TIMEOUT {
        return Ok(());
    }
    let value = text.map_or_else(|| format!("{time:?}"), str::to_owned);
    Err(invalid(name, &value, EXIT_TIMEOUTS))
}

fn check_threshold(
    name: &'static str,
    threshold: Duration,
    text: Option<&str>,
) -> Result<(), StartError> {
    if (LEAST_SLOW_THRESHOLD..=MOST_SLOW_THRESHOLD).contains(&threshold) {
        return Ok(());
    }
    let value = text.map_or_else(|| format!("{threshold:?}"), str::to_owned);
    Err(invalid(name, &value, THRESHOLDS))
}

fn parse_bytes(name: &'static str, value: &str) -> Result<usize, StartError> {
    let error = || invalid(name, value, "a size of at least 1MiB, like 32MiB, 64MB or 33554432");
    let (number, unit) = split_unit(value).ok_or_else(error)?;
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(error()),
    };
    let bytes = (number * scale) as usize;
    check_memory(name, bytes, Some(value))?;
    Ok(bytes)
}

fn check_memory(name: &'static str, bytes: usize, text: Option<&str>) -> Result<(), StartError> {
    if bytes >= LEAST_MEMORY_LIMIT {
        return Ok(());
    }
    let value = text.map_or_else(|| bytes.to_string(), str::to_owned);
    Err(invalid(name, &value, "a size of at least 1MiB, like 32MiB, 64MB or 33554432"))
}

/// `1.5s` is 1.5 and `s`.
fn split_unit(value: &str) -> Option<(f64, &str)> {
    let value = value.trim();
    let end = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let number: f64 = value[..end].parse().ok()?;
    Some((number, value[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&'static str, &str)]) -> Config {
        Config::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    fn error(name: &'static str, value: &str) -> String {
        config(&[(name, value)]).check().err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn the_environment_sets_everything() {
        let config = config(&[
            ("LOOPD_ENABLED", "no"),
            ("LOOPD_ENDPOINT", "unix:/run/loopd.sock"),
            ("LOOPD_APP", "orders"),
            ("LOOPD_LABELS", "env=dev, zone=a"),
            ("LOOPD_SLOW_THRESHOLD", "1.5s"),
            ("LOOPD_MEMORY_LIMIT", "8MiB"),
            ("LOOPD_RECORD_POLLS", "0"),
            ("LOOPD_SAMPLE_STACKS", "off"),
            ("LOOPD_TRACING", "on"),
            ("LOOPD_TOKEN", "secret"),
            ("LOOPD_EXIT_TIMEOUT", "5s"),
        ]);
        assert!(config.check().is_ok());
        assert!(!config.tracing && config.may_trace, "the program did not ask");
        assert!(!config.is_enabled && !config.record_polls && !config.sample_stacks);
        assert_eq!(config.labels, [("env".into(), "dev".into()), ("zone".into(), "a".into())]);
        assert_eq!(config.slow_threshold, Duration::from_millis(1500));
        assert_eq!(config.memory_limit, 8 << 20);
        assert_eq!(config.exit_timeout, Duration::from_secs(5));
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        assert_eq!(
            error("LOOPD_SLOW_THRESHOLD", "fast"),
            "LOOPD_SLOW_THRESHOLD is \"fast\", but must be a time from 1ms to 3600s, like 100ms, 2s or 1500us"
        );
        assert!(error("LOOPD_SLOW_THRESHOLD", "10us").contains("from 1ms"));
        assert!(error("LOOPD_ENABLED", "maybe").contains("true"));
        assert!(error("LOOPD_ENDPOINT", "ftp://x").contains("http://host:port"));
        assert!(error("LOOPD_LABELS", "novalue").contains("key=value"));
        assert!(error("LOOPD_MEMORY_LIMIT", "12parsecs").contains("at least 1MiB"));
        assert!(error("LOOPD_MEMORY_LIMIT", "1kb").contains("at least 1MiB"));
        assert!(error("LOOPD_EXIT_TIMEOUT", "2m").contains("up to 60s"));
        assert!(error("LOOPD_EXIT_TIMEOUT", "61s").contains("up to 60s"));
        let token = error("LOOPD_TOKEN", "se\ncret");
        assert!(token.contains("printable") && !token.contains("cret"), "{token}");
    }

    #[test]
    fn a_forgiving_start_uses_the_default_and_says_so() {
        let variables = [("LOOPD_SLOW_THRESHOLD", "banana"), ("LOOPD_APP", "orders")];
        let config = config(&variables).forgiving();
        assert!(config.check().is_ok());
        assert_eq!(config.slow_threshold, DEFAULT_SLOW_THRESHOLD);
        assert_eq!(config.app.as_deref(), Some("orders"));
        let watchdog = Coverage {
            layer: "watchdog".to_owned(),
            state: CoverageState::On,
            reason: String::new(),
        };
        let last = config.coverage(watchdog).pop().unwrap();
        assert_eq!(last.layer, "configuration");
        assert!(last.reason.contains("banana"), "{}", last.reason);
    }

    #[test]
    fn an_empty_variable_is_no_variable() {
        assert!(config(&[("LOOPD_SLOW_THRESHOLD", "")]).check().is_ok());
    }
}
