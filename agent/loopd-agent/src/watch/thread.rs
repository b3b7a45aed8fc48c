//! What the kernel says a thread is doing: computing, waiting for a processor, or asleep, in which
//! system call and where in the kernel.
#![expect(
    unsafe_code,
    reason = "reads another thread's processor time, which libc has no name for"
)]

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use loopd_model::{PAGE_FAULT, RUNQUEUE, Running};

use super::syscalls;

/// As the wire format allows, and longer than any function's name in the kernel.
const MAX_WCHAN: usize = 128;
/// A thread that is ready to run, and got less than this part of a processor since the last look,
/// is waiting for one.
const LEAST_SHARE: f64 = 0.02;

/// What a thread was doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Doing {
    /// Whether it was computing.
    pub(super) running: Running,
    /// The system call it was in, or [`PAGE_FAULT`]; empty when it was in none, or that is not known.
    pub(super) syscall: String,
    /// The function of the kernel it slept in, [`RUNQUEUE`] if it only waited for a processor;
    /// empty otherwise, or if that is not known.
    pub(super) wchan: String,
}

impl Doing {
    /// Of the thread with this id, now. `cpu_share` is the part of a processor that it used lately.
    ///
    /// To be asked before the thread is sent a signal: that makes a sleeping thread run.
    pub(super) fn of(tid: i32, cpu_share: Option<f64>) -> Self {
        let stat = read(tid, "stat").unwrap_or_default();
        let syscall = read(tid, "syscall").unwrap_or_default();
        let is_asleep = matches!(state(&stat), Some('S' | 'D'));
        let wchan = if is_asleep { read(tid, "wchan").unwrap_or_default() } else { String::new() };
        Self::from_texts(&stat, &syscall, &wchan, cpu_share)
    }

    fn from_texts(stat: &str, syscall: &str, wchan: &str, cpu_share: Option<f64>) -> Self {
        let running = match (state(stat), cpu_share) {
            (Some('R'), Some(share)) if share < LEAST_SHARE => {
                return Self {
                    running: Running::OffCpu,
                    syscall: String::new(),
                    wchan: RUNQUEUE.to_owned(),
                };
            }
            (Some('R'), _) => Running::OnCpu,
            (Some('S' | 'D'), _) => Running::OffCpu,
            _ => Running::Unknown,
        };
        // A thread that is computing, be it in the kernel, is in no call as far as can be told. One that
        // is asleep there without a call, which has the number -1, came by a fault.
        let number = syscall.split_whitespace().next().and_then(|word| word.parse().ok());
        let syscall = match number {
            Some(number) if number >= 0 => Some(syscalls::name(number)),
            Some(-1) if running == Running::OffCpu => Some(PAGE_FAULT.to_owned()),
            _ => None,
        };
        let wchan = wchan.trim_end().trim_matches('0');
        let wchan = wchan[..wchan.floor_char_boundary(MAX_WCHAN)].to_owned();
        Self { running, syscall: syscall.unwrap_or_default(), wchan }
    }
}

/// The state follows the name, which is in parentheses and may hold anything.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next())
}

/// Whether the kernel tells which system call a thread is in: some are built without, and some
/// sandboxes keep it to themselves.
pub(super) fn tells_syscalls() -> bool {
    let tid = i32::try_from(crate::sys::thread_id()).unwrap_or(0);
    read(tid, "syscall").is_some()
}

/// The start of a file about a thread; all of it, for those read here.
fn read(tid: i32, file: &str) -> Option<String> {
    let mut bytes = [0; 512];
    let mut file = File::open(format!("/proc/self/task/{tid}/{file}")).ok()?;
    let len = file.read(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes[..len]).into_owned())
}

/// Processor time of a thread of this process so far, in nanoseconds.
pub(super) fn cpu_nanos(tid: i32) -> Option<u64> {
    /// As in the kernel's `posix-timers_types.h`: a thread's clock, of the time it was scheduled.
    const PER_THREAD: libc::clockid_t = 4;
    const SCHEDULED: libc::clockid_t = 2;
    let clock = !tid << 3 | PER_THREAD | SCHEDULED;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; the clock of a thread that is gone is an error.
    let code = unsafe { libc::clock_gettime(clock, &mut time) };
    (code == 0).then(|| time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// How much of a processor a thread got since it was last looked at.
#[derive(Default)]
pub(super) struct CpuShare {
    /// Which thread, when, and what its clock said.
    last: Option<(i32, Instant, u64)>,
}

impl CpuShare {
    /// Looks again. `None` without an earlier look at this thread, or after too short a time.
    pub(super) fn look(&mut self, tid: i32) -> Option<f64> {
        /// A thread may be kept off its processor for a few milliseconds without waiting for one.
        const SHORTEST: Duration = Duration::from_millis(20);
        let (now, nanos) = (Instant::now(), cpu_nanos(tid)?);
        let Some((_, since, before)) = self.last.filter(|(of, ..)| *of == tid) else {
            self.last = Some((tid, now, nanos));
            return None;
        };
        let elapsed = now - since;
        if elapsed < SHORTEST {
            return None;
        }
        self.last = Some((tid, now, nanos));
        Some(nanos.saturating_sub(before) as f64 / elapsed.as_nanos() as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    fn doing(running: Running, syscall: &str, wchan: &str) -> Doing {
        Doing { running, syscall: syscall.to_owned(), wchan: wchan.to_owned() }
    }

    #[test]
    fn the_kernels_words_are_understood() {
        let read = format!("{} 0x7 0x1 0x2", libc::SYS_read);
        let check = |stat, syscall, wchan, share, expected| {
            assert_eq!(Doing::from_texts(stat, syscall, wchan, share), expected);
        };
        let (asleep, ready) = ("7 (a) b) (c) S 1 2", "7 (a) R 1 2");
        check(
            asleep,
            read.as_str(),
            "pipe_read",
            None,
            doing(Running::OffCpu, "read", "pipe_read"),
        );
        check(asleep, "", "0", None, doing(Running::OffCpu, "", ""));
        // A page fault.
        check(
            "7 (a) D 1",
            "-1 0x1 0x2",
            "folio_wait",
            None,
            doing(Running::OffCpu, PAGE_FAULT, "folio_wait"),
        );
        check(ready, "running\n", "0", Some(0.9), doing(Running::OnCpu, "", ""));
        check(ready, "running\n", "", Some(0.0), doing(Running::OffCpu, "", "runqueue"));
        check("", "", "", Some(0.9), doing(Running::Unknown, "", ""));
    }

    #[test]
    fn the_processor_time_of_another_thread_is_known() {
        let (send, tid) = std::sync::mpsc::channel();
        let is_over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let other = std::thread::spawn({
            let is_over = is_over.clone();
            move || {
                send.send(i32::try_from(crate::sys::thread_id()).unwrap()).unwrap();
                while !is_over.load(Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        let tid = tid.recv().unwrap();
        let before = cpu_nanos(tid).unwrap();
        while cpu_nanos(tid).unwrap() < before + 1_000_000 {
            std::thread::yield_now();
        }
        is_over.store(true, Relaxed);
        other.join().unwrap();
        // No kernel numbers threads this high.
        assert_eq!(cpu_nanos(1 << 22), None);
    }
}
