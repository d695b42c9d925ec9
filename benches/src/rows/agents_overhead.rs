//! P16: what the orchestrator adds to Codex: 16 tasks of one reply each, against as many bare
//! processes at once. The model is scripted, so that neither waits for anybody's network.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::series::{Subject, interleaved};
use crate::site::{Grounds, Site, commit_all};
use crate::table::{Limit, Line};

/// Agents at once.
const AGENTS: usize = 16;

/// What ours turns off, too: a bare run that looks for updates, loads plugins and reads
/// `.bashrc` is no floor.
const QUIET: &[&str] = &[
    "--ignore-rules",
    "-c",
    "analytics.enabled=false",
    "-c",
    "check_for_update_on_startup=false",
    "-c",
    "allow_login_shell=false",
    "--disable",
    "plugins",
    "--disable",
    "apps",
    "--disable",
    "shell_snapshot",
];

const SCRIPT: &str =
    "[[script]]\nname = \"one\"\ndefault = true\nsteps = [ { say = \"Done.\" } ]\n";

/// `[P16]`
pub(super) fn measure(grounds: &Grounds) -> Result<Vec<Line>> {
    let codex = codex(&grounds.root)?;
    let dir = grounds.scratch("codex")?;
    let model = Model::start(grounds, dir.path())?;
    let bare_site = Site::new(grounds, "plain", &config(&codex, &model.url, "none"))?;
    let cloned = Site::new(grounds, "cloned", &config(&codex, &model.url, "clone"))?;
    let tasks: Vec<Value> = (0..AGENTS)
        .map(|n| json!({ "id": format!("t{n}"), "title": "Reply", "files": [format!("f{n}")] }))
        .collect();
    let (plan, cloned_plan) =
        (bare_site.plan("plan.json", &tasks)?, cloned.plan("plan.json", &tasks)?);
    for each in [&bare_site, &cloned] {
        each.timed(&["daemon", "start"])?;
    }
    let homes = bare_homes(dir.path())?;
    let mut subjects: Vec<Subject<'_>> = vec![
        Box::new(|| Ok(bare_site.run_plan(&plan, AGENTS)?.as_secs_f64())),
        Box::new(|| Ok(cloned.run_plan(&cloned_plan, AGENTS)?.as_secs_f64())),
        Box::new(|| bare(&codex, (&model.url, QUIET), &homes)),
        Box::new(|| bare(&codex, (&model.url, &[]), &homes)),
    ];
    for subject in &mut subjects {
        subject()?;
    }
    let all = interleaved(grounds.rounds.min(5), &mut subjects)?;
    let floor = "16 bare codex exec at once, as quiet as ours";
    Ok(vec![
        Line::new(
            "P16",
            "cxo run, 16 Codex tasks of one reply at once, workspace none",
            "s",
            all[0].clone(),
        )
        .over(floor, all[2].clone())
        .aims_at("≤ 1.10 ×", Limit::Ratio(1.10)),
        Line::new("P16", "the same, each in a clone of its own", "s", all[1].clone())
            .over(floor, all[2].clone())
            .aims_at("≤ 1.10 ×", Limit::Ratio(1.10))
            .beside("the same without these flags", Ok(all[3].clone())),
    ])
}

fn codex(root: &Path) -> Result<PathBuf> {
    let pattern = root.join(".tools/codex/node_modules/@openai");
    for package in fs::read_dir(&pattern).context("the Codex CLI is not installed")?.flatten() {
        let Ok(platforms) = fs::read_dir(package.path().join("vendor")) else { continue };
        for platform in platforms.flatten() {
            let program = platform.path().join("bin/codex");
            if program.is_file() {
                return Ok(program);
            }
        }
    }
    bail!("the Codex CLI is not installed")
}

fn provider(url: &str) -> String {
    format!(
        "model_providers.scripted={{name=\"scripted\",base_url=\"{url}\",wire_api=\"responses\",env_key=\"CXO_SCRIPTED_KEY\"}}"
    )
}

fn config(codex: &Path, url: &str, isolation: &str) -> String {
    let provider = provider(url);
    format!(
        "[run]\nagent = \"codex\"\nchecks = []\n[agents.codex]\nkind = \"codex\"\nprogram = \"{}\"\n\
         model = \"gpt-5.5\"\nargs = [\"-c\", \"model_provider=scripted\", \"-c\", '{provider}']\n\
         env = {{ CXO_SCRIPTED_KEY = \"costs-nothing\" }}\n[workspace]\nisolation = \"{isolation}\"\n",
        codex.display()
    )
}

/// A home and a work tree for each, made before the clock runs.
fn bare_homes(dir: &Path) -> Result<Vec<(PathBuf, PathBuf)>> {
    (0..AGENTS)
        .map(|n| {
            let (home, tree) = (dir.join(format!("home{n}")), dir.join(format!("tree{n}")));
            fs::create_dir_all(&home)?;
            fs::create_dir_all(&tree)?;
            fs::write(tree.join("README.md"), "Nothing to do.\n")?;
            commit_all(&tree)?;
            Ok((home, tree))
        })
        .collect()
}

fn bare(codex: &Path, (url, flags): (&str, &[&str]), homes: &[(PathBuf, PathBuf)]) -> Result<f64> {
    let began = Instant::now();
    let mut children: Vec<Child> = homes
        .iter()
        .map(|(home, tree)| {
            Command::new(codex)
                .args([
                    "exec",
                    "--json",
                    "--skip-git-repo-check",
                    "-s",
                    "workspace-write",
                    "-m",
                    "gpt-5.5",
                ])
                .args(["-c", "model_provider=scripted", "-c", &provider(url)])
                .args(flags)
                .arg("Reply.")
                .current_dir(tree)
                .env("CODEX_HOME", home)
                .env("CXO_SCRIPTED_KEY", "costs-nothing")
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        })
        .collect::<std::io::Result<_>>()?;
    for child in &mut children {
        let status = child.wait()?;
        if !status.success() {
            bail!("a bare codex exec: {status}");
        }
    }
    Ok(began.elapsed().as_secs_f64())
}

/// The scripted model.
struct Model {
    url: String,
    child: Child,
}

impl Model {
    fn start(grounds: &Grounds, dir: &Path) -> Result<Self> {
        let scripts = dir.join("scripts.toml");
        fs::write(&scripts, SCRIPT)?;
        let mut child = Command::new(grounds.program("cxo-scripted-model")?)
            .arg("--scripts")
            .arg(&scripts)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening ").context("the model did not come up")?;
        Ok(Self { url: url.to_owned(), child })
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
