//! What asyncio, or an `EventLoop`, itself complains of: each of its checks is a rule of its own, of which this one stands for
//! all.

use loopd_model::{MarkLevel, RecordKind};

use super::waiting::at;
use crate::checks;
use crate::findings::{Facts, Finding, Level, Link, Loop, Rule, Verdict};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "asyncio_checks", title: "What asyncio or an EventLoop itself complains of", check };

/// A message names no line, so its beginning tells one trouble from another; what follows, such as an
/// address, differs each time.
const MAX_SUBJECT_WORDS: usize = 4;
/// A longer message is shown on its own page.
const MAX_MESSAGE: usize = 300;
/// So many fields are shown.
const MAX_FIELDS: usize = 6;

fn check(facts: &Facts) -> Verdict {
    // An `EventLoop`, which runs on tokio, checks itself as well.
    if facts.runtime == Runtime::Tokio
        && facts.complaints.is_empty()
        && !facts.loops.iter().any(Loop::is_event_loop)
    {
        return Verdict::NotApplicable("only asyncio and an `EventLoop` check themselves");
    }
    let found = checks::findings(facts.complaints.iter().cloned());
    if found.is_empty()
        && let Some(missing) = facts.missing("steps")
        && facts.runtime == Runtime::Asyncio
    {
        return Verdict::Needs(missing);
    }
    Verdict::of(found.iter().map(|it| finding(facts, it)).collect())
}

fn finding(facts: &Facts, it: &checks::Finding) -> Finding {
    let rule = checks::known_name(&it.check).unwrap_or("asyncio");
    let place = it.location.as_deref();
    let (level, score) = match it.level {
        MarkLevel::Error => (Level::Error, 60),
        _ => (Level::Warning, 40),
    };
    let times = match it.count {
        1 => String::new(),
        n => format!("{} times ", count_text(n)),
    };
    let what = it.explanation.what;
    let mut finding = Finding::new(rule, subject(it), level)
        .at(place)
        .at_least(score)
        .seen(it.count, it.first_seen_at, it.last_seen_at)
        .title(match place {
            Some(_) => format!("{times}{what}, {}", at(place)),
            None => format!("{times}{what}"),
        })
        .advice(it.explanation.why, it.explanation.fix);
    let message: String = it.message.chars().take(MAX_MESSAGE).collect();
    let message = if message.is_empty() { it.check.clone() } else { message };
    finding = finding.proof(message, Some(Link::At(it.last_seen_at)));
    for (key, value) in it.fields.iter().take(MAX_FIELDS) {
        let value: String = value.chars().take(MAX_MESSAGE).collect();
        finding = finding.proof(format!("{key}: {value}"), None);
    }
    if facts.has_lost(RecordKind::Mark) {
        finding = finding.proof("some complaints were lost, so there may be more", None);
    }
    finding
}

fn subject(it: &checks::Finding) -> String {
    let words =
        || it.message.split_whitespace().take(MAX_SUBJECT_WORDS).collect::<Vec<_>>().join(" ");
    let subject = it.location.clone().unwrap_or_else(words);
    if subject.is_empty() { it.check.clone() } else { subject }
}

#[cfg(test)]
mod tests {
    use loopd_model::{EVENT_LOOP_FLAVOR, UnixNanos};

    use super::*;
    use crate::checks::{Complaint, FIELD};
    use crate::findings::rules::tests::check;

    fn complaint(check: &str, location: Option<&str>, level: MarkLevel) -> Complaint {
        Complaint {
            at: UnixNanos(5),
            level,
            message: "coroutine 'pay' was never awaited by anybody".into(),
            fields: vec![(FIELD.into(), check.into()), ("coroutine".into(), "pay".into())],
            location: location.map(str::to_owned),
        }
    }

    fn facts(complaints: Vec<Complaint>) -> Facts {
        Facts { runtime: Runtime::Asyncio, complaints, ..Facts::default() }
    }

    #[test]
    fn each_check_about_each_line_is_one() {
        let never = || complaint("never_awaited", Some("app.py:3"), MarkLevel::Error);
        check(
            &RULE,
            &facts(vec![never(), never(), complaint("unclosed_socket", None, MarkLevel::Warn)]),
            &[
                "error app.py:3: 2 times a coroutine that was never awaited, at `app.py:3`",
                "warning coroutine 'pay' was never: a socket that was freed without being closed",
            ],
        );
    }

    #[test]
    fn its_rule_is_the_check_and_its_proof_the_message() {
        let of = |check| {
            let facts = facts(vec![complaint(check, Some("app.py:3"), MarkLevel::Error)]);
            let Verdict::Found(found) = super::check(&facts) else { panic!() };
            found.into_iter().next().unwrap()
        };
        assert_eq!(of("never_awaited").rule, "never_awaited");
        assert_eq!(of("from_the_future").rule, "asyncio");
        let told: Vec<_> = of("never_awaited").evidence.into_iter().map(|it| it.text).collect();
        assert_eq!(told, ["coroutine 'pay' was never awaited by anybody", "coroutine: pay"]);
    }

    #[test]
    fn an_event_loop_on_tokio_complains_as_well() {
        let failed = complaint("callback_failed", Some("src/main.rs:3"), MarkLevel::Error);
        let facts = Facts { runtime: Runtime::Tokio, ..facts(vec![failed]) };
        let line =
            "error src/main.rs:3: a callback of an `EventLoop` that failed, at `src/main.rs:3`";
        check(&RULE, &facts, &[line]);
    }

    #[test]
    fn where_there_are_no_checks_it_says_so() {
        let line = "not applicable: only asyncio and an `EventLoop` check themselves";
        let on = |flavor: &str| {
            let loops = vec![Loop { flavor: flavor.into(), ..Loop::default() }];
            Facts { runtime: Runtime::Tokio, loops, ..Facts::default() }
        };
        check(&RULE, &on("tokio multi_thread"), &[line]);
        check(&RULE, &on(EVENT_LOOP_FLAVOR), &["ok"]);
        let line = "needs the layer `steps`, which this process does not record";
        check(&RULE, &facts(vec![]), &[line]);
        check(&RULE, &Facts::default(), &["ok"]);
    }
}
