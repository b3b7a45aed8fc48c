//! The programs of this workspace that checks run.

use crate::run::{cargo, execute};

/// Builds `loopd`, the zoo and the examples, where cargo puts what it builds.
///
/// With the features of the whole workspace and its tests: `nextest` has built nearly all of it so. With those
/// of `loopd` alone, dozens of packages would be compiled once more.
pub(crate) fn build(is_release: bool) -> anyhow::Result<()> {
    let mut build = cargo();
    build.args(["build", "--workspace", "--locked", "--bin", "loopd", "--bin", "zoo"]);
    build.args(["--example", "feed", "--example", "hostile"]);
    if is_release {
        build.arg("--release");
    }
    execute(&mut build)
}
