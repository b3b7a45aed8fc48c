//! Whether what loopd found in a program is what is wrong with it.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use super::program::Program;

/// What these find is no disease of the program: what is missing from its recording, a machine that has more
/// to do than this, and an agent that is built for tests.
const BESIDE_THE_PROGRAM: [&str; 3] = ["capture_incomplete", "descheduled", "agent_overhead"];
/// The disease has to be among so many of the first findings.
const FIRST: usize = 2;

/// One finding, as far as it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    rule: String,
    level: String,
    location: Option<String>,
    title: String,
}

/// A program and what was found in it.
pub(crate) struct Judged {
    pub(crate) program: Program,
    /// How often it has run; this is of the last time.
    pub(crate) tries: u32,
    /// How long the machine let a thread wait meanwhile.
    pub(crate) stall: Duration,
    /// In the order of `loopd findings`, without those beside the program.
    findings: Vec<Finding>,
}

/// How loopd did on all of them.
pub(crate) struct Summary {
    /// Sick programs, and those whose disease was found.
    sick: usize,
    found: usize,
    /// Healthy programs, and those that were accused.
    healthy: usize,
    accused: usize,
    /// Findings above `info` in sick programs beside what is expected.
    beside: usize,
}

/// Takes what `loopd findings --json` gave.
pub(crate) fn judge(
    program: Program,
    findings: Vec<Value>,
    (tries, stall): (u32, Duration),
) -> Judged {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let findings = findings.iter().map(|it| Finding {
        rule: text(&it["rule"]),
        level: text(&it["level"]),
        location: it["location"].as_str().map(str::to_owned),
        title: text(&it["title"]),
    });
    let of_the_program = |it: &Finding| !BESIDE_THE_PROGRAM.contains(&it.rule.as_str());
    Judged { program, tries, stall, findings: findings.filter(of_the_program).collect() }
}

impl Finding {
    fn is_accusation(&self) -> bool {
        self.level != "info"
    }

    fn is_of(&self, program: &Program) -> bool {
        let location = self.location.as_deref();
        program.rules.contains(&self.rule)
            && program.locations.iter().any(|expected| Some(expected.as_str()) == location)
    }
}

impl Judged {
    /// Whether a sick program's disease was found, and a healthy one was left in peace.
    pub(crate) fn is_right(&self) -> bool {
        match self.program.is_sick() {
            true => self.findings.iter().take(FIRST).any(|it| it.is_of(&self.program)),
            false => !self.findings.iter().any(Finding::is_accusation),
        }
    }

    /// Sick ones first, by name.
    pub(crate) fn order(&self) -> (bool, &str) {
        (!self.program.is_sick(), &self.program.name)
    }

    fn beside(&self) -> usize {
        let other = |it: &&Finding| it.is_accusation() && !it.is_of(&self.program);
        self.findings.iter().filter(other).count()
    }

    /// A line for the program, and where it is judged wrongly one for each of its first findings.
    pub(crate) fn as_text(&self) -> String {
        let program = &self.program;
        let verdict = if self.is_right() { "ok" } else { "WRONG" };
        let expected =
            if program.is_sick() { program.rules.join(" or ") } else { "nothing".into() };
        let mut text = format!("{verdict:<6} {:<24} {expected}", program.name);
        if program.is_sick() && self.beside() > 0 {
            let _ = write!(text, ", and {} beside it", self.beside());
        }
        if self.tries > 1 {
            let _ = write!(text, ", at try {}", self.tries);
        }
        if !self.is_right() {
            if program.is_sick() {
                let _ = write!(text, "\n         expected at {}", program.locations.join(" or "));
            }
            for it in self.findings.iter().take(5) {
                let place = it.location.as_deref().unwrap_or("no line");
                let _ =
                    write!(text, "\n         {} {} at {place}: {}", it.level, it.rule, it.title);
            }
        }
        text
    }

    pub(crate) fn as_json(&self) -> String {
        let finding = |it: &Finding| {
            json!({
                "rule": it.rule,
                "level": it.level,
                "location": it.location,
                "title": it.title,
                "is_expected": it.is_of(&self.program),
            })
        };
        json!({
            "name": self.program.name,
            "is_sick": self.program.is_sick(),
            "is_right": self.is_right(),
            "tries": self.tries,
            "stall_ms": self.stall.as_secs_f64() * 1e3,
            "rules": self.program.rules,
            "locations": self.program.locations,
            "findings": self.findings.iter().map(finding).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

impl Summary {
    pub(crate) fn of(judged: &[Judged]) -> Self {
        let count = |is_sick: bool, is_right: bool| {
            let such = |it: &&Judged| (it.program.is_sick(), it.is_right()) == (is_sick, is_right);
            judged.iter().filter(such).count()
        };
        let (found, accused) = (count(true, true), count(false, false));
        Self {
            sick: found + count(true, false),
            found,
            healthy: accused + count(false, true),
            accused,
            beside: judged.iter().filter(|it| it.program.is_sick()).map(Judged::beside).sum(),
        }
    }

    /// Of the programs that are sick, those whose disease was found.
    fn recall(&self) -> f64 {
        share(self.found, self.sick)
    }

    /// Of the programs in which a disease was found or seen, those that have it.
    fn precision(&self) -> f64 {
        share(self.found, self.found + self.accused)
    }

    pub(crate) fn as_text(&self) -> String {
        format!(
            "\n{} of {} sick programs found (recall {:.2}), {} of {} healthy ones accused (precision {:.2}); \
             {} findings beside the expected",
            self.found,
            self.sick,
            self.recall(),
            self.accused,
            self.healthy,
            self.precision(),
            self.beside
        )
    }

    pub(crate) fn as_json(&self) -> String {
        json!({
            "sick": self.sick,
            "found": self.found,
            "healthy": self.healthy,
            "accused": self.accused,
            "beside": self.beside,
            "recall": self.recall(),
            "precision": self.precision(),
        })
        .to_string()
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}
