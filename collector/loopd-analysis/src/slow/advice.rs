//! What to do about a site, in the words of its runtime.

use loopd_model::Frame;

use super::Sample;
use super::doing::{Doing, FILE_CALLS};
use crate::runtime::Runtime;

/// What gives a cause away, and what to do about it.
struct Hint {
    /// Parts of the names of what the program called: of functions, or in Python of files.
    names: &'static [&'static str],
    /// The system call it was in. C functions of Python have no frame, so that this is often all
    /// that tells them.
    syscalls: &'static [&'static str],
    advice: &'static str,
}

const FILES: &str = "file access blocks the worker for as long as the disk takes: use `tokio::fs`, or one \
                     `tokio::task::spawn_blocking` around all of it";

const SLEEPS: [&str; 3] = ["thread::sleep", "thread::functions::sleep", "nanosleep"];
const LOCKS: [&str; 6] =
    ["lock_contended", "Mutex<", "mutex::Mutex", "RwLock", "rwlock", "Condvar"];
const CHILDREN: [&str; 4] = ["std::process", "waitpid", "wait4", "posix_spawn"];
const NETWORK: [&str; 5] =
    ["std::net", "getaddrinfo", "net::TcpStream", "net::UdpSocket", "reqwest::blocking"];
const THREADS: [&str; 5] =
    ["mpsc::Receiver", "recv_timeout", "block_on", "park_timeout", "thread::park"];

/// What follows from the names of Rust's functions.
const fn rust(names: &'static [&'static str], advice: &'static str) -> Hint {
    Hint { names, syscalls: &[], advice }
}

/// The first that matches counts.
const TOKIO: [Hint; 7] = [
    rust(
        &SLEEPS,
        "`std::thread::sleep` puts the worker to sleep with every task that waits for it: use \
         `tokio::time::sleep(…).await`",
    ),
    rust(
        &LOCKS,
        "a `std` lock was held by another thread for long, and the worker slept for it: look for the slow \
         poll that ran at the same time, hold the lock for less, or use `tokio::sync` if it must be held \
         for long",
    ),
    rust(&CHILDREN, "waiting for a child process blocks the worker: use `tokio::process`"),
    rust(
        &NETWORK,
        "blocking network calls stop the worker: use `tokio::net`, `tokio::net::lookup_host`, or the \
         asynchronous client",
    ),
    rust(&FILE_CALLS, FILES),
    rust(&["read_to_end"], FILES),
    rust(&THREADS, "the worker waits for another thread: use an asynchronous channel or `.await`"),
];

const FILES_OF_EVENT_LOOP: &str = "file access stops the loop for as long as the disk takes: give all of it to \
                                   `run_in_executor` as one job, and await that";

/// The same for an `EventLoop`, whose callbacks cannot await.
const EVENT_LOOP: [Hint; 7] = [
    rust(
        &SLEEPS,
        "`std::thread::sleep` puts the loop to sleep with every task and callback of it: use \
         `event_loop::sleep(…).await`, or `call_later` in a callback",
    ),
    rust(
        &LOCKS,
        "a `std` lock was held by another thread for long, and the loop slept for it: hold it there for \
         less, use `tokio::sync` in tasks if it must be held for long, or have the other thread hand over \
         what it has with `call_soon_threadsafe`",
    ),
    rust(&CHILDREN, "waiting for a child process stops the loop: use `tokio::process` in a task"),
    rust(
        &NETWORK,
        "blocking network calls stop the loop: use `tokio::net`, `tokio::net::lookup_host`, or the \
         asynchronous client in a task, or give the call to `run_in_executor`",
    ),
    rust(&FILE_CALLS, FILES_OF_EVENT_LOOP),
    rust(&["read_to_end"], FILES_OF_EVENT_LOOP),
    rust(
        &THREADS,
        "the loop waits for another thread: use an asynchronous channel, or have that thread call \
         `call_soon_threadsafe` when it has something",
    ),
];

/// The first that matches counts: a library says more than the system call it is in.
const ASYNCIO: [Hint; 7] = [
    Hint {
        names: &["/subprocess.py"],
        syscalls: &["wait4", "waitid", "vfork"],
        advice: "waiting for a child process stops the loop: use `await \
                 asyncio.create_subprocess_exec(…)`, or `await asyncio.to_thread(subprocess.run, …)`",
    },
    Hint {
        names: &[
            "/sqlalchemy/",
            "/django/db/",
            "/psycopg2/",
            "/psycopg/",
            "/pymysql/",
            "/MySQLdb/",
            "/pymongo/",
            "/redis/",
            "/sqlite3/",
        ],
        syscalls: &[],
        advice: "a database driver that blocks stops the loop: use an asynchronous one (`asyncpg`, \
                 `aiosqlite`, SQLAlchemy's `AsyncSession`, `redis.asyncio`), or `await \
                 asyncio.to_thread(…)` around the call",
    },
    Hint {
        names: &[
            "/http/client.py",
            "/urllib/",
            "/urllib3/",
            "/requests/",
            "/botocore/",
            "/httpcore/_sync/",
            "/smtplib.py",
            "/ftplib.py",
            "/imaplib.py",
            "/socket.py",
            "/ssl.py",
        ],
        syscalls: &[
            "connect", "accept", "accept4", "recvfrom", "sendto", "recvmsg", "sendmsg", "poll",
            "ppoll",
        ],
        advice: "a blocking network call stops the loop: use an asynchronous client (`aiohttp`, \
                 `httpx.AsyncClient`, `asyncio.open_connection`, `await loop.getaddrinfo(…)`), or \
                 `await asyncio.to_thread(…)` around the call",
    },
    Hint {
        names: &["/threading.py", "/queue.py", "/concurrent/futures/", "/multiprocessing/"],
        syscalls: &[],
        advice: "the loop waited for another thread or process: use `asyncio.Lock`, `asyncio.Queue` \
                 and the like, `await loop.run_in_executor(…)` or `await asyncio.wrap_future(…)` for \
                 what runs in an executor, or wait in `await asyncio.to_thread(…)`",
    },
    Hint {
        names: &[],
        // Before Python 3.11 `time.sleep` is a select.
        syscalls: &["clock_nanosleep", "nanosleep", "select", "pselect6"],
        advice: "`time.sleep` puts the loop to sleep with every task on it: use `await \
                 asyncio.sleep(…)`",
    },
    Hint {
        names: &[],
        syscalls: &["futex"],
        advice: "the loop waited for another thread: if this line takes a `threading.Lock` or the \
                 like, use `asyncio.Lock`, or take it in `await asyncio.to_thread(…)`; if it takes \
                 none, another thread computed and kept the interpreter's lock (GIL): move that work \
                 to a process",
    },
    Hint {
        names: &["/shutil.py", "/tempfile.py", "/pathlib", "/zipfile", "/tarfile.py", "/logging/"],
        syscalls: &[
            "read",
            "pread64",
            "readv",
            "write",
            "pwrite64",
            "writev",
            "openat",
            "fsync",
            "fdatasync",
            "flock",
            "fcntl",
            "getdents64",
            "unlink",
            "rename",
            "newfstatat",
        ],
        advice: "file access stops the loop for as long as the disk takes: put one `await \
                 asyncio.to_thread(…)` around all of it",
    },
];

/// What to do about a site that was found doing this in most of its samples.
pub(super) fn advice(runtime: Runtime, samples: &[&Sample], doing: Doing) -> &'static str {
    if samples.is_empty() {
        return "no stack was taken while it blocked: see which layers this process captures, on the \
                page Sources or with `loopd doctor`";
    }
    match doing {
        Doing::Computing => computing(runtime),
        Doing::Memory => memory(runtime),
        Doing::Processor => {
            "it could run and had no processor: have fewer threads that compute at once, in this program \
             or beside it, or give it more processors"
        }
        Doing::Blocked => hint(runtime, samples).unwrap_or(blocked(runtime)),
        Doing::Unknown => hint(runtime, samples).unwrap_or(
            "nothing tells what it did: if it was asleep, then in no call that is known, so it may have \
             waited for memory that was swapped out, or for a mapped file",
        ),
    }
}

const fn computing(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "the worker computed for too long without an await: move it to \
             `tokio::task::spawn_blocking` or a thread pool, or cut it into pieces with \
             `tokio::task::yield_now().await` between them"
        }
        Runtime::EventLoop => {
            "the loop computed for too long without letting others run: give it to `run_in_executor` as a \
             job and await that, or cut it into pieces, with `yield_now().await` between them in a task, or \
             a `call_soon` for the next in a callback"
        }
        Runtime::Asyncio => {
            "the loop computed for too long without an await: move it to a process with `await \
             loop.run_in_executor(pool, …)` and a `ProcessPoolExecutor`, to `await \
             asyncio.to_thread(…)` if it lets go of the interpreter's lock (NumPy, compression, \
             hashes of much data), or cut it into pieces with `await asyncio.sleep(0)` between \
             them"
        }
        Runtime::Unknown => {
            "it computed for too long without letting others run: move it to another thread, or \
             cut it into pieces"
        }
    }
}

const fn memory(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "it touched memory that was not there, swapped out or of a mapped file (the program itself is \
             one), and the worker slept until it was: give the program more memory or take swap from it, \
             and read mapped files in `tokio::task::spawn_blocking`"
        }
        Runtime::EventLoop => {
            "it touched memory that was not there, swapped out or of a mapped file (the program itself is \
             one), and the loop slept until it was: give the program more memory or take swap from it, and \
             read mapped files in a job of `run_in_executor`"
        }
        Runtime::Asyncio => {
            "it touched memory that was not there, swapped out or of a mapped file (the program itself is \
             one), and the loop slept until it was: give the program more memory or take swap from it, and \
             read files instead of mapping them (`mmap`, `numpy.memmap`), in `await asyncio.to_thread(…)`"
        }
        Runtime::Unknown => {
            "it touched memory that was not there, swapped out or of a mapped file (the program itself is \
             one), and slept until it was: give the program more memory or take swap from it"
        }
    }
}

/// Where nothing is known of the call.
const fn blocked(runtime: Runtime) -> &'static str {
    match runtime {
        Runtime::Tokio => {
            "the worker slept in the kernel for something that is not asynchronous: await it, or move \
             it to `tokio::task::spawn_blocking`"
        }
        Runtime::EventLoop => {
            "the loop slept in the kernel for something that is not asynchronous: await an asynchronous \
             counterpart of it, or give it to `run_in_executor`"
        }
        Runtime::Asyncio => {
            "the loop slept in the kernel for something that is not asynchronous: await an \
             asynchronous counterpart of it, or move it to `await asyncio.to_thread(…)`"
        }
        Runtime::Unknown => {
            "it slept in the kernel for something that is not asynchronous: move it to another thread"
        }
    }
}

/// By what the program called, in the first sample that tells.
fn hint(runtime: Runtime, samples: &[&Sample]) -> Option<&'static str> {
    let hints: &[Hint] = match runtime {
        Runtime::Tokio => &TOKIO,
        Runtime::EventLoop => &EVENT_LOOP,
        Runtime::Asyncio => &ASYNCIO,
        Runtime::Unknown => &[],
    };
    let mut asleep = samples
        .iter()
        .filter(|sample| matches!(sample.doing(), Doing::Blocked | Doing::Unknown))
        .filter_map(|sample| hints.iter().find(|hint| hint.is_for(runtime, sample)));
    asleep.next().map(|hint| hint.advice)
}

impl Hint {
    fn is_for(&self, runtime: Runtime, sample: &Sample) -> bool {
        self.names_callee(runtime, sample) || self.names_syscall(sample)
    }

    /// Whether what the program's own code called is named.
    fn names_callee(&self, runtime: Runtime, sample: &Sample) -> bool {
        let text = |frame: &Frame| match runtime {
            Runtime::Asyncio => self.is_in(&frame.file),
            Runtime::Tokio | Runtime::EventLoop | Runtime::Unknown => self.is_in(&frame.function),
        };
        sample.callees().iter().any(text)
    }

    fn is_in(&self, text: &str) -> bool {
        self.names.iter().any(|name| text.contains(name))
    }

    fn names_syscall(&self, sample: &Sample) -> bool {
        self.syscalls.contains(&sample.syscall.as_str())
    }
}
