//! What the system says is open: the numbers under `/proc/self/fd`, and what each stands for.
#![expect(unsafe_code, reason = "lists a directory and looks at file descriptors by number")]

use std::fs;
use std::mem::MaybeUninit;

const DIRECTORY: &std::ffi::CStr = c"/proc/self/fd";
/// Standard input, output and error stay open all the time and are nobody's leak.
const FIRST: i32 = 3;
/// Of a [`Identity::what`] that is an epoll instance.
const EPOLL: u64 = 1;

/// What tells one open file from the next with the same number. Two of the same file on disk are
/// not told apart, nor two eventfds and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Of what shares one inode, as all eventfds and timers do: what it is. 0 for all others.
    pub(super) what: u64,
}

impl Identity {
    /// Whether it is an epoll instance.
    pub(super) fn is_epoll(&self) -> bool {
        self.what == EPOLL
    }
}

/// Shows `see` the open numbers that the program may have opened, at most `limit`; gives how many
/// there are beyond that. `None` if the system does not tell.
pub(super) fn each_open(limit: usize, mut see: impl FnMut(i32)) -> Option<usize> {
    // SAFETY: a constant path that ends in a zero byte.
    let directory = unsafe {
        let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC;
        libc::syscall(libc::SYS_openat, libc::AT_FDCWD, DIRECTORY.as_ptr(), flags)
    };
    let directory = i32::try_from(directory).ok().filter(|&fd| fd >= 0)?;
    let mut buffer = [MaybeUninit::<u64>::uninit(); 1024];
    let (mut seen, mut beyond) = (0, 0);
    loop {
        // SAFETY: the buffer is valid for writes of its size, and aligned as directory entries are.
        let len = unsafe {
            let size = size_of_val(&buffer);
            libc::syscall(libc::SYS_getdents64, directory, buffer.as_mut_ptr(), size)
        };
        let Some(len) = usize::try_from(len).ok().filter(|&len| len > 0) else { break };
        // SAFETY: the kernel has filled that many bytes.
        let entries = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), len) };
        for fd in numbers(entries).filter(|&fd| fd >= FIRST && fd != directory) {
            if seen < limit {
                seen += 1;
                see(fd);
            } else {
                beyond += 1;
            }
        }
    }
    // SAFETY: opened above, and known to nobody else.
    unsafe { libc::syscall(libc::SYS_close, directory) };
    Some(beyond)
}

/// The names of directory entries that are numbers.
fn numbers(mut entries: &[u8]) -> impl Iterator<Item = i32> {
    // As `linux_dirent64`: inode, offset, length of the entry, type, name.
    const LENGTH: usize = 16;
    const NAME: usize = 19;
    std::iter::from_fn(move || {
        let length: [u8; 2] = entries.get(LENGTH..LENGTH + 2)?.try_into().ok()?;
        let length = usize::from(u16::from_ne_bytes(length));
        let name = entries.get(NAME..length)?;
        entries = &entries[length..];
        let digits = name.split(|&byte| byte == 0).next().unwrap_or_default();
        // The directory itself and its parent are no numbers.
        Some(std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()))
    })
    .flatten()
}

/// What is open under this number; `None` when nothing is.
pub(super) fn identity(fd: i32) -> Option<Identity> {
    let mut stat = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: valid for writes; a number that is not open is an error. Read only when filled.
    let stat = unsafe { (libc::fstat(fd, stat.as_mut_ptr()) == 0).then(|| stat.assume_init()) }?;
    let is_shared = stat.st_mode & libc::S_IFMT == 0;
    let what = if is_shared { what(&link(fd)?) } else { 0 };
    Some(Identity { device: stat.st_dev, inode: stat.st_ino, what })
}

fn what(link: &str) -> u64 {
    if link.ends_with("[eventpoll]") {
        return EPOLL;
    }
    // FNV-1a: only to tell a handful of short names apart.
    let hash = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    link.bytes().fold(0xcbf2_9ce4_8422_2325, hash) | 2
}

/// Where the number's link points to: a path, or something like `socket:[1234]`.
pub(super) fn link(fd: i32) -> Option<String> {
    let link = fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    Some(link.to_string_lossy().into_owned())
}

/// The numbers that an epoll instance watches.
pub(super) fn watched_by(epoll: i32) -> Vec<i32> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{epoll}")).unwrap_or_default();
    let numbers = info.lines().filter_map(|line| line.strip_prefix("tfd:"));
    numbers.filter_map(|rest| rest.split_whitespace().next()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn what_is_open_is_found_and_told_apart() {
        let (one, two) = std::os::unix::net::UnixStream::pair().unwrap();
        let mut seen = Vec::new();
        assert_eq!(each_open(usize::MAX, |fd| seen.push(fd)), Some(0));
        assert!(seen.contains(&one.as_raw_fd()) && seen.contains(&two.as_raw_fd()), "{seen:?}");
        assert!(seen.iter().all(|&fd| identity(fd).is_some()), "nothing of our own: {seen:?}");
        assert_ne!(identity(one.as_raw_fd()), identity(two.as_raw_fd()));
        let beyond = each_open(1, |_| ());
        assert_eq!(beyond, Some(seen.len() - 1));
        let closed = one.as_raw_fd();
        drop(one);
        assert_eq!(identity(closed), None);
    }

    #[test]
    fn more_than_fits_one_buffer_is_listed() {
        let many: Vec<_> = (0..500).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let mut seen = Vec::new();
        each_open(usize::MAX, |fd| seen.push(fd));
        assert!(many.iter().all(|file| seen.contains(&file.as_raw_fd())));
    }

    #[test]
    fn an_epoll_instance_tells_what_it_watches() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let mut epolls = Vec::new();
        each_open(usize::MAX, |fd| {
            if identity(fd).is_some_and(|identity| identity.is_epoll()) {
                epolls.push(fd);
            }
        });
        let watched: Vec<_> = epolls.iter().flat_map(|&epoll| watched_by(epoll)).collect();
        assert!(watched.contains(&listener.as_raw_fd()), "{watched:?}");
    }
}
