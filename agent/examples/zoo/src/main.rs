//! The zoo: `zoo NAME` is a small program with exactly one disease, or a healthy one that looks sick.
//!
//! They are there to judge loopd by: `cargo xtask zoo` records each, and compares what loopd finds with
//! what the program says is wrong with it. A sick one names the rule in its `EXHIBIT`, and marks the line
//! that must be named with a comment, `// <- disease`.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

mod exhibit;
mod healthy;
mod sick;

use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use serde_json::json;
use tokio::sync::oneshot;

use self::exhibit::Animal;

#[derive(Parser)]
#[command(name = "zoo", about = "Small sick and healthy programs for loopd to judge")]
struct Cli {
    /// Which program to run
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// How long it runs; then it ends as programs do, whatever its tasks are up to
    #[arg(long = "for", value_name = "TIME", default_value = "6s", value_parser = seconds)]
    length: Duration,
    /// Lists them instead
    #[arg(long)]
    list: bool,
    /// As JSON, an object a line: name, about, is_sick, rules, locations, is_alone, min_seconds
    #[arg(long, requires = "list")]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').unwrap_or(text).parse().ok();
    let length = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    length.ok_or_else(|| "seconds, like 6s".to_owned())
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let animals = || sick::ALL.iter().chain(healthy::ALL);
    if let Some(name) = cli.name {
        let found = animals().find(|animal| animal.name == name);
        return run(
            found.with_context(|| format!("no {name} in the zoo; see --list"))?,
            cli.length,
        );
    }
    for animal in animals() {
        println!("{}", if cli.json { as_json(animal) } else { as_text(animal) });
    }
    Ok(())
}

/// Runs it on a runtime that the agent records, for as long as that.
fn run(animal: &Animal, length: Duration) -> anyhow::Result<()> {
    let config = loopd_agent::Config::from_env();
    // Whoever runs it more than once may tell the runs apart.
    let has_name = std::env::var_os("LOOPD_APP").is_some();
    let agent = if has_name { config } else { config.app(animal.name) }.start()?;
    let runtime = agent.attach("main", (animal.exhibit.runtime)()).build()?;
    // Not a timer of the runtime: its workers may all be stuck.
    let (time_is_up, end) = oneshot::channel();
    std::thread::spawn(move || {
        std::thread::sleep(length);
        let _ = time_is_up.send(());
    });
    let outcome = runtime.block_on(async {
        tokio::select! {
            outcome = tokio::spawn((animal.run)()) => outcome?,
            _ = end => Ok(()),
        }
    });
    runtime.shutdown_timeout(Duration::from_millis(500));
    // A busy machine takes longer than any program would.
    agent.shutdown(Duration::from_secs(30));
    outcome
}

fn as_text(animal: &Animal) -> String {
    let kind = if animal.is_sick() { "sick" } else { "healthy" };
    format!("{:<8} {:<24} {}", kind, animal.name, animal.about())
}

fn as_json(animal: &Animal) -> String {
    json!({
        "name": animal.name,
        "about": animal.about(),
        "is_sick": animal.is_sick(),
        "rules": animal.exhibit.rules,
        "locations": animal.locations(),
        "is_alone": animal.exhibit.is_alone,
        "min_seconds": animal.exhibit.min_seconds,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_says_what_it_is() {
        for animal in sick::ALL.iter().chain(healthy::ALL) {
            let name = animal.name;
            assert!(animal.about().ends_with('.'), "{name} begins without a sentence");
            assert_eq!(animal.is_sick(), !animal.exhibit.rules.is_empty(), "{name}");
            assert_eq!(animal.is_sick(), !animal.locations().is_empty(), "{name}");
        }
    }

    #[test]
    fn there_are_enough_of_them() {
        assert!(sick::ALL.len() >= 22 && healthy::ALL.len() >= 10);
    }
}
