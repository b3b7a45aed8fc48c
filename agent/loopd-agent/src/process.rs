//! [`tokio::process`] with a memory: which children run, since when, who started them, who waits for
//! them, and which were dropped while they ran.
//!
//! Using it is a change of the `use` line: `use loopd_agent::process::Command;`. A child counts as
//! closed once its end was seen by `wait`, `try_wait`, `kill` or `wait_with_output`; dropped before,
//! it is unclosed. Methods that are not listed here are tokio's own, through
//! [`Deref`].

use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::path::Path;
use std::process::{ExitStatus, Output, Stdio};

use loopd_model::CloseHow;
use tokio::process;
pub use tokio::process::{ChildStderr, ChildStdin, ChildStdout};

use crate::resource::{Call, Target};
use crate::tracked::Opened;
use crate::waits::Op;

/// As [`tokio::process::Command`].
#[derive(Debug)]
pub struct Command(process::Command);

/// Passes an option on.
macro_rules! options {
    ($($name:ident $([$generic:ident: $bound:path])? ($($argument:ident: $type:ty),*)),* $(,)?) => {
        $(
            #[doc = concat!("As [`tokio::process::Command::", stringify!($name), "`].")]
            pub fn $name $(<$generic: $bound>)? (&mut self, $($argument: $type),*) -> &mut Self {
                self.0.$name($($argument),*);
                self
            }
        )*
    };
}

impl Command {
    /// As [`tokio::process::Command::new`].
    pub fn new<S: AsRef<OsStr>>(program: S) -> Self {
        Self(process::Command::new(program))
    }

    options!(
        arg[S: AsRef<OsStr>](argument: S),
        env_remove[K: AsRef<OsStr>](key: K),
        env_clear(),
        current_dir[P: AsRef<Path>](path: P),
        stdin[T: Into<Stdio>](to: T),
        stdout[T: Into<Stdio>](to: T),
        stderr[T: Into<Stdio>](to: T),
        kill_on_drop(is_killed: bool),
        uid(id: u32),
        gid(id: u32),
        process_group(group: i32),
    );

    /// As [`tokio::process::Command::args`].
    pub fn args<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.0.args(arguments);
        self
    }

    /// As [`tokio::process::Command::env`].
    pub fn env<K: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, key: K, value: V) -> &mut Self {
        self.0.env(key, value);
        self
    }

    /// As [`tokio::process::Command::envs`].
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        pairs: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.0.envs(pairs);
        self
    }

    /// As [`tokio::process::Command::spawn`].
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        let inner = self.0.spawn()?;
        let name = || self.0.as_std().get_program().to_string_lossy().into_owned();
        let at_drop =
            if self.0.get_kill_on_drop() { CloseHow::Dropped } else { CloseHow::Unclosed };
        let opened = Opened::at(Location::caller(), "child", name, at_drop);
        Ok(Child { inner, opened })
    }

    /// As [`tokio::process::Command::status`].
    #[track_caller]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let (child, place) = (self.spawn(), Location::caller());
        async move {
            let mut child = child?;
            // As tokio does: a child that waits for the end of its input must see it, and one that
            // writes what nobody reads must not wait for a reader.
            drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
            child.wait_at(place).await
        }
    }

    /// As [`tokio::process::Command::output`].
    #[track_caller]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        self.0.stdout(Stdio::piped()).stderr(Stdio::piped());
        let (child, place) = (self.spawn(), Location::caller());
        async move { child?.output_at(place).await }
    }
}

impl From<std::process::Command> for Command {
    fn from(command: std::process::Command) -> Self {
        Self(command.into())
    }
}

impl Deref for Command {
    type Target = process::Command;

    fn deref(&self) -> &process::Command {
        &self.0
    }
}

impl DerefMut for Command {
    fn deref_mut(&mut self) -> &mut process::Command {
        &mut self.0
    }
}

/// As [`tokio::process::Child`].
#[derive(Debug)]
pub struct Child {
    inner: process::Child,
    /// `None` once its end was seen.
    opened: Option<Opened>,
}

impl Child {
    /// As [`tokio::process::Child::wait`].
    #[track_caller]
    pub fn wait(&mut self) -> impl Future<Output = io::Result<ExitStatus>> {
        self.wait_at(Location::caller())
    }

    /// As [`tokio::process::Child::try_wait`].
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.inner.try_wait()?;
        if status.is_some() {
            self.ended();
        }
        Ok(status)
    }

    /// As [`tokio::process::Child::kill`].
    #[track_caller]
    pub fn kill(&mut self) -> impl Future<Output = io::Result<()>> {
        let place = Location::caller();
        async move {
            self.inner.start_kill()?;
            self.wait_at(place).await.map(|_| ())
        }
    }

    /// As [`tokio::process::Child::wait_with_output`].
    #[track_caller]
    pub fn wait_with_output(self) -> impl Future<Output = io::Result<Output>> {
        self.output_at(Location::caller())
    }

    async fn wait_at(&mut self, place: &'static Location<'static>) -> io::Result<ExitStatus> {
        let status = self.call(place).wait(self.inner.wait()).await?;
        self.ended();
        Ok(status)
    }

    async fn output_at(self, place: &'static Location<'static>) -> io::Result<Output> {
        let call = self.call(place);
        let Self { inner, opened } = self;
        let output = call.wait(inner.wait_with_output()).await?;
        if let Some(opened) = opened {
            opened.close();
        }
        Ok(output)
    }

    fn call(&self, place: &'static Location<'static>) -> Call<'static> {
        let target = self.opened.as_ref().map_or(Target::Off, Opened::target);
        Call { target, op: Op::Wait, location: Some(place), amount: 0 }
    }

    fn ended(&mut self) {
        if let Some(opened) = self.opened.take() {
            opened.close();
        }
    }
}

impl Deref for Child {
    type Target = process::Child;

    fn deref(&self) -> &process::Child {
        &self.inner
    }
}

impl DerefMut for Child {
    fn deref_mut(&mut self) -> &mut process::Child {
        &mut self.inner
    }
}
