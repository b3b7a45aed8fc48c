//! What a program of the zoo says of itself, and how its marked lines are found.

use std::future::Future;
use std::pin::Pin;

use tokio::runtime::Builder;

/// Ends the line that must be named.
const MARK: &str = "// <- disease";

/// What `zoo NAME` runs, until it ends or its time is up.
pub(crate) type Run = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>>;

/// What a program expects of those who look at it. Each has one, next to its code.
pub(crate) struct Exhibit {
    /// Rules of which any is right; none: healthy, nothing may be found.
    pub(crate) rules: &'static [&'static str],
    /// Whether it keeps processors busy, and so must not run beside others.
    pub(crate) is_alone: bool,
    /// How many seconds it has to run at least, until what is wrong can be told from what is only slow.
    pub(crate) min_seconds: u64,
    /// What it runs on.
    pub(crate) runtime: fn() -> Builder,
}

impl Exhibit {
    /// Sick: one of these rules finds it, at a marked line.
    pub(crate) const fn sick(rules: &'static [&'static str]) -> Self {
        Self { rules, is_alone: false, min_seconds: 0, runtime: two_workers }
    }

    /// Nothing is wrong with it.
    pub(crate) const fn healthy() -> Self {
        Self::sick(&[])
    }

    /// It needs a processor for itself.
    pub(crate) const fn alone(self) -> Self {
        Self { is_alone: true, ..self }
    }

    /// It needs this long, and no processor to speak of.
    pub(crate) const fn lasting(self, min_seconds: u64) -> Self {
        Self { min_seconds, ..self }
    }

    /// It runs on a runtime of its own choice.
    pub(crate) const fn on(self, runtime: fn() -> Builder) -> Self {
        Self { runtime, ..self }
    }
}

fn two_workers() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder
}

/// A program of the zoo.
pub(crate) struct Animal {
    /// The name of its module, of its app, and on the command line.
    pub(crate) name: &'static str,
    /// What it says of itself.
    pub(crate) exhibit: Exhibit,
    /// The path of its source as pages show it.
    pub(crate) file: &'static str,
    /// Its source.
    pub(crate) source: &'static str,
    /// Runs it.
    pub(crate) run: fn() -> Run,
}

impl Animal {
    pub(crate) fn is_sick(&self) -> bool {
        self.file.contains("/sick/")
    }

    /// The first line of its documentation.
    pub(crate) fn about(&self) -> &'static str {
        self.source.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or_default()
    }

    /// The lines that it marked, `file:line` as pages show them.
    pub(crate) fn locations(&self) -> Vec<String> {
        let lines = self.source.lines().enumerate();
        let marked = lines.filter(|(_, line)| line.trim_end().ends_with(MARK));
        marked.map(|(index, _)| format!("{}:{}", self.file, index + 1)).collect()
    }
}

/// Makes an `ALL` of the modules of a folder, which are declared beside it: `rustfmt` finds them so.
macro_rules! cage {
    ($folder:literal: $($name:ident)*) => {
        pub(crate) const ALL: &[crate::exhibit::Animal] = &[$(crate::exhibit::Animal {
            name: stringify!($name),
            exhibit: $name::EXHIBIT,
            file: concat!("zoo/src/", $folder, "/", stringify!($name), ".rs"),
            source: include_str!(concat!($folder, "/", stringify!($name), ".rs")),
            run: || Box::pin($name::run()),
        }),*];
    };
}
pub(crate) use cage;
