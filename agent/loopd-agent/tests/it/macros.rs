//! `#[loopd_agent::main]`.

use loopd_agent::RecordKind;
use loopd_model::EventKind;

use crate::collector::Collector;

fn set(name: &str, value: &str) {
    // SAFETY: the test has one thread that reads the environment, this one.
    #[expect(unsafe_code, reason = "there is no safe way to set a variable")]
    unsafe {
        std::env::set_var(name, value);
    }
}

#[loopd_agent::main(flavor = "current_thread", name = "little")]
async fn answer() -> Result<u32, std::io::Error> {
    let answer = loopd_agent::task("asked").spawn(async { 42 }).await?;
    Ok(answer)
}

#[loopd_agent::main(worker_threads = 2)]
async fn nothing() {
    tokio::spawn(async {}).await.unwrap();
}

#[test]
fn a_main_function_is_recorded_whole() {
    let collector = Collector::start();
    set("LOOPD_ENDPOINT", &collector.endpoint);
    set("LOOPD_APP", "macro");
    set("LOOPD_LABELS", "env=test");
    assert_eq!(answer().unwrap(), 42);
    let seen = collector.wait("the goodbye", |seen| !seen.goodbyes.is_empty());
    let process = &seen.hellos[0].process;
    assert_eq!(process.app, "macro");
    assert_eq!(process.labels, [("env".to_owned(), "test".to_owned())]);
    assert!(seen.loop_named("little").is_some() && seen.task_named("asked").is_some());
    assert!(seen.events().any(|event| matches!(event.kind, EventKind::LoopClosed { .. })));
    // The root, its task and its name: two spawns, a name, two ends.
    assert_eq!(seen.stored_and_lost(RecordKind::Task), (5, 0));
    // A second agent cannot start, and the program does not mind.
    nothing();
}

#[test]
fn a_bad_setting_is_reported_and_stops_neither_the_program_nor_the_recording() {
    let collector = Collector::start();
    set("LOOPD_ENDPOINT", &collector.endpoint);
    set("LOOPD_SLOW_THRESHOLD", "fast");
    nothing();
    let seen = collector.wait("the goodbye", |seen| !seen.goodbyes.is_empty());
    let coverage = &seen.hellos[0].process.coverage;
    let complaint = coverage.iter().find(|layer| layer.layer == "configuration").unwrap();
    assert!(complaint.reason.contains("LOOPD_SLOW_THRESHOLD is \"fast\""), "{complaint:?}");
}
