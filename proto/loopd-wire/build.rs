//! Compiles the `.proto` files with protox, so that no `protoc` is needed.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Asked now, not compiled in: checkouts that share a target folder share this program.
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("..");
    println!("cargo:rerun-if-changed={}", root.join("loopd").display());
    let files = ["loopd/v1/common.proto", "loopd/v1/event.proto", "loopd/v1/ingest.proto"];
    let descriptors = protox::compile(files, [&root])?;
    tonic_prost_build::configure()
        .bytes(".loopd.v1.Segment.data")
        .build_client(cfg!(feature = "client"))
        .build_server(cfg!(feature = "server"))
        .compile_fds(descriptors)?;
    Ok(())
}
