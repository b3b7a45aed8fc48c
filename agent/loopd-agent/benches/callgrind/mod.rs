//! Counts the instructions of the main thread under callgrind, each kind of work with two counts, so
//! that the difference holds neither the start nor the end.

use std::path::Path;
use std::process::{Command, Stdio};

/// Prints a table of every work in every variant, and what it costs over the last variant that
/// `is_base` names. A work comes with how often it is done in the shorter and the longer run. Each
/// run is this program again, in which `run` does the work and nothing is printed.
pub(crate) fn compare(
    variants: &[&str],
    work: &[(&str, usize, usize)],
    is_base: fn(&str) -> bool,
    run: fn(&str, &str, usize),
) {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, mode, variant, work, times] = arguments.as_slice()
        && mode == "child"
    {
        return run(variant, work, times.parse().unwrap());
    }
    let has_valgrind = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !has_valgrind.is_ok_and(|status| status.success()) {
        println!("skipped: there is no valgrind");
        return;
    }
    let scratch = std::env::temp_dir().join(format!("loopd-callgrind-{}", std::process::id()));
    std::fs::create_dir_all(&scratch).unwrap();
    let first = variants[0];
    println!("{:<32} {:<14} {:>12} over {first}", "work", "variant", "instructions");
    for &(work, few, many) in work {
        let mut base = 0.0;
        for &variant in variants {
            let [short, long] = [few, many].map(|times| count(&scratch, variant, work, times));
            let each = (long - short) as f64 / (many - few) as f64;
            if is_base(variant) {
                base = each;
            }
            println!("{work:<32} {variant:<14} {each:>12.1} {:>+10.1}", each - base);
        }
    }
    std::fs::remove_dir_all(&scratch).unwrap();
}

fn count(scratch: &Path, variant: &str, work: &str, times: usize) -> i64 {
    let out = scratch.join("out");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--separate-threads=yes", "--quiet"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["child", variant, work, &times.to_string()])
        .status();
    assert!(status.unwrap().success());
    let profile = std::fs::read_to_string(scratch.join("out-01")).unwrap();
    let total = profile.lines().rev().find_map(|line| line.strip_prefix("totals: ")).unwrap();
    total.trim().parse().unwrap()
}
