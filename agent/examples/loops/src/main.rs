//! The programs on their own: `cargo run --release -p loopd-loops -- web-server`, with a collector listening
//! where `LOOPD_ENDPOINT` says. Ctrl-C stops them.

use anyhow::{anyhow, bail};

fn main() -> anyhow::Result<()> {
    let stop = async {
        // Without a signal handler there is no polite way to stop; the kernel's way is still there.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let ended = match std::env::args().nth(1).as_deref() {
        Some("web-server") => loopd_loops::web_server::run(stop),
        Some("frames") => loopd_loops::frames::run(stop),
        Some("fan-out") => loopd_loops::fan_out::run(stop),
        Some("many-loops") => loopd_loops::many_loops::run(stop),
        _ => bail!("which program? web-server, frames, fan-out or many-loops"),
    };
    ended.map_err(|error| anyhow!("{error}"))
}
