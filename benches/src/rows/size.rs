//! P20: how large the program is, how many packages it is made of, how long a clean build takes.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::series::Series;
use crate::site::Grounds;
use crate::table::{Limit, Line};

/// `[P20]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    #[expect(clippy::cast_precision_loss, reason = "sizes of programs are far below 2^52")]
    let mib = fs::metadata(grounds.program("cxo")?)?.len() as f64 / 1024.0 / 1024.0;
    let tree = Command::new("cargo")
        .args([
            "tree",
            "-p",
            "cxo-cli",
            "-e",
            "normal",
            "--prefix",
            "none",
            "--offline",
            "--locked",
        ])
        .current_dir(&grounds.root)
        .output()?;
    let text = String::from_utf8_lossy(&tree.stdout);
    let packages: BTreeSet<&str> =
        text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let (ours, others): (Vec<&str>, Vec<&str>) =
        packages.into_iter().partition(|name| name.starts_with("cxo-"));
    let count = f64::from(u32::try_from(others.len())?);
    let mut lines = vec![
        Line::new("P20", "release binary", "MiB", Series::of(vec![mib]))
            .aims_at("≤ 30 MB without the web part", Limit::Ours(30.0)),
        Line::new(
            "P20",
            format!("packages of others in it (beside {} of ours)", ours.len()),
            "packages",
            Series::of(vec![count]),
        ),
    ];
    if grounds.long {
        lines.push(Line::new(
            "P20",
            "clean build, release",
            "s",
            Series::of(vec![clean_build(grounds)?]),
        ));
    }
    Ok(lines)
}

fn clean_build(grounds: &Grounds) -> Result<f64> {
    let target = grounds.scratch("clean-build")?;
    let began = Instant::now();
    let status = Command::new("cargo")
        .args(["build", "--release", "--locked", "--quiet", "-p", "cxo-cli"])
        .current_dir(&grounds.root)
        .env("CARGO_TARGET_DIR", target.path())
        .status()?;
    if !status.success() {
        bail!("the build failed: {status}");
    }
    Ok(began.elapsed().as_secs_f64())
}
