//! From a copied stack to return addresses: by the unwind tables that every Rust program carries,
//! so no frame pointers are needed.
#![expect(unsafe_code, reason = "reads the unwind tables of loaded modules in place")]

use std::ops::Range;

use framehop::x86_64::{CacheX86_64, UnwindRegsX86_64, UnwinderX86_64};
use framehop::{ExplicitModuleSectionInfo, Module, Unwinder};

use super::signal::Shot;

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
        let mut addresses = Vec::new();
        with_modules_held(|| {
            let mut unwinder = UnwinderX86_64::new();
            for module in modules() {
                unwinder.add_module(module);
            }
            addresses = self.walk(&unwinder, shot);
        });
        if addresses.len() < 2 {
            addresses = frame_pointer_walk(shot);
        }
        addresses
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

/// Runs `f` while the loader's list of modules cannot change.
fn with_modules_held(mut f: impl FnMut()) {
    extern "C" fn first<F: FnMut()>(
        _: *mut libc::dl_phdr_info,
        _: libc::size_t,
        f: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: `f` is the closure below, borrowed for the length of the walk.
        let f = unsafe { &mut *f.cast::<F>() };
        f();
        // The first module is enough.
        1
    }
    fn walk<F: FnMut()>(f: &mut F) {
        // SAFETY: the callback has the right type and does not unwind.
        unsafe { libc::dl_iterate_phdr(Some(first::<F>), std::ptr::from_mut(f).cast()) };
    }
    walk(&mut f);
}

/// Every loaded module that has unwind tables. Only under [`with_modules_held`].
fn modules() -> Vec<Module<&'static [u8]>> {
    extern "C" fn each(
        info: *mut libc::dl_phdr_info,
        _: libc::size_t,
        found: *mut libc::c_void,
    ) -> libc::c_int {
        // SAFETY: the loader passes a valid description; `found` is the vector below.
        let (info, found) = unsafe { (&*info, &mut *found.cast::<Vec<Module<&'static [u8]>>>()) };
        found.extend(module(info));
        libc::c_int::from(found.len() >= MAX_MODULES)
    }
    let mut found: Vec<Module<&'static [u8]>> = Vec::new();
    // SAFETY: the callback has the right type and does not unwind.
    unsafe { libc::dl_iterate_phdr(Some(each), std::ptr::from_mut(&mut found).cast()) };
    found
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
