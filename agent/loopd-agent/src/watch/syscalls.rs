//! Names of the system calls that a thread waits in. Numbers differ between processors, so they
//! come from libc; a call that does not wait is seldom seen, and is shown by its number.

use libc::c_long;

/// A table of calls that exist on every Linux.
macro_rules! table {
    ($($constant:ident $name:literal)*) => { &[$((libc::$constant, $name)),*] };
}

/// What every processor has.
const CALLS: &[(c_long, &str)] = table! {
    SYS_accept "accept" SYS_accept4 "accept4" SYS_clock_nanosleep "clock_nanosleep"
    SYS_close "close" SYS_connect "connect" SYS_copy_file_range "copy_file_range"
    SYS_epoll_pwait "epoll_pwait" SYS_execve "execve" SYS_exit_group "exit_group"
    SYS_fallocate "fallocate" SYS_fcntl "fcntl" SYS_fdatasync "fdatasync" SYS_flock "flock"
    SYS_fsync "fsync" SYS_ftruncate "ftruncate" SYS_futex "futex"
    SYS_futex_waitv "futex_waitv" SYS_getdents64 "getdents64" SYS_getrandom "getrandom"
    SYS_io_getevents "io_getevents" SYS_io_uring_enter "io_uring_enter" SYS_ioctl "ioctl"
    SYS_linkat "linkat" SYS_madvise "madvise" SYS_mkdirat "mkdirat" SYS_mmap "mmap"
    SYS_mprotect "mprotect" SYS_mq_timedreceive "mq_timedreceive"
    SYS_mq_timedsend "mq_timedsend" SYS_msgrcv "msgrcv" SYS_msgsnd "msgsnd" SYS_msync "msync"
    SYS_munmap "munmap" SYS_nanosleep "nanosleep" SYS_openat "openat" SYS_ppoll "ppoll"
    SYS_pread64 "pread64" SYS_preadv "preadv" SYS_pselect6 "pselect6" SYS_pwrite64 "pwrite64"
    SYS_pwritev "pwritev" SYS_read "read" SYS_readlinkat "readlinkat" SYS_readv "readv"
    SYS_recvfrom "recvfrom" SYS_recvmmsg "recvmmsg" SYS_recvmsg "recvmsg"
    SYS_restart_syscall "restart_syscall" SYS_rt_sigsuspend "rt_sigsuspend"
    SYS_rt_sigtimedwait "rt_sigtimedwait" SYS_sched_yield "sched_yield" SYS_semop "semop"
    SYS_semtimedop "semtimedop" SYS_sendfile "sendfile" SYS_sendmmsg "sendmmsg"
    SYS_sendmsg "sendmsg" SYS_sendto "sendto" SYS_splice "splice" SYS_statx "statx"
    SYS_sync "sync" SYS_sync_file_range "sync_file_range" SYS_syncfs "syncfs"
    SYS_truncate "truncate" SYS_unlinkat "unlinkat" SYS_vmsplice "vmsplice" SYS_wait4 "wait4"
    SYS_waitid "waitid" SYS_write "write" SYS_writev "writev"
};

/// What only older ones have, where the calls above came later.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: &[(c_long, &str)] = table! {
    SYS_epoll_wait "epoll_wait" SYS_fork "fork" SYS_mkdir "mkdir" SYS_open "open"
    SYS_pause "pause" SYS_poll "poll" SYS_rename "rename" SYS_rmdir "rmdir"
    SYS_select "select" SYS_stat "stat" SYS_unlink "unlink" SYS_vfork "vfork"
};
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: &[(c_long, &str)] = &[];

/// What people call the system call with this number.
pub(super) fn name(number: c_long) -> String {
    let known = CALLS.iter().chain(OLD_CALLS).find(|(of, _)| *of == number);
    known.map_or_else(|| format!("syscall {number}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_its_name_and_an_unknown_one_its_number() {
        assert_eq!(name(libc::SYS_read), "read");
        assert_eq!(name(libc::SYS_futex), "futex");
        assert_eq!(name(123_456), "syscall 123456");
    }
}
