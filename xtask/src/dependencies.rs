//! What we depend on: licences we may ship, and versions below which a dependency is known to
//! break a promise of ours although no advisory says so.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::run::cargo;

/// Licences under which loopd's binary may include a package.
const LICENCES: [&str; 13] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages under other licences that only run at build time and are in no binary of ours.
const BUILD_ONLY: [&str; 1] = ["option-ext"];

/// Package, first good version, what breaks before it.
const PINS: [(&str, [u64; 3], &str); 3] = [
    ("tonic", [0, 14, 3], "decoded messages are not bounded"),
    ("sqlx", [0, 9, 0], "its SQLite can corrupt a database that is checkpointed while written"),
    ("libsqlite3-sys", [0, 37, 0], "SQLite before 3.51.3 can corrupt a database"),
];

/// Checks the lock file's packages.
pub(crate) fn check() -> anyhow::Result<()> {
    let output = cargo().args(["metadata", "--format-version", "1", "--locked"]).output()?;
    let metadata: Value = serde_json::from_slice(&output.stdout).context("read cargo metadata")?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists no packages")?;
    let complaints: Vec<String> = packages.iter().filter_map(complaint).collect();
    if !complaints.is_empty() {
        bail!("dependencies:\n  {}", complaints.join("\n  "));
    }
    println!("\n{} packages: licences and versions are fine", packages.len());
    Ok(())
}

fn complaint(package: &Value) -> Option<String> {
    let name = package["name"].as_str()?;
    let version = package["version"].as_str()?;
    let licence = package["license"].as_str().unwrap_or("none stated");
    if !is_allowed(licence) && !BUILD_ONLY.contains(&name) {
        return Some(format!("{name} {version}: licence {licence} is not on the list"));
    }
    if package["source"].as_str().is_some_and(|source| !source.starts_with("registry+")) {
        return Some(format!("{name} {version} does not come from a registry"));
    }
    let (_, first_good, why) = PINS.iter().find(|(pinned, ..)| *pinned == name)?;
    (parse(version) < *first_good).then(|| format!("{name} {version} is too old: {why}"))
}

/// Whether one way of reading the SPDX expression needs only licences on the list.
fn is_allowed(expression: &str) -> bool {
    let expression = expression.replace(['(', ')'], " ").replace('/', " OR ");
    expression
        .split(" OR ")
        .any(|choice| choice.split(" AND ").all(|licence| LICENCES.contains(&licence.trim())))
}

fn parse(version: &str) -> [u64; 3] {
    let mut numbers = version.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
    std::array::from_fn(|_| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_of_licences_is_fine_if_one_of_them_is() {
        assert!(is_allowed("MIT OR GPL-3.0"));
        assert!(is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!is_allowed("GPL-3.0"));
        assert!(!is_allowed("MIT AND CDDL-1.0"));
    }

    #[test]
    fn versions_compare_by_number() {
        assert!(parse("0.14.10") > parse("0.14.3"));
        assert!(parse("1.0.0-rc.1") > parse("0.9.9"));
    }
}
