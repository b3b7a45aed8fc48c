//! From a copied stack to return addresses: by the unwind tables that every Rust program carries,
//! so no frame pointers are needed.
#![expect(unsafe_code, reason = "reads the unwind tables of loaded modules in place")]

use std::ops::{Deref, Range};
use std::panic::AssertUnwindSafe;
use std::ptr;

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, MayAllocateDuringUnwind, Module, UnwindRegsNative,
    Unwinder, UnwinderNative,
};

use crate::fork;

/// Frames of one stack; deeper ones are cut at the root.
pub(super) const MAX_FRAMES: usize = 128;
/// Loaded modules looked at.
const MAX_MODULES: usize = 512;

/// The registers of a thread at one instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(crate) ip: u64,
    pub(crate) sp: u64,
    pub(crate) fp: u64,
    /// Where the function returns to, on processors that keep that in a register.
    #[cfg(target_arch = "aarch64")]
    pub(crate) lr: u64,
}

/// Registers, and what was copied of the stack above the stack pointer.
pub(crate) trait Copied {
    /// The registers.
    fn registers(&self) -> Registers;

    /// The word at this address, if it was copied.
    fn read(&self, address: u64) -> Option<u64>;
}

/// How often modules were loaded and unloaded so far: while it is the same, so are the modules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Modules {
    loads: u64,
    unloads: u64,
}

#[cfg(all(tokio_unstable, feature = "taskdump"))]
impl Modules {
    /// Those loaded now.
    pub(super) fn now() -> Self {
        with_modules_held(|loaded| loaded).unwrap_or_default()
    }
}

/// Memory of a loaded module: addresses within a segment that is mapped and readable while the
/// module is loaded. Looked at only under [`with_modules_held`], when it still is.
#[derive(Default)]
struct Section(Range<u64>);

impl Deref for Section {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        if self.0.is_empty() {
            return &[];
        }
        let len = (self.0.end - self.0.start) as usize;
        // SAFETY: what the type and its use promise; nobody writes to these segments.
        unsafe { std::slice::from_raw_parts(self.0.start as *const u8, len) }
    }
}

/// A stack that nobody has named yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RawStack {
    /// The addresses to look up, leaf first: of the interrupted instruction, then of the calls.
    pub(crate) addresses: Vec<u64>,
    /// What was loaded then.
    pub(super) modules: Modules,
}

/// Unwinds stacks. The tables of all modules are listed once, and what was learned of an address is
/// kept, so that the same stack is cheap the second time.
#[derive(Default)]
pub(crate) struct Unwind {
    /// Those that the unwinder knows.
    modules: Option<Modules>,
    unwinder: UnwinderNative<Section, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
}

impl Unwind {
    /// The stack of a thread that was stopped like this.
    pub(crate) fn stack(&mut self, shot: &impl Copied) -> RawStack {
        // No module can be unloaded while the loader's own list is being walked, so the tables
        // stay readable. Between walks they may go, which the counts tell before they are read.
        let walked = with_modules_held(|loaded| {
            self.follow(loaded);
            self.walk(shot)
        });
        if walked.is_none() {
            // Left behind by a panic.
            *self = Self::default();
        }
        let addresses = walked.filter(|addresses| addresses.len() >= 2);
        RawStack {
            addresses: addresses.unwrap_or_else(|| frame_pointer_walk(shot)),
            modules: self.modules.unwrap_or_default(),
        }
    }

    /// Lists the modules if they are not those listed last. The nested walk is allowed, since the
    /// loader's lock is recursive.
    fn follow(&mut self, loaded: Modules) {
        if self.modules == Some(loaded) {
            return;
        }
        self.unwinder = UnwinderNative::new();
        modules().into_iter().for_each(|module| self.unwinder.add_module(module));
        self.modules = Some(loaded);
    }

    fn walk(&mut self, shot: &impl Copied) -> Vec<u64> {
        let mut read = |address| shot.read(address).ok_or(());
        let registers = shot.registers();
        let ip = registers.ip;
        let registers = native(registers);
        let mut frames = self.unwinder.iter_frames(ip, registers, &mut self.cache, &mut read);
        let mut addresses = Vec::new();
        while addresses.len() < MAX_FRAMES
            && let Ok(Some(frame)) = frames.next()
        {
            addresses.push(frame.address_for_lookup());
        }
        addresses
    }
}

#[cfg(target_arch = "x86_64")]
fn native(registers: Registers) -> UnwindRegsNative {
    UnwindRegsNative::new(registers.ip, registers.sp, registers.fp)
}

#[cfg(target_arch = "aarch64")]
fn native(registers: Registers) -> UnwindRegsNative {
    // Return addresses may be signed, in the bits above the 48 that Linux programs use.
    let mask = framehop::aarch64::PtrAuthMask(u64::MAX >> 16);
    UnwindRegsNative::new_with_ptr_auth_mask(mask, registers.lr, registers.sp, registers.fp)
}

/// For code without unwind tables, if it keeps frame pointers.
fn frame_pointer_walk(shot: &impl Copied) -> Vec<u64> {
    let Registers { ip, mut fp, .. } = shot.registers();
    let mut addresses = vec![ip];
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
fn with_modules_held<T>(f: impl FnOnce(Modules) -> T) -> Option<T> {
    let (mut f, mut result) = (Some(f), None);
    fork::without_forks(|| {
        each_module(|info| {
            let loaded = Modules { loads: info.dlpi_adds, unloads: info.dlpi_subs };
            result = f.take().map(|f| f(loaded));
            // The first module is enough.
            true
        });
    });
    result
}

/// Every loaded module that has unwind tables. Only under [`with_modules_held`].
fn modules() -> Vec<Module<Section>> {
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

fn module(info: &libc::dl_phdr_info) -> Option<Module<Section>> {
    let (whole, sections) = sections(info)?;
    Some(Module::new(String::new(), whole, info.dlpi_addr, sections))
}

/// Where a module is, and what of it is looked at.
fn sections(info: &libc::dl_phdr_info) -> Option<(Range<u64>, ExplicitModuleSectionInfo<Section>)> {
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
    let readable = |flags| loaded().filter(move |header| is_readable(header, flags)).map(range);
    let whole = loaded().map(|h| range(h).start).min()?..loaded().map(|h| range(h).end).max()?;
    let hdr = range(headers.iter().find(|header| header.p_type == libc::PT_GNU_EH_FRAME)?);
    if hdr.end - hdr.start < 12 {
        return None;
    }
    let frame_start = eh_frame_address(&Section(hdr.clone()), hdr.start)?;
    // The table has no length of its own; it ends by its terminator within its segment.
    let segment = readable(0).find(|range| range.contains(&frame_start))?;
    let frame = frame_start..segment.end;
    // Looked at where a function begins and ends; without it only the tables count.
    let text = readable(libc::PF_X).next();
    let relative = |range: &Range<u64>| range.start - base..range.end - base;
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        text_svma: text.as_ref().map(relative),
        text: text.map(Section),
        eh_frame_svma: Some(relative(&frame)),
        eh_frame: Some(Section(frame)),
        eh_frame_hdr_svma: Some(relative(&hdr)),
        eh_frame_hdr: Some(Section(hdr)),
        ..ExplicitModuleSectionInfo::default()
    };
    Some((whole, sections))
}

/// Whether a segment can be read, and has these flags besides: code may be mapped for execution only.
fn is_readable(segment: &libc::Elf64_Phdr, flags: u32) -> bool {
    let wanted = libc::PF_R | flags;
    segment.p_flags & wanted == wanted
}

/// Where `.eh_frame` begins, from its index: the encodings that linkers write.
fn eh_frame_address(hdr: &[u8], at: u64) -> Option<u64> {
    const VERSION: u8 = 1;
    const PC_RELATIVE_I32: u8 = 0x1b;
    let pointer: [u8; 4] = hdr.get(4..8)?.try_into().ok()?;
    (hdr[0] == VERSION && hdr[1] == PC_RELATIVE_I32)
        .then(|| (at + 4).wrapping_add_signed(i32::from_le_bytes(pointer).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_with_tables_are_found() {
        let found = with_modules_held(|_| modules().len());
        assert!(found >= Some(2), "{found:?}: the program and libc");
    }

    #[test]
    fn a_panic_while_the_modules_are_held_ends_only_the_walk() {
        let walked: Option<()> = with_modules_held(|_| panic!("on purpose"));
        assert_eq!(walked, None);
        assert_eq!(with_modules_held(|_| 1), Some(1));
    }

    /// The sections of a module with these flags on its code and on its tables.
    fn sections_with(code: u32, tables: u32) -> Option<ExplicitModuleSectionInfo<Section>> {
        /// An index, and tables 16 bytes after its start.
        static TABLES: [u8; 64] = {
            let mut bytes = [0; 64];
            (bytes[0], bytes[1], bytes[4]) = (1, 0x1b, 12);
            bytes
        };
        let at = TABLES.as_ptr() as u64;
        let header = |kind, flags, start| libc::Elf64_Phdr {
            p_type: kind,
            p_flags: flags,
            p_offset: 0,
            p_vaddr: start,
            p_paddr: 0,
            p_filesz: 64,
            p_memsz: 64,
            p_align: 1,
        };
        let headers = [
            header(libc::PT_LOAD, tables, at),
            header(libc::PT_LOAD, code, 4096),
            header(libc::PT_GNU_EH_FRAME, libc::PF_R, at),
        ];
        // SAFETY: numbers and pointers, of which these are all that is looked at.
        let mut info: libc::dl_phdr_info = unsafe { std::mem::zeroed() };
        (info.dlpi_phdr, info.dlpi_phnum) = (headers.as_ptr(), headers.len() as u16);
        sections(&info).map(|(_, sections)| sections)
    }

    #[test]
    fn code_that_may_only_be_executed_is_not_read() {
        let has_text = |code| sections_with(code, libc::PF_R).unwrap().text.is_some();
        assert!(has_text(libc::PF_X | libc::PF_R));
        assert!(!has_text(libc::PF_X));
        assert!(sections_with(libc::PF_X, libc::PF_X).is_none(), "nor are tables");
    }
}
