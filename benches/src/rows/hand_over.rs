//! P2: from the end of a task to the start of the one that waited for it, told by the tasks.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::peers::{Pueue, find, timed};
use crate::series::{Series, Subject, interleaved};
use crate::site::{Grounds, Site, plain_config, task};
use crate::table::{Limit, Line};

/// Tasks in the chain.
const LINKS: usize = 50;

/// Durable writes of which the median counts.
const WRITES: usize = 21;

/// Bytes of each.
const PAGE: usize = 4096;

/// Links for a peer that is slow.
const LINKS_OF_THE_SLOW: usize = 8;

/// `[P2]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let stamp = grounds.program("cxo-bench-stamp")?.display().to_string();
    let dir = grounds.scratch("hand-over")?;
    let log = dir.path().join("stamps").display().to_string();
    let site = Site::new(grounds, "chain", &plain_config(&stamp, &[&log], "none"))?;
    let plan = site.plan("plan.json", &chain())?;
    site.timed(&["daemon", "start"])?;
    write_chains(dir.path(), &format!("{stamp} {log}"))?;
    let (log, place) = (Path::new(&log), dir.path());
    let make = |line: &'static str| -> Subject<'_> {
        Box::new(move || {
            let _ = fs::remove_file(log);
            timed(Command::new("sh").args(["-c", line]).current_dir(place))?;
            hand_over_ms(log, LINKS)
        })
    };
    let mut subjects: Vec<Subject<'_>> = vec![
        Box::new(|| {
            let _ = fs::remove_file(log);
            site.run_plan(&plan, 2)?;
            hand_over_ms(log, LINKS)
        }),
        make("make -j2 -s all"),
        Box::new(|| fdatasync_ms(place)),
    ];
    let ninja = find(&grounds.root, "ninja");
    if ninja.is_ok() {
        subjects.push(make("ninja -j2 --quiet all"));
    }
    for subject in &mut subjects {
        subject()?;
    }
    let all = interleaved(grounds.rounds, &mut subjects)?;
    let line = Line::new(
        "P2",
        "hand-over along a chain, end of one to start of the next",
        "ms",
        all[0].clone(),
    )
    .over("make + one fdatasync", all[1].plus(&all[2]))
    .aims_at("≤ 1.5 × (make + one fdatasync)", Limit::Ratio(1.5))
    .beside("make alone", Ok(all[1].clone()))
    .beside("ninja", ninja.map(|_| all[3].clone()))
    .beside("pueue", pueue(grounds, &stamp, log));
    Ok(vec![line])
}

fn chain() -> Vec<Value> {
    let needs = |n: usize| if n == 0 { Vec::new() } else { vec![format!("t{}", n - 1)] };
    (0..LINKS).map(|n| task(&format!("t{n}"), &needs(n))).collect()
}

fn write_chains(dir: &Path, command: &str) -> Result<()> {
    let last = LINKS - 1;
    let mut make = format!(
        ".PHONY: all {}\nall: t{last}\n",
        (0..LINKS).map(|n| format!("t{n} ")).collect::<String>()
    );
    let mut ninja = format!("rule stamp\n  command = {command}\n");
    for n in 0..LINKS {
        let before = if n == 0 { String::new() } else { format!(" t{}", n - 1) };
        make += &format!("t{n}:{before}\n\t@{command}\n");
        ninja += &format!("build t{n}: stamp{before}\n");
    }
    ninja += &format!("build all: phony t{last}\n");
    fs::write(dir.join("Makefile"), make)?;
    fs::write(dir.join("build.ninja"), ninja)?;
    Ok(())
}

/// The median over the links of a chain.
fn hand_over_ms(log: &Path, links: usize) -> Result<f64> {
    let text = fs::read_to_string(log)?;
    let stamps: Vec<(f64, f64)> = text
        .lines()
        .filter_map(|line| {
            let (began, ended) = line.split_once(' ')?;
            Some((began.parse().ok()?, ended.parse().ok()?))
        })
        .collect();
    if stamps.len() != links {
        bail!("{} of {links} links left a stamp", stamps.len());
    }
    let gaps = stamps.windows(2).map(|pair| (pair[1].0 - pair[0].1) / 1e6).collect();
    Ok(Series::of(gaps).median())
}

/// One durable write into a file that has its size already, as a log that is used again makes it:
/// the least that it can cost. The median of a few.
fn fdatasync_ms(dir: &Path) -> Result<f64> {
    let path = dir.join("log");
    fs::write(&path, vec![b'x'; PAGE * WRITES])?;
    let mut file = OpenOptions::new().write(true).open(&path)?;
    file.sync_all()?;
    let mut numbers = Vec::new();
    for _ in 0..WRITES {
        let began = Instant::now();
        file.write_all(&[b'y'; PAGE])?;
        file.sync_data()?;
        numbers.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    Ok(Series::of(numbers).median())
}

fn pueue(grounds: &Grounds, stamp: &str, log: &Path) -> Result<Series, String> {
    let pueue = Pueue::start(&grounds.root, 2)?;
    let file = log.display().to_string();
    let once = || -> Result<f64> {
        let _ = fs::remove_file(log);
        let mut before: Option<String> = None;
        for _ in 0..LINKS_OF_THE_SLOW {
            before = Some(pueue.add(before.as_deref(), &[stamp, &file])?);
        }
        timed(&mut pueue.command(&["wait", "--quiet"]))?;
        hand_over_ms(log, LINKS_OF_THE_SLOW)
    };
    let numbers: Result<Vec<f64>> = (0..3).map(|_| once()).collect();
    numbers.map(Series::of).map_err(|error| error.to_string())
}
