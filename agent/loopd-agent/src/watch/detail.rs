//! How much stacks say in this program and on this system, and what more would need.

use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use loopd_model::{CoverageState, Frame};

use super::symbols::is_plumbing;
use super::thread;

/// What is known of the program's own frames, from little to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Detail {
    /// Nothing was named yet.
    Unknown,
    /// Addresses only.
    Addresses,
    /// Functions.
    Functions,
    /// Functions, files and lines.
    Lines,
}

/// The most that any stack has had, as [`Detail`]: one whose own code is all some library's, which
/// was built with less, says little about the program.
static BEST: AtomicU8 = AtomicU8::new(Detail::Unknown as u8);

/// Learns from a stack that was named, and says so when that changes what the watchdog can do.
pub(super) fn learn(frames: &[Frame]) {
    let detail = detail(frames) as u8;
    if BEST.fetch_max(detail, Relaxed) < detail {
        crate::coverage::set(super::coverage(CoverageState::On, limits()));
    }
}

fn detail(frames: &[Frame]) -> Detail {
    let own = frames.iter().filter(|frame| !is_plumbing(frame));
    // The C library's debug information may be installed apart, whatever the program has.
    let of_frame = |frame: &Frame| match frame.function.as_str() {
        _ if frame.file.ends_with(".rs") && frame.line > 0 => Detail::Lines,
        "" => Detail::Addresses,
        _ => Detail::Functions,
    };
    own.map(of_frame).max().unwrap_or(Detail::Unknown)
}

/// What stacks do not say, and what would help; empty if nothing is missing.
pub(super) fn limits() -> String {
    limits_of(BEST.load(Relaxed), thread::tells_syscalls())
}

fn limits_of(best: u8, tells_syscalls: bool) -> String {
    let names = match best {
        best if best == Detail::Addresses as u8 => {
            "stacks are addresses only: the program was stripped of its symbols"
        }
        best if best == Detail::Functions as u8 => {
            "stacks name functions but no lines, and none that were inlined: the program was built \
             without debug = \"line-tables-only\", or stripped"
        }
        _ => "",
    };
    let syscalls = match tells_syscalls {
        true => "",
        false => "the system does not tell which system call a blocked thread is in",
    };
    let separator = if names.is_empty() || syscalls.is_empty() { "" } else { "; " };
    format!("{names}{separator}{syscalls}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame { function: function.into(), file: file.into(), line, address: 1 }
    }

    #[test]
    fn the_programs_own_frames_tell_how_it_was_built() {
        let sleep = frame("std::thread::sleep", "/rustc/0/library/std/src/thread.rs", 9);
        let check = |own, expected| assert_eq!(detail(&[sleep.clone(), own]), expected);
        check(frame("app::work", "src/main.rs", 3), Detail::Lines);
        check(frame("app::work", "", 0), Detail::Functions);
        check(frame("", "", 0), Detail::Addresses);
        check(frame("syscall", "syscall.S", 36), Detail::Functions);
        assert_eq!(detail(&[sleep]), Detail::Unknown);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(limits_of(Detail::Lines as u8, true), "");
        assert_eq!(limits_of(Detail::Unknown as u8, true), "");
        assert!(limits_of(Detail::Functions as u8, true).contains("line-tables-only"));
        let both = limits_of(Detail::Addresses as u8, false);
        assert!(both.contains("stripped") && both.contains("; the system"), "{both}");
    }
}
