//! What uvloop's transports, servers and subprocesses say of themselves. Each is asked by methods that
//! run no code of Python's; their addresses are asked of the kernel, since uvloop has Python's sockets
//! ask for some. No error is left.

use std::ffi::CStr;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ptr::null_mut;

use crate::py::{self, Object, Ref};

/// What uvloop has classes for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Datagram,
    ReadPipe,
    WritePipe,
    Subprocess,
    Server,
}

/// By what one is believed to be open.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sight {
    /// It reads, which begins when its protocol has been told of the connection.
    Reading,
    /// It has a peer, though it need not read.
    Connected,
    /// The program has it in its hands.
    Given,
}

/// `object.name()`, a new reference; null if that failed, and no error is left.
unsafe fn ask(object: Object, name: &CStr) -> Object {
    // SAFETY: a live object; what is made is given back.
    unsafe {
        let name = Ref(py::interned(name));
        let answer = py::call_method0(object, name.0);
        if answer.is_null() {
            py::PyErr_Clear();
        }
        answer
    }
}

impl Ref {
    /// Whether it is neither null nor `None`.
    fn is_something(&self) -> bool {
        // SAFETY: `None` is there as long as the interpreter.
        !self.is_null() && self.0 != unsafe { py::Py_None() }
    }

    /// The whole number that it is, if it is one.
    unsafe fn number(&self) -> Option<i64> {
        // SAFETY: null or live; no error is left.
        unsafe {
            if self.is_null() || py::PyLong_Check(self.0) == 0 {
                return None;
            }
            let number = py::PyLong_AsLongLong(self.0);
            py::PyErr_Clear();
            Some(number)
        }
    }
}

/// How many bytes a transport has still to write.
pub(crate) unsafe fn left_to_write(object: Object) -> i64 {
    // SAFETY: a live object of uvloop's. Those that only read have no such method.
    unsafe { Ref(ask(object, c"get_write_buffer_size")).number() }.unwrap_or(0)
}

/// Whether a subprocess has ended.
pub(crate) unsafe fn has_ended(process: Object) -> bool {
    // SAFETY: a live object of uvloop's.
    unsafe { Ref(ask(process, c"get_returncode")).is_something() }
}

/// What people call one, if it is open.
pub(crate) unsafe fn name_if_open(object: Object, kind: Kind, sight: Sight) -> Option<String> {
    // SAFETY: a live object of uvloop's.
    unsafe {
        let has_protocol = || Ref(ask(object, c"get_protocol")).is_something();
        match kind {
            Kind::Stream => {
                let is_open = is_reading(object) || sight != Sight::Reading;
                let name = is_open.then(|| name_of_socket(object))?;
                // What is still being connected has no peer.
                (sight != Sight::Connected || name.has_peer).then_some(name.text)
            }
            Kind::Datagram => {
                (has_protocol() || sight == Sight::Given).then(|| name_of_socket(object).text)
            }
            Kind::ReadPipe | Kind::WritePipe => {
                let is_open = match sight {
                    Sight::Reading => is_reading(object),
                    Sight::Connected => has_protocol(),
                    Sight::Given => true,
                };
                is_open.then(String::new)
            }
            Kind::Subprocess => {
                let pid = Ref(ask(object, c"get_pid")).number()?;
                Some(format!("pid {pid}"))
            }
            Kind::Server => {
                let sockets = Ref(py::PyObject_GetAttrString(object, c"sockets".as_ptr()));
                if sockets.is_null() || py::PyList_Check(sockets.0) == 0 {
                    py::PyErr_Clear();
                    return None;
                }
                let sockets = (0..py::PyList_Size(sockets.0))
                    .map(|index| descriptor(py::PyList_GetItem(sockets.0, index)))
                    .map(|socket| socket.and_then(|socket| address(socket, libc::getsockname)));
                let names: Vec<_> = sockets.map(Option::unwrap_or_default).collect();
                (!names.is_empty()).then(|| names.join(", "))
            }
        }
    }
}

unsafe fn is_reading(object: Object) -> bool {
    // SAFETY: a live object of uvloop's, and `True` is there as long as the interpreter.
    unsafe { Ref(ask(object, c"is_reading")).0 == py::Py_True() }
}

struct Name {
    text: String,
    has_peer: bool,
}

/// Its own address and that of its peer. uvloop knows them too, but for some asks Python's code.
unsafe fn name_of_socket(object: Object) -> Name {
    // SAFETY: a live transport; what is made is given back, and no error is left.
    unsafe {
        let name = Ref(py::interned(c"get_extra_info"));
        let what = Ref(py::interned(c"socket"));
        let socket = Ref(py::call_method1(object, name.0, what.0));
        if socket.is_null() {
            py::PyErr_Clear();
        }
        let socket = descriptor(socket.0);
        let own = socket.and_then(|socket| address(socket, libc::getsockname));
        let peer = socket.and_then(|socket| address(socket, libc::getpeername));
        let has_peer = peer.is_some();
        let [own, peer] = [own, peer].map(Option::unwrap_or_default);
        let both = if own.is_empty() || peer.is_empty() { "" } else { " - " };
        Name { text: format!("{own}{both}{peer}"), has_peer }
    }
}

/// The file descriptor of a socket of uvloop's.
unsafe fn descriptor(socket: Object) -> Option<i32> {
    // SAFETY: null or live.
    unsafe {
        if socket.is_null() || socket == py::Py_None() {
            return None;
        }
        let number = Ref(ask(socket, c"fileno")).number()?;
        i32::try_from(number).ok().filter(|&number| number >= 0)
    }
}

type Ask =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

/// An address of a socket, as Python writes it; empty for what has none.
fn address(socket: i32, ask: Ask) -> Option<String> {
    // SAFETY: plain bytes, as long as is said, and read as what their family says.
    unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        let place = (&raw mut storage).cast::<libc::sockaddr>();
        if ask(socket, place, &mut len) != 0 {
            return None;
        }
        Some(match i32::from(storage.ss_family) {
            libc::AF_INET => {
                let address = &*(&raw const storage).cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
                format!("{ip}:{}", u16::from_be(address.sin_port))
            }
            libc::AF_INET6 => {
                let address = &*(&raw const storage).cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
                format!("{ip}:{}", u16::from_be(address.sin6_port))
            }
            libc::AF_UNIX => {
                let bytes =
                    std::slice::from_raw_parts((&raw const storage).cast::<u8>(), len as usize);
                let path = bytes.get(size_of::<libc::sa_family_t>()..).unwrap_or_default();
                match path {
                    // A name that is in no folder.
                    [0, name @ ..] if !name.is_empty() => {
                        format!("@{}", String::from_utf8_lossy(name))
                    }
                    path => {
                        let end = path.iter().position(|&byte| byte == 0).unwrap_or(path.len());
                        String::from_utf8_lossy(&path[..end]).into_owned()
                    }
                }
            }
            _ => String::new(),
        })
    }
}

/// Whether one that is alive has been closed, as it says itself.
pub(crate) unsafe fn is_closed(object: Object) -> bool {
    // SAFETY: a live object of uvloop's; what is made is given back, and no error is left.
    unsafe {
        let words = py::text(Ref(py::PyObject_Repr(object)).0);
        words.contains(" closed=True") || words.contains(" closed=1")
    }
}

/// The same of one that is about to be freed: it has a reference while it is asked.
pub(crate) unsafe fn was_closed(object: Object) -> bool {
    // SAFETY: the first word of an object counts its references, which were none; asking keeps none.
    unsafe {
        let references = object.cast::<isize>();
        let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
        py::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        *references += 1;
        let is_closed = is_closed(object);
        *references -= 1;
        py::PyErr_Restore(kind, value, traceback);
        is_closed
    }
}
