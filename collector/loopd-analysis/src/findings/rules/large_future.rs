//! Futures so large that moving them costs, or a stack may overflow.

use std::collections::BTreeMap;

use crate::capture::CONSOLE_LAYER;
use crate::findings::{AliveTask, Facts, Finding, Level, Link, Rule, Snippet, Verdict};
use crate::runtime::Runtime;
use crate::text::count_text;

pub(in crate::findings) const RULE: Rule =
    Rule { id: "large_future", title: "Futures that are very large", check };

/// tokio itself boxes what is larger when it spawns it; much below this, a copy is nothing.
const LARGE: u64 = 16 << 10;
/// A thread of tokio has 2 MiB of stack, and a future is copied along it several times before it is
/// spawned, more in debug builds.
const HUGE: u64 = 256 << 10;
/// All tasks of one place together: memory that shows.
const HEAVY: u64 = 64 << 20;

fn check(facts: &Facts) -> Verdict {
    if facts.runtime == Runtime::Asyncio {
        return Verdict::NotApplicable("coroutines are always on the heap");
    }
    let mut sites: BTreeMap<&str, Vec<(u64, &AliveTask)>> = BTreeMap::new();
    for task in &facts.alive {
        if let Some(size) = size(task).filter(|&size| size >= LARGE) {
            let place = task.location.as_deref().unwrap_or("an unknown place");
            sites.entry(place).or_default().push((size, task));
        }
    }
    let found: Vec<_> = sites.into_iter().map(|(place, it)| finding(facts, place, &it)).collect();
    match facts.missing_all(&["tracing", CONSOLE_LAYER]) {
        Some(what) if found.is_empty() => Verdict::Needs(what),
        _ => Verdict::of(found),
    }
}

fn field(task: &AliveTask, name: &str) -> Option<u64> {
    task.fields.iter().find(|(key, _)| key == name)?.1.parse().ok()
}

/// The size of the future as it was written: one that tokio boxed is no larger than a pointer since.
fn size(task: &AliveTask) -> Option<u64> {
    field(task, "original_size.bytes").or_else(|| field(task, "size.bytes"))
}

fn finding(facts: &Facts, place: &str, tasks: &[(u64, &AliveTask)]) -> Finding {
    let largest = tasks.iter().map(|(size, _)| *size).max().unwrap_or(0);
    let counted = facts.tasks.iter().find(|site| site.location.as_deref() == Some(place));
    let alive = counted.map_or(0, |site| site.alive).max(tasks.len() as u64);
    let all = largest.saturating_mul(alive);
    let (level, score) = match largest >= HUGE || all >= HEAVY {
        true => (Level::Warning, 30),
        false => (Level::Info, 0),
    };
    let first = tasks.iter().filter_map(|(_, task)| task.spawned_at).min();
    let finding = Finding::new(RULE.id, place, level)
        .at(tasks.first().and_then(|(_, task)| task.location.as_deref()))
        .at_least(score)
        .title(format!("the future spawned at `{place}` is {} large", bytes(largest)))
        .seen(alive, first.unwrap_or(facts.from).max(facts.from), facts.to)
        .proof(format!("{} of them are alive: {}", count_text(alive), bytes(all)), None)
        .advice(
            "A future holds all that lives across its awaits, of all that it awaits too. It is copied \
             each time that it is passed on, and once more on the stack when it is made.",
            "`Box::pin` the large parts where they are awaited, keep buffers in a `Vec` or box rather \
             than an array, and drop what is not needed after an await.",
        )
        .snippet(Some(Snippet {
            language: "rust",
            code: "let mut buffer = vec![0; 64 * 1024]; // rather than [0; 64 * 1024]\n\
                   Box::pin(import(&mut buffer)).await?;",
        }));
    tasks.iter().take(2).fold(finding, |finding, (size, task)| {
        let boxed = field(task, "size.bytes").is_some_and(|now| now != *size);
        let how = if boxed { ", which tokio put into a box by itself" } else { "" };
        let text = format!("task {} has {}{how}", task.task, bytes(*size));
        finding.proof(text, Some(Link::Task(task.task)))
    })
}

fn bytes(count: u64) -> String {
    match count {
        0..=0x3ff => format!("{count} bytes"),
        0x400..=0xf_ffff => format!("{} KiB", count >> 10),
        _ => format!("{:.1} MiB", count as f64 / f64::from(1 << 20)),
    }
}

#[cfg(test)]
mod tests {
    use loopd_model::TaskId;

    use super::*;
    use crate::findings::TaskPopulation;
    use crate::findings::rules::tests::{check, covered};

    fn facts(fields: &[(&str, u64)]) -> Facts {
        let field = |(key, value): &(&str, u64)| ((*key).to_owned(), value.to_string());
        let task = AliveTask {
            task: TaskId(5),
            location: Some("shop/src/load.rs:3".into()),
            fields: fields.iter().map(field).collect(),
            ..AliveTask::default()
        };
        Facts { coverage: covered(), alive: vec![task], ..Facts::default() }
    }

    const TITLE: &str = "shop/src/load.rs:3: the future spawned at `shop/src/load.rs:3` is";

    #[test]
    fn a_large_future_is_worth_knowing_and_a_huge_one_wrong() {
        let large = facts(&[("size.bytes", 20_000)]);
        check(&RULE, &large, &[&format!("info {TITLE} 19 KiB large")]);
        let huge = facts(&[("size.bytes", 3 << 20)]);
        check(&RULE, &huge, &[&format!("warning {TITLE} 3.0 MiB large")]);
    }

    #[test]
    fn many_of_them_are_heavy() {
        let location = Some("shop/src/load.rs:3".into());
        let tasks = vec![TaskPopulation { location, alive: 5_000, ..TaskPopulation::default() }];
        let facts = Facts { tasks, ..facts(&[("size.bytes", 20_000)]) };
        check(&RULE, &facts, &[&format!("warning {TITLE} 19 KiB large")]);
    }

    #[test]
    fn one_that_was_boxed_is_as_large_as_it_was() {
        let boxed = facts(&[("size.bytes", 8), ("original_size.bytes", 20_000)]);
        check(&RULE, &boxed, &[&format!("info {TITLE} 19 KiB large")]);
        // A debug build boxes what is over 2 KiB.
        check(&RULE, &facts(&[("size.bytes", 8), ("original_size.bytes", 4_000)]), &["ok"]);
    }

    #[test]
    fn a_future_of_a_kilobyte_is_fine() {
        check(&RULE, &facts(&[("size.bytes", 1_500)]), &["ok"]);
        check(&RULE, &facts(&[]), &["ok"]);
    }

    #[test]
    fn sizes_are_told_by_tracing() {
        let needs = "needs the layer `tracing`, which this process does not record";
        check(&RULE, &Facts::default(), &[needs]);
    }
}
