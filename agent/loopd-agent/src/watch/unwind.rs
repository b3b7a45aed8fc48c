//! From a copied stack to return addresses: by the unwind tables that every Rust program carries,
//! so no frame pointers are needed.
#![expect(unsafe_code, reason = "reads the unwind tables of loaded modules in place")]

use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::ptr;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder};

use super::signal::Shot;
use crate::fork;

/// Frames of one stack; deeper ones are cut at the root.
pub(super) const MAX_FRAMES: usize = 128;
/// Loaded modules looked at.
const MAX_MODULES: usize = 512;

/// Unwinds stacks. The cache makes the same stack cheaper the second time.
#[derive(Default)]
pub(super) struct Unwind {
    cache: CacheX86_64<framehop::MayAllocateDuringUnwind>,
}

impl Unwind {
    /// The addresses to look up, leaf first: of the interrupted instruction, then of the calls.
    pub(super) fn addresses(&mut self, shot: &Shot) -> Vec<u64> {
        // No module can be unloaded while the loader's own list is being walked, so the tables
        // stay readable; the nested walk is allowed, since the lock is recursive.
        let walked = with_modules_held(|| {
            let mut unwinder = UnwinderX86_64::new();
            for module in modules() {
                unwinder.add_module(module);
            }
            self.walk(&unwinder, shot)
        });
        match walked {
            Some(addresses) if addresses.len() >= 2 => addresses,
            Some(_) => frame_pointer_walk(shot),
            None => {
                // Left behind by a panic.
                self.cache = CacheX86_64::default();
                frame_pointer_walk(shot)
            }
        }
    }

    fn walk(&mut self, unwinder: &UnwinderX86_64<&'static [u8]>, shot: &Shot) -> Vec<u64> {
        let registers = UnwindRegsX86_64::new(shot.ip, shot.sp, shot.fp);
        let mut read = |address| shot.read(address).ok_or(());
        let mut frames = unwinder.iter_frames(shot.ip, registers, &mut self.cache, &mut read);
        let mut addresses = Vec::new();
        while addresses.len() < MAX_FRAMES
            && let Ok(Some(frame)) = frames.next()
        {
            addresses.push(frame.address_for_lookup());
        }
        addresses
    }
}

/// For code without unwind tables, if it keeps frame pointers.
fn frame_pointer_walk(shot: &Shot) -> Vec<u64> {
    let mut addresses = vec![shot.ip];
    let mut fp = shot.fp;
    while addresses.len() < MAX_FRAMES
        && let (Some(next), Some(back)) = (shot.read(fp), shot.read(fp.wrapping_add(8)))
        && back != 0
    {
        addresses.push(back - 1);
        if next <= fp {
            break;
        }
        fp = next;
    }
    addresses
}

/// Runs `f` while the loader's list of modules cannot change and no thread forks: a child would
/// find the loader's lock taken for ever. `None` if `f` panicked, as on tables that are broken.
fn with_modules_held<T>(f: impl FnOnce() -> T) -> Option<T> {
    let (mut f, mut result) = (Some(f), None);
    fork::without_forks(|| {
        each_module(|_| {
            result = f.take().map(|f| f());
            // The first module is enough.
            true
        });
    });
    result
}

/// Every loaded module that has unwind tables. Only under [`with_modules_held`].
fn modules() -> Vec<Module<&'static [u8]>> {
    let mut found = Vec::new();
    each_module(|info| {
        found.extend(module(info));
        found.len() >= MAX_MODULES
    });
    found
}

/// Shows `f` each loaded module until it says that it has seen enough, or panics.
fn each_module<F: FnMut(&libc::dl_phdr_info) -> bool>(mut f: F) {
    extern "C" fn each<F: FnMut(&libc::dl_phdr_info) -> bool>(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        f: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader passes a valid description; `f` is the closure that was passed in,
        // borrowed for the length of the walk.
        let (info, f) = unsafe { (&*info, &mut *f.cast::<F>()) };
        // A panic may not leave a function that C calls: that would end the program.
        let is_enough = std::panic::catch_unwind(AssertUnwindSafe(|| f(info))).unwrap_or(true);
        libc::c_int::from(is_enough)
    }
    // SAFETY: the callback has the right type and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(each::<F>), ptr::from_mut(&mut f).cast()) };
}

fn module(info: &libc::dl_phdr_info) -> Option<Module<&'static [u8]>> {
    if info.dlpi_phdr.is_null() || info.dlpi_phnum == 0 {
        return None;
    }
    // SAFETY: the loader's own array of program headers.
    let headers =
        unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let base = info.dlpi_addr;
    let range = |header: &libc::Elf64_Phdr| -> Range<u64> {
        let start = base + header.p_vaddr;
        start..start + header.p_memsz
    };
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    let whole = loaded().map(|h| range(h).start).min()?..loaded().map(|h| range(h).end).max()?;
    let hdr = range(headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?);
    if hdr.end - hdr.start < 12 {
        return None;
    }
    // SAFETY: the segment is mapped and readable while the module is loaded.
    let hdr_bytes = unsafe { bytes(&hdr) };
    let frame_start = eh_frame_address(hdr_bytes, hdr.start)?;
    // The table has no length of its own; it ends by its terminator within its segment.
    let segment = loaded().map(range).find(|range| range.contains(&frame_start))?;
    let frame = frame_start..segment.end;
    let text = loaded().find(|header| header.p_flags & libc::PF_X != 0).map(range);
    let relative = |range: &Range<u64>| range.start - base..range.end - base;
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: text.as_ref().map(relative),
        // SAFETY: an executable segment of Linux programs is readable.
        text: text.as_ref().map(|text| unsafe { bytes(text) }),
        eh_frame_svma: Some(relative(&frame)),
        // SAFETY: within a mapped, readable segment.
        eh_frame: Some(unsafe { bytes(&frame) }),
        eh_frame_hdr_svma: Some(relative(&hdr)),
        eh_frame_hdr: Some(hdr_bytes),
        ..ExplicitModuleSectionInfo::default()
    };
    Some(Module::new(String::new(), whole, base, sections))
}

/// Where `.eh_frame` begins, from its index: the encodings that linkers write.
fn eh_frame_address(hdr: &[u8], at: u64) -> Option<u64> {
    const VERSION: u8 = 1;
    const PC_RELATIVE_I32: u8 = 0x1b;
    let pointer: [u8; 4] = hdr.get(4..8)?.try_into().ok()?;
    (hdr[0] == VERSION && hdr[1] == PC_RELATIVE_I32)
        .then(|| (at + 4).wrapping_add_signed(i32::from_le_bytes(pointer).into()))
}

/// # Safety
/// The range is mapped, readable, and stays so while the result is used.
unsafe fn bytes(range: &Range<u64>) -> &'static [u8] {
    let len = (range.end - range.start) as usize;
    // SAFETY: promised by the caller.
    unsafe { std::slice::from_raw_parts(range.start as *const u8, len) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_with_tables_are_found() {
        let found = with_modules_held(|| modules().len());
        assert!(found >= Some(2), "{found:?}: the program and libc");
    }

    #[test]
    fn a_panic_while_the_modules_are_held_ends_only_the_walk() {
        let walked: Option<()> = with_modules_held(|| panic!("on purpose"));
        assert_eq!(walked, None);
        assert_eq!(with_modules_held(|| 1), Some(1));
    }
}
