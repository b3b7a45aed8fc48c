//! What a thread was doing when a stack of it was taken, and what it waited for if it was asleep.

use loopd_model::{Frame, PAGE_FAULT, RUNQUEUE, Running};

use super::{Sample, is_own, is_python};

/// What a thread was doing, in one stack or in most of those of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Doing {
    /// It computed.
    Computing,
    /// It was in a call that blocks: asleep in the kernel, or there for a file.
    Blocked,
    /// It was asleep until a page of memory was there: one that was swapped out, or of a mapped file.
    Memory,
    /// It could run, and had no processor.
    Processor,
    /// Nothing tells. It may have been asleep, but then for nothing that is known.
    #[default]
    Unknown,
}

impl Doing {
    /// The word for it in JSON; `None` if it is not known.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Computing => Some("computing"),
            Self::Blocked => Some("blocked"),
            Self::Memory => Some("memory"),
            Self::Processor => Some("processor"),
            Self::Unknown => None,
        }
    }

    /// What most of so many samples found: those awake against those asleep, and then what most of these
    /// were asleep for. With it, how many found just that.
    pub(super) fn of_most(samples: &[&Sample], on_cpu: u64, off_cpu: u64) -> (Self, u64) {
        if on_cpu + off_cpu == 0 {
            return (Self::Unknown, 0);
        }
        if off_cpu < on_cpu {
            return (Self::Computing, on_cpu);
        }
        let count = |doing| {
            let is_so = |sample: &&&Sample| sample.is_off_cpu() && sample.doing() == doing;
            samples.iter().filter(is_so).count() as u64
        };
        // Of equally many, what can be mended at this line.
        let causes = [Self::Unknown, Self::Processor, Self::Memory, Self::Blocked];
        let counted = causes.into_iter().map(|doing| (doing, count(doing)));
        counted.max_by_key(|(_, count)| *count).unwrap_or_default()
    }
}

/// Rust's functions for files. Names of what reads from anything are not among them.
pub(super) const FILE_CALLS: [&str; 7] =
    ["std::fs", "fs::File", "sys::fs", "fsync", "fdatasync", "pwrite", "pread"];

/// Functions of the kernel in which only page faults sleep.
const FAULTS: [&str; 6] = [
    "handle_userfault",
    "do_swap_page",
    "filemap_fault",
    "__folio_lock_or_retry",
    "__lock_page_or_retry",
    "swapin_",
];

/// Functions of the kernel in which others sleep as well: of a thread that called nothing, page faults.
const PAGING: [&str; 8] = [
    "folio_wait_",
    "wait_on_page_",
    "__folio_lock",
    "__lock_page",
    "mem_cgroup_",
    "reclaim_throttle",
    "throttle_direct_reclaim",
    "rwsem_down_read_",
];

impl Sample {
    /// What the thread was doing, as its program sees it. Where the disk is fast, or only memory, a call
    /// for a file keeps the thread busy in the kernel; the program waits for it all the same.
    pub(super) fn doing(&self) -> Doing {
        let is_file_call = |frame: &Frame| {
            !is_python(frame) && FILE_CALLS.iter().any(|name| frame.function.contains(name))
        };
        let is_in = |functions: &[&str]| functions.iter().any(|name| self.wchan.starts_with(name));
        match self.running {
            Running::OnCpu if self.callees().iter().any(is_file_call) => Doing::Blocked,
            Running::OnCpu => Doing::Computing,
            Running::Unknown => Doing::Unknown,
            Running::OffCpu if self.wchan == RUNQUEUE => Doing::Processor,
            Running::OffCpu if self.syscall == PAGE_FAULT => Doing::Memory,
            Running::OffCpu if !self.syscall.is_empty() => Doing::Blocked,
            Running::OffCpu if is_in(&FAULTS) => Doing::Memory,
            Running::OffCpu if !self.called_nothing() => Doing::Blocked,
            Running::OffCpu if is_in(&PAGING) => Doing::Memory,
            // It may have gone on between the look at what it did and the stack.
            Running::OffCpu if self.wchan.is_empty() => Doing::Unknown,
            Running::OffCpu => Doing::Blocked,
        }
    }

    /// Whether it was asleep, or there for a file.
    pub(super) fn is_off_cpu(&self) -> bool {
        self.running == Running::OffCpu || self.doing() == Doing::Blocked
    }

    /// Whether the program's own code was on top of the stack, and that code is native: who blocks in the
    /// kernel got there by a function of a library, unless it is one of Python's, whose C functions have no
    /// frame.
    fn called_nothing(&self) -> bool {
        self.frames.first().is_some_and(|top| is_own(top) && !is_python(top))
    }

    /// The frames of what the program's own code called.
    pub(super) fn callees(&self) -> &[Frame] {
        let own = self.frames.iter().position(is_own).unwrap_or(self.frames.len());
        &self.frames[..own]
    }
}
