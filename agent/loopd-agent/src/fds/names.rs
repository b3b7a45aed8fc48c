//! What an open file descriptor is, in words: its kind, and its path or addresses.
#![expect(unsafe_code, reason = "asks the system about sockets by number")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::scan;
use crate::record::MAX_TEXT;

/// Kind and name as reported: `("fd: file", "/var/log/app.log")`. `None` when it is closed.
pub(super) fn describe(fd: i32) -> Option<(&'static str, String)> {
    let link = scan::link(fd)?;
    let (kind, mut name) = match link.split_once(':') {
        Some(("socket", _)) => socket(fd),
        Some(("pipe", _)) => ("fd: pipe", pipe_end(fd).to_owned()),
        Some(("anon_inode", what)) => anonymous(what.trim_matches(['[', ']'])),
        Some(("/memfd", name)) => {
            ("fd: other", format!("memfd {}", name.trim_end_matches(" (deleted)")))
        }
        _ => (file_kind(fd), link),
    };
    name.truncate(name.floor_char_boundary(MAX_TEXT));
    Some((kind, name))
}

fn anonymous(what: &str) -> (&'static str, String) {
    match what {
        "eventfd" => ("fd: eventfd", String::new()),
        "eventpoll" => ("fd: epoll", String::new()),
        "timerfd" => ("fd: timerfd", String::new()),
        other => ("fd: other", other.to_owned()),
    }
}

fn file_kind(fd: i32) -> &'static str {
    // SAFETY: zeroes are a valid value; valid for writes.
    let mode = unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        libc::fstat(fd, &mut stat);
        stat.st_mode
    };
    match mode & libc::S_IFMT {
        libc::S_IFREG => "fd: file",
        libc::S_IFDIR => "fd: directory",
        libc::S_IFIFO => "fd: pipe",
        libc::S_IFCHR | libc::S_IFBLK => "fd: device",
        _ => "fd: other",
    }
}

fn pipe_end(fd: i32) -> &'static str {
    // SAFETY: takes plain numbers.
    match unsafe { libc::fcntl(fd, libc::F_GETFL) } & libc::O_ACCMODE {
        libc::O_RDONLY => "read end",
        libc::O_WRONLY => "write end",
        _ => "",
    }
}

fn socket(fd: i32) -> (&'static str, String) {
    let option = |name| option(fd, name);
    let kind = match (option(libc::SO_DOMAIN), option(libc::SO_TYPE)) {
        (Some(libc::AF_UNIX), _) => "fd: unix socket",
        (Some(libc::AF_INET | libc::AF_INET6), Some(libc::SOCK_STREAM)) => "fd: tcp socket",
        (Some(libc::AF_INET | libc::AF_INET6), Some(libc::SOCK_DGRAM)) => "fd: udp socket",
        _ => "fd: other",
    };
    let (local, peer) = (address(fd, libc::getsockname), address(fd, libc::getpeername));
    let listens = option(libc::SO_ACCEPTCONN) == Some(1);
    let name = match (peer, local.filter(|local| !local.is_empty())) {
        (_, Some(local)) if listens => format!("listens on {local}"),
        (Some(peer), Some(local)) if peer.is_empty() => format!("local {local}"),
        (Some(peer), Some(local)) => format!("peer {peer}, local {local}"),
        (Some(peer), None) if peer.is_empty() => "unnamed".to_owned(),
        (Some(peer), None) => format!("peer {peer}"),
        (None, Some(local)) => format!("not connected, local {local}"),
        (None, None) => "not connected".to_owned(),
    };
    (kind, name)
}

fn option(fd: i32, name: libc::c_int) -> Option<libc::c_int> {
    let mut value: libc::c_int = 0;
    let mut len = size_of_val(&value) as libc::socklen_t;
    // SAFETY: the value is valid for writes of `len` bytes.
    let code = unsafe {
        let value = std::ptr::from_mut(&mut value).cast();
        libc::getsockopt(fd, libc::SOL_SOCKET, name, value, &mut len)
    };
    (code == 0).then_some(value)
}

type AskAddress =
    unsafe extern "C" fn(libc::c_int, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int;

/// The address that `ask` gives: empty for a socket without a name or of a strange family, `None`
/// if there is none.
fn address(fd: i32, ask: AskAddress) -> Option<String> {
    // SAFETY: zeroes are a valid value of every kind of address; valid for writes of `len` bytes.
    let (storage, len) = unsafe {
        let mut storage: libc::sockaddr_storage = std::mem::zeroed();
        let mut len = size_of_val(&storage) as libc::socklen_t;
        let code = ask(fd, std::ptr::from_mut(&mut storage).cast(), &mut len);
        (code == 0).then_some((storage, len as usize))
    }?;
    let storage = std::ptr::from_ref(&storage);
    // SAFETY: the storage is large enough and aligned for each of them, and initialised; the family
    // says which one it is.
    unsafe {
        Some(match i32::from((*storage).ss_family) {
            libc::AF_INET => {
                let v4 = &*storage.cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                SocketAddr::from((ip, u16::from_be(v4.sin_port))).to_string()
            }
            libc::AF_INET6 => {
                let v6 = &*storage.cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, v6.sin6_scope_id).to_string()
            }
            libc::AF_UNIX => {
                let path = &(*storage.cast::<libc::sockaddr_un>()).sun_path;
                let len = len.saturating_sub(std::mem::offset_of!(libc::sockaddr_un, sun_path));
                unix_path(&path[..len.min(path.len())])
            }
            _ => String::new(),
        })
    }
}

/// A name that begins with a zero byte is no path: it is shown with an `@`, as `ss` does.
fn unix_path(path: &[libc::c_char]) -> String {
    let bytes: Vec<u8> = path.iter().map(|&byte| byte.cast_unsigned()).collect();
    match bytes.split_first() {
        None => String::new(),
        Some((0, rest)) if rest.iter().all(|&byte| byte == 0) => String::new(),
        Some((0, rest)) => format!("@{}", String::from_utf8_lossy(rest)),
        Some(_) => {
            let path = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(path).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn described(file: &impl AsRawFd) -> String {
        let (kind, name) = describe(file.as_raw_fd()).unwrap();
        format!("{kind}; {name}")
    }

    #[test]
    fn sockets_have_their_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(described(&listener), format!("fd: tcp socket; listens on {address}"));
        let client = TcpStream::connect(address).unwrap();
        let local = client.local_addr().unwrap();
        assert_eq!(described(&client), format!("fd: tcp socket; peer {address}, local {local}"));
        let udp = UdpSocket::bind("[::1]:0").or_else(|_| UdpSocket::bind("127.0.0.1:0")).unwrap();
        let local = udp.local_addr().unwrap();
        assert_eq!(described(&udp), format!("fd: udp socket; not connected, local {local}"));
        let (one, _two) = UnixStream::pair().unwrap();
        assert_eq!(described(&one), "fd: unix socket; unnamed");
    }

    #[test]
    fn files_have_their_paths_and_pipes_their_ends() {
        let null = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(described(&null), "fd: device; /dev/null");
        let own = std::env::current_exe().unwrap();
        let file = std::fs::File::open(&own).unwrap();
        assert_eq!(described(&file), format!("fd: file; {}", own.display()));
        let (reader, writer) = std::io::pipe().unwrap();
        assert_eq!(described(&reader), "fd: pipe; read end");
        assert_eq!(described(&writer), "fd: pipe; write end");
        assert_eq!(describe(-1), None);
    }

    #[test]
    fn names_of_unix_sockets_are_read() {
        let text = |bytes: &[u8]| {
            unix_path(&bytes.iter().map(|&byte| byte.cast_signed()).collect::<Vec<_>>())
        };
        assert_eq!(text(b"/run/x.sock\0\0"), "/run/x.sock");
        assert_eq!(text(b"\0hidden"), "@hidden");
        assert_eq!(text(b""), "");
    }
}
