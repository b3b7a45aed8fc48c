//! The order service on its own: `cargo run --release -p loopd-orders`, with a collector listening
//! where `LOOPD_ENDPOINT` says. Ctrl-C stops it.

fn main() -> anyhow::Result<()> {
    loopd_orders::run(async {
        // Without a signal handler there is no polite way to stop; the kernel's way is still there.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
