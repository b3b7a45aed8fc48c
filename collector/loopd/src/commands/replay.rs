//! `loopd replay`: shows a stretch of a recording in `tokio-console`, as if it were now.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::{Context, anyhow};
use clap::Args;
use jiff::tz::TimeZone;
use loopd_console::serve::{InvalidReplay, ReplayRange};
use loopd_dashboard::views::NOTHING_YET;
use loopd_model::UnixNanos;
use loopd_store::{ProcessRow, Reader};

use super::render::print;
use super::serve::{self, Signals};
use super::source::usual_db;
use super::time_arg::{TimeArg, clock_text};
use crate::cli::Global;
use crate::exit::{Exit, OrExit};
use crate::server::replay;

/// The flags of `loopd replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  loopd replay --from -5m                               the last five minutes, then what is printed:
  tokio-console http://127.0.0.1:41234
  loopd replay --app orders --from 14:03 --to 14:05 --speed 2x --listen 127.0.0.1:6669

The clock runs while somebody watches, and stops while everybody who does has paused (the space bar);
at the end it stays. Single polls and wakes are what counters are made of: where they are no longer
kept, or are more than 8 million before --from, tasks that are older count from there. Names, fields
and how resources are called are as they were last told; so are all counters of programs that were
recorded with `loopd attach`, which tells of no single polls. A recording that grows can be replayed:
the database of a running `loopd serve` is only read, and --to may be later than the newest data.")]
pub(crate) struct ReplayArgs {
    /// Where to begin: -5m (before the newest data), 14:03:07.412, RFC 3339 [default: the start of the
    /// newest run].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<TimeArg>,
    /// Where to stop [default: the newest data].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<TimeArg>,
    /// How fast: 2x is twice as fast as it was, 0.1x a tenth.
    #[arg(long, value_name = "FACTOR", default_value = "1x")]
    speed: Speed,
    /// Only this program, by name, in all its runs [default: every program].
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Read this database file [default: that of LOOPD_DB, or the default database].
    #[arg(long, value_name = "PATH")]
    db: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes any that is free.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// File with the token that viewers must give, as in http://:TOKEN@HOST:PORT. LOOPD_TOKEN holds the
    /// token itself.
    #[arg(long, env = "LOOPD_TOKEN_FILE", value_name = "PATH")]
    token_file: Option<PathBuf>,
}

/// How many times as fast as it was.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Speed(f64);

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = text.trim().trim_end_matches(['x', 'X']).parse().ok();
        let is_speed = |speed: &f64| *speed > 0.0 && *speed <= ReplayRange::MAX_SPEED;
        number.filter(is_speed).map(Self).ok_or_else(|| {
            format!("{text:?} is no speed: write 2x or 0.1x, at most {}x", ReplayRange::MAX_SPEED)
        })
    }
}

/// Runs the command.
pub(crate) async fn run(args: ReplayArgs, _: &Global) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::new().context("listen for signals")?;
    let db = match &args.db {
        Some(db) => db.clone(),
        None => usual_db().or_exit(Exit::Storage)?,
    };
    let reader = Reader::open(&db).await.or_exit(Exit::Storage)?;
    let zone = TimeZone::system();
    let (from, to) = args.bounds(&reader, &zone).await?;
    let range = ReplayRange::new(from, to, args.speed.0, args.app.clone());
    let range = range.map_err(|error| match error {
        InvalidReplay::Empty => anyhow!(
            "nothing to replay: {} is not before {}",
            clock_text(from.0, &zone),
            clock_text(to.0, &zone)
        ),
        error @ InvalidReplay::Speed => error.into(),
    });
    let token = serve::token(args.token_file.as_deref())?;
    let has_token = token.is_some();
    let server = replay::start(args.listen, token, reader, range.or_exit(Exit::Usage)?).await?;
    print(&format!(
        "replaying {} to {} at {}x: tokio-console {}\n",
        clock_text(from.0, &zone),
        clock_text(to.0, &zone),
        args.speed.0,
        address(server.addr, has_token)
    ))?;
    signals.next().await;
    server.shutdown().await?;
    Ok(ExitCode::SUCCESS)
}

impl ReplayArgs {
    /// From when to when.
    async fn bounds(
        &self,
        reader: &Reader,
        zone: &TimeZone,
    ) -> anyhow::Result<(UnixNanos, UnixNanos)> {
        let all = reader.processes().await.or_exit(Exit::Storage)?.rows;
        let is_wanted = |row: &&ProcessRow| self.app.as_ref().is_none_or(|app| *app == row.app);
        let mut wanted = all.iter().filter(is_wanted).peekable();
        let Some(&newest) = wanted.peek() else { return nobody(self.app.as_deref(), &all) };
        let last_at = wanted.map(|row| row.last_at).max().unwrap_or(newest.last_at);
        let resolve = |arg: Option<TimeArg>| arg.map(|arg| arg.resolve(last_at, zone)).transpose();
        let from = resolve(self.from)?.unwrap_or(newest.started_at);
        Ok((from, resolve(self.to)?.unwrap_or(last_at)))
    }
}

/// What to give `tokio-console` on this machine. The token is not told: who may know it puts it there.
fn address(listening: SocketAddr, has_token: bool) -> String {
    let mut addr = listening;
    // Of all addresses of the machine, one that it reaches itself by.
    match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => addr.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => addr.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let token = if has_token { ":TOKEN@" } else { "" };
    format!("http://{token}{addr}")
}

/// Says why there is nothing to replay.
fn nobody<T>(app: Option<&str>, all: &[ProcessRow]) -> anyhow::Result<T> {
    let mut apps: Vec<_> = all.iter().map(|row| row.app.as_str()).collect();
    apps.sort_unstable();
    apps.dedup();
    match app {
        Some(app) if !apps.is_empty() => {
            let apps = apps.join(", ");
            Err(anyhow!("no program is called {app:?}; there are {apps}")).or_exit(Exit::Usage)
        }
        _ => Err(anyhow!("{NOTHING_YET}, or try `loopd demo`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_factor() {
        let speed = |text: &str| text.parse::<Speed>().ok().map(|speed| speed.0);
        assert_eq!([speed("2x"), speed("0.5"), speed("1000X")], [Some(2.0), Some(0.5), Some(1e3)]);
        for nonsense in ["", "x", "0x", "-1x", "NaN", "inf", "1001x", "fast"] {
            assert_eq!(speed(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn what_is_printed_is_an_address_that_works() {
        let printed = |addr: &str, has_token| address(addr.parse().unwrap(), has_token);
        assert_eq!(printed("127.0.0.1:6669", false), "http://127.0.0.1:6669");
        assert_eq!(printed("0.0.0.0:6669", true), "http://:TOKEN@127.0.0.1:6669");
        assert_eq!(printed("[::]:6669", true), "http://:TOKEN@[::1]:6669");
        assert_eq!(printed("10.0.0.7:6669", true), "http://:TOKEN@10.0.0.7:6669");
    }
}
