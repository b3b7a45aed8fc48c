//! `cargo xtask codegen`: writes anew what is made from code and committed.

use crate::run::{cargo, execute};

/// The tests that compare what is committed with what it should be, and by which of the package's targets they run.
const TESTS: [([&str; 2], &str); 2] = [
    // The description of the HTTP API, from which the page's types are made.
    (["--test", "api"], "openapi::the_committed_document_is_that_of_the_server"),
    // Tiles of the timeline, for the tests of the page that reads them.
    (
        ["--lib", "--quiet"],
        "views::tile::tests::the_page_is_tested_with_bytes_that_are_written_here",
    ),
];

pub(crate) fn run() -> anyhow::Result<()> {
    for (target, test) in TESTS {
        let mut renew = cargo();
        // The page is made from what is written here, and is not needed to write it.
        renew.env("LOOPD_CODEGEN", "write").env("LOOPD_DASHBOARD", "stub");
        renew.args(["test", "-p", "loopd-dashboard"]).args(target);
        execute(renew.args(["--", "--exact", test]))?;
    }
    Ok(())
}
