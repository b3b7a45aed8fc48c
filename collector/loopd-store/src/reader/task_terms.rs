//! The conditions of a list of tasks as SQL, over the names that [`super::tasks`] gives its tables.

use loopd_model::Outcome;
use sqlx::{QueryBuilder, Sqlite};

use super::tasks::{
    LIFETIME, LISTED_BUSY_TIME, MAX_POLL_TIME, POLLS, SLOW_POLLS, UNWAKEABLE_AT, is_running,
};
use crate::{TaskAmount, TaskCondition, TaskIdOf, TaskTerm, TaskText};

/// Adds all of them.
pub(super) fn push(sql: &mut QueryBuilder<Sqlite>, terms: &[TaskTerm]) {
    for term in terms {
        // What is not known meets no condition, so it meets every negated one.
        let (begin, end) = match term.is_negated {
            true => (" AND NOT coalesce((", "), 0)"),
            false => (" AND (", ")"),
        };
        sql.push(begin);
        if term.any.is_empty() {
            sql.push("0");
        }
        for (at, condition) in term.any.iter().enumerate() {
            sql.push(if at > 0 { " OR " } else { "" });
            push_one(sql, condition);
        }
        sql.push(end);
    }
}

fn push_one(sql: &mut QueryBuilder<Sqlite>, condition: &TaskCondition) {
    match condition {
        TaskCondition::Text(of, text, is_whole) => push_text(sql, *of, text, *is_whole),
        TaskCondition::Amount(of, compare, value) => {
            // Without a single wake there is nothing to say of them.
            let amount = match of {
                TaskAmount::Lifetime => LIFETIME,
                TaskAmount::BusyTime => LISTED_BUSY_TIME,
                TaskAmount::ScheduledTime => "iif(t.wakes > 0, t.scheduled_time, NULL)",
                TaskAmount::MaxPollTime => MAX_POLL_TIME,
                TaskAmount::Polls => POLLS,
                TaskAmount::SlowPolls => SLOW_POLLS,
                TaskAmount::Wakes => "nullif(t.wakes, 0)",
                TaskAmount::SelfWakes => "iif(t.wakes > 0, t.self_wakes, NULL)",
            };
            let value = i64::try_from(*value).unwrap_or(i64::MAX);
            sql.push(format!("({amount}) {} ", compare.as_str())).push_bind(value);
        }
        TaskCondition::Id(of, id) => {
            let id_of = match of {
                TaskIdOf::Task => "t.task",
                TaskIdOf::Parent => "t.parent",
                TaskIdOf::LastWaker => "nullif(t.last_waker, 0)",
                TaskIdOf::Loop => "coalesce(t.loop, 0)",
            };
            sql.push(format!("{id_of} = ")).push_bind(id.cast_signed());
        }
        TaskCondition::Alive => drop(sql.push("t.ended_at IS NULL")),
        TaskCondition::Ended => drop(sql.push("t.ended_at IS NOT NULL")),
        TaskCondition::Running => drop(sql.push(is_running())),
        TaskCondition::Idle => {
            sql.push("(t.ended_at IS NULL AND NOT ").push(is_running()).push(")");
        }
        TaskCondition::Outcome(outcome) => {
            let number = match outcome {
                Outcome::Unknown => 0,
                Outcome::Completed => 1,
                Outcome::Panicked => 2,
                Outcome::Cancelled => 3,
                Outcome::Raised => 4,
                Outcome::Destroyed => 5,
            };
            sql.push(format!("(t.ended_at IS NOT NULL AND coalesce(t.outcome, 0) = {number})"));
        }
        TaskCondition::Kind(kind) => drop(sql.push(format!("t.kind = {}", *kind as i64))),
        TaskCondition::Unwakeable => drop(sql.push(format!("({UNWAKEABLE_AT}) IS NOT NULL"))),
    }
}

fn push_text(sql: &mut QueryBuilder<Sqlite>, of: TaskText, text: &str, is_whole: bool) {
    const LOCATION: &str = "l.file || ':' || l.line";
    let texts: &[&str] = match of {
        TaskText::Any => &["n.text", LOCATION],
        TaskText::Name => &["n.text"],
        TaskText::Location => &[LOCATION],
        TaskText::Fields => &["t.fields"],
    };
    // Not LIKE: nobody who types a name means `_` and `%` as wildcards.
    // As `lower` of SQLite, which knows no other letters.
    let wanted = text.to_ascii_lowercase();
    sql.push("(");
    for (at, text) in texts.iter().enumerate() {
        sql.push(if at > 0 { " OR " } else { "" });
        if is_whole {
            sql.push(format!("lower({text}) = ")).push_bind(wanted.clone());
        } else {
            sql.push(format!("instr(lower({text}), ")).push_bind(wanted.clone()).push(")");
        }
    }
    if let (TaskText::Any, Ok(id)) = (of, text.parse::<u64>()) {
        sql.push(" OR t.task = ").push_bind(id.cast_signed());
    }
    sql.push(")");
}
