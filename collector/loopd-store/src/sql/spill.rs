//! Counts what a query puts into temporary files, and stops it at its limit.
//!
//! SQLite sorts and keeps intermediate results in memory only up to the size of a cache; the rest goes
//! to temporary files, as fast as the disk takes it. SQLite has no limit on them, so connections for
//! queries open their files through the system's own file access with one thing added: writes to
//! temporary files are counted, and fail as on a full disk once there are too many.

use std::cell::RefCell;
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::LazyLock;

use libsqlite3_sys as ffi;

use super::guard::Guard;

/// The name by which a connection asks for counted files.
const NAME: &CStr = c"loopd-query";

thread_local! {
    /// Whose query this thread runs. The authorizer sets it: SQLite asks it on the very thread that
    /// then runs the statement, just before it does.
    static RUNS: RefCell<Option<Guard>> = const { RefCell::new(None) };
}

/// Notes that what this thread writes from now on is written for the query of `guard`.
pub(super) fn runs_here(guard: &Guard) {
    RUNS.with_borrow_mut(|runs| {
        if !runs.as_ref().is_some_and(|runs| runs.is_same(guard)) {
            *runs = Some(guard.clone());
        }
    });
}

/// The file access for connections of queries, as `SqliteConnectOptions::vfs` wants it; `None` if the
/// system's own is not what SQLite usually has.
pub(super) fn vfs() -> Option<&'static str> {
    static REGISTERED: LazyLock<bool> = LazyLock::new(|| register() == Some(ffi::SQLITE_OK));
    REGISTERED.then(|| NAME.to_str().ok()).flatten()
}

#[expect(unsafe_code, reason = "SQLite's file access is a table of C functions")]
fn register() -> Option<c_int> {
    // SAFETY: a null name asks for the default; what is found lives as long as the process.
    let system = unsafe { ffi::sqlite3_vfs_find(ptr::null()).as_ref() }?;
    let counted = ffi::sqlite3_vfs {
        szOsFile: (size_of::<File>() as c_int).checked_add(system.szOsFile)?,
        zName: NAME.as_ptr(),
        pNext: ptr::null_mut(),
        pAppData: ptr::from_ref(system).cast_mut().cast(),
        xOpen: Some(open),
        ..*system
    };
    // SAFETY: it is never freed; a copy of the system's functions is as good as the original, because
    // they look at nothing of the table but the length of a path, and `open` hands on the original.
    Some(unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(counted)), 0) })
}

/// A temporary file. The system's own file follows it in memory.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// Whom its bytes are counted for; null once it is closed.
    guard: *const Guard,
    size: i64,
}

const METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 1,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: None,
    xShmLock: None,
    xShmBarrier: None,
    xShmUnmap: None,
    xFetch: None,
    xUnfetch: None,
};
static COUNTED: ffi::sqlite3_io_methods = METHODS;

/// Files that nobody sees and that go when they are closed.
const TEMPORARY: c_int = ffi::SQLITE_OPEN_TEMP_DB
    | ffi::SQLITE_OPEN_TEMP_JOURNAL
    | ffi::SQLITE_OPEN_TRANSIENT_DB
    | ffi::SQLITE_OPEN_SUBJOURNAL;

#[expect(unsafe_code, reason = "SQLite calls it")]
unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: `register` put the system's own there.
    let system = unsafe { (*vfs).pAppData.cast::<ffi::sqlite3_vfs>() };
    // SAFETY: as above; every file access can open.
    let Some(system_open) = (unsafe { (*system).xOpen }) else { return ffi::SQLITE_CANTOPEN };
    let guard = RUNS.with_borrow(Clone::clone);
    let Some(guard) = guard.filter(|_| flags & TEMPORARY != 0) else {
        // SAFETY: the arguments are those that SQLite gave; there is more room than is asked for.
        return unsafe { system_open(system, name, file, flags, out_flags) };
    };
    // SAFETY: `szOsFile` has room for a `File` and the system's own behind it, and a `File` is a
    // multiple of its alignment long.
    unsafe {
        let inner = inner_of(file);
        // SQLite closes whatever has methods, also when opening has failed.
        (*file).pMethods = ptr::null();
        (*inner).pMethods = ptr::null();
        let code = system_open(system, name, inner, flags, out_flags);
        if code != ffi::SQLITE_OK {
            if let Some(close) = methods(inner).and_then(|methods| methods.xClose) {
                close(inner);
            }
            return code;
        }
        let guard = Box::into_raw(Box::new(guard)).cast_const();
        file.cast::<File>().write(File {
            base: ffi::sqlite3_file { pMethods: &raw const COUNTED },
            guard,
            size: 0,
        });
        code
    }
}

/// The system's own file behind ours.
#[expect(unsafe_code, reason = "the two lie in one piece of memory")]
unsafe fn inner_of(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the caller has a file that `open` was given.
    unsafe { file.cast::<File>().add(1).cast() }
}

#[expect(unsafe_code, reason = "SQLite's files are pointers")]
unsafe fn methods(inner: *mut ffi::sqlite3_file) -> Option<&'static ffi::sqlite3_io_methods> {
    // SAFETY: the caller has a file of the system's; its methods are a constant of SQLite, or null.
    unsafe { (*inner).pMethods.as_ref() }
}

/// Hands a call on to the system's own file.
macro_rules! hand_on {
    ($name:ident, $method:ident, $($argument:ident: $kind:ty),*) => {
        #[expect(unsafe_code, reason = "SQLite calls it")]
        unsafe extern "C" fn $name(file: *mut ffi::sqlite3_file $(, $argument: $kind)*) -> c_int {
            // SAFETY: SQLite gives a file that `open` has opened, and arguments for this method.
            unsafe {
                let inner = inner_of(file);
                match methods(inner).and_then(|methods| methods.$method) {
                    Some(method) => method(inner $(, $argument)*),
                    None => ffi::SQLITE_IOERR,
                }
            }
        }
    };
}

hand_on!(read, xRead, buffer: *mut c_void, amount: c_int, offset: i64);
hand_on!(write_through, xWrite, buffer: *const c_void, amount: c_int, offset: i64);
hand_on!(truncate_through, xTruncate, size: i64);
hand_on!(sync, xSync, flags: c_int);
hand_on!(file_size, xFileSize, size: *mut i64);
hand_on!(check_reserved_lock, xCheckReservedLock, out: *mut c_int);
hand_on!(close_through, xClose,);
hand_on!(sector_size, xSectorSize,);
hand_on!(device_characteristics, xDeviceCharacteristics,);

/// Nobody else sees the file.
#[expect(unsafe_code, reason = "SQLite calls it")]
unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

/// Hints about sizes and the like, which could make the file grow without a write.
#[expect(unsafe_code, reason = "SQLite calls it")]
unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

#[expect(unsafe_code, reason = "SQLite calls it")]
unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    buffer: *const c_void,
    amount: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: SQLite gives a file that `open` has opened, and uses it on one thread at a time; its
    // guard lives until `close`.
    unsafe {
        let counted = file.cast::<File>();
        let grown = offset.saturating_add(i64::from(amount)).saturating_sub((*counted).size).max(0);
        if !(*(*counted).guard).spill(grown) {
            return ffi::SQLITE_FULL;
        }
        (*counted).size += grown;
        write_through(file, buffer, amount, offset)
    }
}

#[expect(unsafe_code, reason = "SQLite calls it")]
unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: as in `write`.
    unsafe {
        let code = truncate_through(file, size);
        let counted = file.cast::<File>();
        if code == ffi::SQLITE_OK && size < (*counted).size {
            (*(*counted).guard).spill(size - (*counted).size);
            (*counted).size = size;
        }
        code
    }
}

#[expect(unsafe_code, reason = "SQLite calls it")]
unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: as in `write`; SQLite closes a file once, and the guard came from a box.
    unsafe {
        let code = close_through(file);
        let counted = file.cast::<File>();
        let guard = Box::from_raw((*counted).guard.cast_mut());
        guard.spill(-(*counted).size);
        (*counted).guard = ptr::null();
        code
    }
}
