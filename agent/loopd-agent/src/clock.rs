//! The recorder's clock: raw ticks on the hot path, turned into [`Nanos`] by the exporter.
//!
//! Ticks are the processor's time stamp counter where it is invariant and the kernel itself keeps
//! time by it, so that it is the same on all processors; else nanoseconds of `CLOCK_MONOTONIC`. The rate is measured once, over at least [`BASELINE`], so that starting costs
//! nothing and the time axis never bends afterwards.
#![expect(unsafe_code, reason = "reads the time stamp counter and calls clock_gettime")]

use std::sync::atomic::{Ordering::SeqCst, fence};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loopd_model::{Anchor, Nanos, UnixNanos};

use crate::switches::{self, Switch};

/// Two paired readings this far apart give the rate to better than one part in a million.
pub(crate) const BASELINE: Duration = Duration::from_millis(100);

/// Fraction bits of [`Calibration::rate`].
const RATE_BITS: u32 = 40;

/// What the kernel keeps time by.
const CLOCK_SOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";

/// Chooses the source. Called once, before recording starts.
pub(crate) fn init() {
    let source = std::fs::read_to_string(CLOCK_SOURCE);
    let is_trusted = has_invariant_counter() && is_trusted_by_kernel(source.ok().as_deref());
    switches::set(Switch::Counter, is_trusted);
}

/// Whether the kernel keeps time by the counter itself. It checks what a program cannot: that the
/// counters of all processors agree, and go on agreeing. Where there is no telling, it does not.
fn is_trusted_by_kernel(source: Option<&str>) -> bool {
    !cfg!(target_os = "linux") || source.is_some_and(|source| source.trim() == "tsc")
}

/// The current instant in ticks. Never 0, so that 0 can mean "none".
#[inline(always)]
pub fn ticks() -> u64 {
    if switches::is_on(Switch::Counter) { counter() } else { monotonic_nanos() }
}

/// The same where the counter is known to be the source; by itself it means nothing elsewhere.
#[inline(always)]
pub(crate) fn counter() -> u64 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction has no preconditions on x86_64.
    return unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(not(target_arch = "x86_64"))]
    monotonic_nanos()
}

/// What this thread has stored is seen by the others before the next instant that it reads. By itself a
/// processor reads its counter while the stores before still wait.
pub(crate) fn settle() {
    fence(SeqCst);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is part of x86_64.
    unsafe {
        core::arch::x86_64::_mm_lfence();
    }
}

#[cfg(target_arch = "x86_64")]
fn has_invariant_counter() -> bool {
    use core::arch::x86_64::__cpuid;
    const POWER_MANAGEMENT: u32 = 0x8000_0007;
    const INVARIANT_TSC: u32 = 1 << 8;
    __cpuid(0x8000_0000).eax >= POWER_MANAGEMENT
        && __cpuid(POWER_MANAGEMENT).edx & INVARIANT_TSC != 0
}

#[cfg(not(target_arch = "x86_64"))]
fn has_invariant_counter() -> bool {
    false
}

#[cold]
#[inline(never)]
fn monotonic_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes; CLOCK_MONOTONIC exists on every platform we build for.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn unix_nanos() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Both clocks at one instant.
#[derive(Clone, Copy, Debug)]
struct Pair {
    ticks: u64,
    nanos: u64,
}

impl Pair {
    /// The reading least disturbed by interrupts, out of several.
    fn read() -> Self {
        const TRIES: usize = 8;
        let one = || {
            let before = ticks();
            let nanos = monotonic_nanos();
            let width = ticks().saturating_sub(before);
            (width, Self { ticks: before + width / 2, nanos })
        };
        let best = (0..TRIES).map(|_| one()).min_by_key(|(width, _)| *width);
        best.map_or(Self { ticks: 0, nanos: 0 }, |(_, pair)| pair)
    }
}

/// The instant 0 of the process, on all clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pair: Pair,
    unix: i64,
}

impl Origin {
    /// Takes the present as instant 0.
    pub(crate) fn now() -> Self {
        Self { pair: Pair::read(), unix: unix_nanos() }
    }

    /// The process's anchor: instant 0 in wall time.
    pub(crate) fn anchor(&self) -> Anchor {
        Anchor { at: Nanos(0), unix: UnixNanos(self.unix) }
    }

    /// How long ago it was.
    pub(crate) fn elapsed(&self) -> Duration {
        Duration::from_nanos(monotonic_nanos().saturating_sub(self.pair.nanos))
    }

    /// The rate from here to now. Callers wait for [`BASELINE`] to pass first.
    pub(crate) fn calibrate(&self) -> Calibration {
        let now = Pair::read();
        let ticks = now.ticks.saturating_sub(self.pair.ticks).max(1);
        let nanos = now.nanos.saturating_sub(self.pair.nanos).max(1);
        Calibration::new(self.pair.ticks, nanos, ticks)
    }
}

/// How ticks become nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Calibration {
    origin: u64,
    /// Nanoseconds per tick, with [`RATE_BITS`] bits of fraction.
    rate: u64,
}

impl Calibration {
    fn new(origin: u64, nanos: u64, ticks: u64) -> Self {
        let rate = (u128::from(nanos) << RATE_BITS) / u128::from(ticks.max(1));
        Self { origin, rate: u64::try_from(rate).unwrap_or(u64::MAX) }
    }

    /// A stretch of ticks in nanoseconds.
    pub(crate) fn length(&self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.rate)) >> RATE_BITS) as u64
    }

    /// A stretch of nanoseconds in ticks.
    pub(crate) fn ticks_in(&self, nanos: u64) -> u64 {
        ((u128::from(nanos) << RATE_BITS) / u128::from(self.rate.max(1))) as u64
    }

    /// An instant; what came before the origin is the origin.
    pub(crate) fn at(&self, ticks: u64) -> Nanos {
        Nanos(self.length(ticks.saturating_sub(self.origin)))
    }

    /// Both clocks now.
    pub(crate) fn anchor_now(&self) -> Anchor {
        Anchor { at: self.at(ticks()), unix: UnixNanos(unix_nanos()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds_and_back() {
        let clock = Calibration::new(1_000, 100_000_000, 250_000_000);
        assert_eq!(clock.at(1_000), Nanos(0));
        assert_eq!(clock.at(999), Nanos(0));
        let day = 86_400 * 2_500_000_000u64;
        let off = clock.at(1_000 + day).0.abs_diff(86_400_000_000_000);
        assert!(off < 200_000, "off by {off} ns after a day");
        assert_eq!(clock.ticks_in(1_000_000) / 1_000, 2_500);
    }

    #[test]
    fn the_counter_is_used_only_where_the_kernel_uses_it() {
        assert!(is_trusted_by_kernel(Some("tsc\n")));
        if cfg!(target_os = "linux") {
            for source in [Some("kvm-clock\n"), Some("hpet"), Some(""), None] {
                assert!(!is_trusted_by_kernel(source), "{source:?}");
            }
        }
    }

    #[test]
    fn both_sources_go_on_and_agree_about_a_length() {
        for is_on in [true, false] {
            switches::set(Switch::Counter, is_on && has_invariant_counter());
            // The least: a thread may be stopped between a look at one clock and at the other.
            let offs = (0..5).map(|_| {
                let origin = Origin::now();
                while origin.elapsed() < Duration::from_millis(20) {}
                let clock = origin.calibrate();
                let (from, since) = (ticks(), std::time::Instant::now());
                while since.elapsed() < Duration::from_millis(5) {}
                clock.length(ticks() - from).abs_diff(since.elapsed().as_nanos() as u64)
            });
            let off = offs.min().unwrap();
            assert!(off < 500_000, "off by {off} ns");
        }
    }

    /// A thread that is moved from one processor to another must not see time go back.
    #[cfg(target_os = "linux")]
    #[test]
    fn ticks_never_go_back_on_another_processor() {
        let run_on = |cpu: usize| {
            // SAFETY: the set is a plain bit mask, all zeros is an empty one; 0 is this thread.
            unsafe {
                let mut set: libc::cpu_set_t = std::mem::zeroed();
                libc::CPU_SET(cpu, &mut set);
                libc::sched_setaffinity(0, size_of_val(&set), &set) == 0
            }
        };
        init();
        let cpus = std::thread::available_parallelism().unwrap().get();
        let mut last = 0;
        for turn in 0..200 {
            run_on(turn % cpus);
            let now = ticks();
            assert!(now >= last, "{now} after {last} in turn {turn}");
            last = now;
        }
    }

    #[test]
    fn the_measured_rate_follows_the_monotonic_clock() {
        init();
        let offs = (0..5).map(|_| {
            let origin = Origin::now();
            while origin.elapsed() < Duration::from_millis(20) {
                std::thread::yield_now();
            }
            let clock = origin.calibrate();
            clock.at(ticks()).0.abs_diff(origin.elapsed().as_nanos() as u64)
        });
        let off = offs.min().unwrap();
        assert!(off < 1_000_000, "off by {off} ns");
    }
}
