//! Ways to block a thread until [`IS_ENOUGH`]. Each says first on which [`LINE`] it will.
#![expect(unsafe_code, reason = "named pipes and the resolver's settings are libc's own")]

use std::hint::black_box;
use std::io::Write;
#[cfg(target_env = "gnu")]
use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Set when enough has been seen.
pub(crate) static IS_ENOUGH: AtomicBool = AtomicBool::new(false);
/// Says when dropped that enough has been seen, also when nothing was: a test that fails must end.
pub(crate) struct Enough;

impl Drop for Enough {
    fn drop(&mut self) {
        IS_ENOUGH.store(true, Relaxed);
    }
}

/// Of this file, where the thread blocks.
pub(crate) static LINE: AtomicU32 = AtomicU32::new(0);

/// The call that blocks is on the next line.
macro_rules! blocks_next {
    () => {
        LINE.store(line!() + 1, Relaxed)
    };
}

fn wait_until_enough() {
    while !IS_ENOUGH.load(Relaxed) {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[inline(never)]
pub(crate) fn nap() {
    while !IS_ENOUGH.load(Relaxed) {
        blocks_next!();
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[inline(never)]
pub(crate) fn spin() {
    let mut sum = 0u64;
    blocks_next!();
    while !IS_ENOUGH.load(Relaxed) {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(7));
    }
}

/// Reads a named pipe whose other end is open and silent.
#[inline(never)]
pub(crate) fn read_slow_file() {
    let path = std::env::temp_dir().join(format!("loopd-fifo-{}", std::process::id()));
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: the name ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    // Open for both, so that neither side waits for the other to open it.
    let mut pipe = std::fs::File::options().read(true).write(true).open(&path).unwrap();
    let writer = std::thread::spawn(move || {
        wait_until_enough();
        pipe.write_all(b"enough").unwrap();
    });
    blocks_next!();
    let read = std::fs::read(&path).unwrap();
    assert_eq!(read, b"enough");
    writer.join().unwrap();
    std::fs::remove_file(path).unwrap();
}

/// Locks what another thread has locked.
#[inline(never)]
pub(crate) fn wait_for_lock() {
    static LOCK: Mutex<()> = Mutex::new(());
    let (send, is_held) = std::sync::mpsc::channel();
    let holder = std::thread::spawn(move || {
        let _held = LOCK.lock().unwrap();
        send.send(()).unwrap();
        wait_until_enough();
    });
    is_held.recv().unwrap();
    blocks_next!();
    let held = LOCK.lock().unwrap();
    drop(held);
    holder.join().unwrap();
}

/// Looks up a name with a server that is there and does not answer.
#[cfg(target_env = "gnu")]
#[inline(never)]
pub(crate) fn look_up_name() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    ask_only(server.local_addr().unwrap().port());
    let server = std::thread::spawn(move || {
        wait_until_enough();
        answer_that_nobody_is_there(&server);
    });
    blocks_next!();
    let found = ("a-name-nobody-has.test.", 80).to_socket_addrs();
    assert!(found.is_err());
    server.join().unwrap();
}

/// Has the calling thread's name lookups go to this port of this machine.
#[cfg(target_env = "gnu")]
fn ask_only(port: u16) {
    /// The start of `struct __res_state` in `<resolv.h>`, the same since the nineties.
    #[repr(C)]
    struct State {
        retrans: libc::c_int,
        retry: libc::c_int,
        options: libc::c_ulong,
        nscount: libc::c_int,
        nsaddr_list: [libc::sockaddr_in; 3],
    }
    unsafe extern "C" {
        fn __res_init() -> libc::c_int;
        fn __res_state() -> *mut State;
    }
    // SAFETY: the state is the calling thread's own, and stays where it is while the thread lives.
    unsafe {
        assert_eq!(__res_init(), 0);
        let state = &mut *__res_state();
        state.nscount = 1;
        state.nsaddr_list[0] = libc::sockaddr_in {
            sin_family: libc::AF_INET as libc::sa_family_t,
            sin_port: port.to_be(),
            sin_addr: libc::in_addr { s_addr: u32::from_be_bytes([127, 0, 0, 1]).to_be() },
            sin_zero: [0; 8],
        };
    }
}

/// Answers what has been asked, and whatever follows, for as long as somebody asks.
#[cfg(target_env = "gnu")]
fn answer_that_nobody_is_there(server: &UdpSocket) {
    const IS_ANSWER: u8 = 0x80;
    const NO_SUCH_NAME: u8 = 3;
    server.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut message = [0; 512];
    while let Ok((len, from)) = server.recv_from(&mut message) {
        message[2] |= IS_ANSWER;
        message[3] = NO_SUCH_NAME;
        server.send_to(&message[..len], from).unwrap();
    }
}
