//! What is compared: recorders, and the work they watch.

/// A build of the benchmark: what a recorder needs of tokio decides in which it can run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flavour {
    /// Neither `tokio_unstable` nor a feature: tokio as it comes.
    Stable,
    /// With `tokio_unstable`.
    Hooks,
    /// With `tokio_unstable` and tokio's feature `tracing`.
    Tracing,
}

impl Flavour {
    pub(crate) const ALL: [Self; 3] = [Self::Stable, Self::Hooks, Self::Tracing];

    /// The folder it is built into; the cargo feature, if it has one.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Hooks => "hooks",
            Self::Tracing => "tracing",
        }
    }

    /// The variant that records nothing in this build.
    pub(crate) fn bare(self) -> &'static str {
        match self {
            Self::Stable => BARE,
            Self::Hooks => "unstable",
            Self::Tracing => "tracing",
        }
    }
}

/// A recorder, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Variant {
    /// What the benchmark's program calls it.
    pub(crate) name: &'static str,
    pub(crate) flavour: Flavour,
}

const fn variant(name: &'static str, flavour: Flavour) -> Variant {
    Variant { name, flavour }
}

/// All of them, bare first: the others are compared with it.
pub(crate) static VARIANTS: [Variant; 10] = [
    variant(BARE, Flavour::Stable),
    variant("unstable", Flavour::Hooks),
    variant("tracing", Flavour::Tracing),
    variant(FLOOR, Flavour::Hooks),
    variant("loopd hooks", Flavour::Hooks),
    variant("loopd", Flavour::Hooks),
    variant("loopd all", Flavour::Tracing),
    variant("tokio-metrics", Flavour::Hooks),
    variant("dial9", Flavour::Hooks),
    variant(CONSOLE, Flavour::Tracing),
];

/// Tokio as it comes.
pub(crate) const BARE: &str = "bare";
/// Recording written by hand, as small as it gets.
pub(crate) const FLOOR: &str = "floor";
/// Keeps every finished task for an hour, so that it is given fewer of them.
pub(crate) const CONSOLE: &str = "console";
/// loopd as it comes, and nobody listens.
pub(crate) const AWAY: Variant = variant("loopd away", Flavour::Hooks);

/// Work to be watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// As in the program's `job.rs`.
    work: &'static str,
    /// 0 is a current-thread runtime.
    pub(crate) workers: usize,
    /// The same with loopd's own lock, for the recorders of loopd; the bare ones keep tokio's, and
    /// the others take no part.
    own_work: Option<&'static str>,
    /// Milliseconds after each burst, in which recorders write out what they have.
    pub(crate) pause: u64,
}

const fn case(name: &'static str, work: &'static str, workers: usize) -> Case {
    Case { name, work, workers, own_work: None, pause: 5 }
}

const fn own_case(name: &'static str, work: &'static str, own_work: &'static str) -> Case {
    Case { own_work: Some(own_work), ..case(name, work, 0) }
}

/// With a longer pause: each operation leaves several records, and long ones.
const fn long(case: Case) -> Case {
    Case { pause: 20, ..case }
}

/// Those that are measured in nanoseconds an operation.
pub(crate) const CASES: [Case; 9] = [
    case("poll, current_thread", "poll", 0),
    case("poll, multi_thread(2)", "poll", 2),
    case("spawn+end, current_thread", "spawn", 0),
    case("spawn+end, multi_thread(2)", "spawn", 2),
    case("wake+poll, current_thread", "wake", 0),
    case("lock, free", "lock", 0),
    own_case("loopd's lock, free", "lock", "own-lock"),
    long(case("lock, queued for", "queue", 0)),
    long(own_case("loopd's lock, queued for", "queue", "own-queue")),
];

impl Case {
    /// What a recorder does here; nothing if it takes no part.
    fn work_of(&self, variant: &Variant) -> Option<&'static str> {
        match (self.own_work, variant.name) {
            (None, _) | (_, BARE | "unstable" | "tracing") => Some(self.work),
            (own, name) => own.filter(|_| name.starts_with("loopd")),
        }
    }

    /// The recorders that take part, each with what it does.
    pub(crate) fn entries(&self) -> Vec<(&'static Variant, &'static str)> {
        VARIANTS.iter().filter_map(|variant| Some((variant, self.work_of(variant)?))).collect()
    }
}
