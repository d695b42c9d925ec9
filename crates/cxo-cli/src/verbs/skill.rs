//! `cxo skill`.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use cxo_protocol::{Code, Exit, Problem};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::context::Context;

/// What agents learn.
pub(crate) const SKILL: &str = include_str!("skill/SKILL.md");

/// The directory of the skill among an agent's skills, and the file in it.
const NAME: &str = "codex-orchestrator";
const FILE: &str = "SKILL.md";

/// What the last line of a written file begins with: the digest of the rest follows, so that a file
/// that somebody changed is known.
const SEAL: &str = "<!-- written by `cxo skill install`: ";

/// Teach agents to use the orchestrator
///
/// A skill is a page that an agent reads when it is of use: when to ask the orchestrator, and ready-made
/// requests.
#[derive(Debug, clap::Args)]
pub(crate) struct Skill {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Put the skill among an agent's skills
    ///
    /// A file there that was not written by this command, or was changed since, is left as it is.
    Install {
        /// The agent
        #[arg(value_enum, required_unless_present_any = ["dir", "print"])]
        agent: Option<Learner>,
        /// Put it into this directory of skills instead
        #[arg(long, value_name = "DIR", conflicts_with = "agent")]
        dir: Option<PathBuf>,
        /// Print the skill and write nothing
        #[arg(long, conflicts_with_all = ["agent", "dir"])]
        print: bool,
    },
}

/// Agents that read skills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Learner {
    /// The Codex CLI.
    Codex,
    /// Claude Code.
    Claude,
    /// The Gemini CLI.
    Gemini,
}

impl Learner {
    /// Where an agent keeps its user's skills: under the directory that the variable names, else under
    /// this one of the home directory.
    fn home(self) -> (&'static str, &'static str) {
        match self {
            Self::Codex => ("CODEX_HOME", ".codex"),
            Self::Claude => ("CLAUDE_CONFIG_DIR", ".claude"),
            Self::Gemini => ("GEMINI_CLI_HOME", ".gemini"),
        }
    }
}

impl Skill {
    pub(crate) fn run(self, context: &mut Context<'_>) -> Result<Exit, Problem> {
        let Verb::Install { agent, dir, print: _ } = self.verb;
        let skills = match (agent, dir) {
            (_, Some(dir)) => dir,
            (Some(agent), None) => skills_of(agent, context)?,
            (None, None) => {
                context.answer(SKILL, &json!({ "skill": SKILL }));
                return Ok(Exit::Ok);
            }
        };
        let path = skills.join(NAME).join(FILE);
        let words = match install(&path)? {
            Installed::Written => "wrote",
            Installed::Renewed => "renewed",
            Installed::Same => "is as it should be:",
        };
        let shown = path.display().to_string();
        context
            .answer(&format!("{words} {}", crate::text::plain(&shown)), &json!({ "path": shown }));
        Ok(Exit::Ok)
    }
}

fn skills_of(agent: Learner, context: &Context<'_>) -> Result<PathBuf, Problem> {
    let set = |name: &str| context.around.env.get(name).filter(|value| !value.is_empty());
    let (variable, folder) = agent.home();
    let home = match (set(variable), set("HOME")) {
        (Some(home), _) => PathBuf::from(home),
        (None, Some(home)) => Path::new(home).join(folder),
        (None, None) => {
            return Err(Problem::new(Code::BadRequest, "the agent's directory is not known")
                .because(format!("neither {variable} nor HOME is set"))
                .keeping("nothing was written")
                .try_next("cxo skill install --dir DIR"));
        }
    };
    Ok(home.join("skills"))
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Installed {
    Written,
    Renewed,
    Same,
}

fn sealed(text: &str) -> String {
    use std::fmt::Write as _;
    let mut seal = String::from(SEAL);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a text does not fail.
        let _ = write!(seal, "{byte:02x}");
    }
    format!("{text}{seal} -->\n")
}

/// Whether this command wrote a text and nobody changed it.
fn is_ours(text: &str) -> bool {
    text.rfind(SEAL).is_some_and(|at| sealed(&text[..at]) == text)
}

/// Writes the skill over nothing, or over what this command wrote.
fn install(path: &Path) -> Result<Installed, Problem> {
    let unwritable = |error: &std::io::Error| {
        Problem::new(Code::StateUnusable, "the skill cannot be written")
            .because(format!("{}: {error}", path.display()))
            .keeping("nothing was changed")
            .try_next("cxo skill install --dir DIR")
    };
    let new = sealed(SKILL);
    let installed = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Installed::Written,
        Err(error) => return Err(unwritable(&error)),
        Ok(found) if !found.is_file() => return Err(not_ours(path, "it is no regular file")),
        Ok(_) => match std::fs::read(path) {
            Ok(bytes) if bytes == new.as_bytes() => return Ok(Installed::Same),
            Ok(bytes) if std::str::from_utf8(&bytes).is_ok_and(is_ours) => Installed::Renewed,
            Ok(_) => {
                return Err(not_ours(path, "it was not written by this command, or was changed"));
            }
            Err(error) => return Err(unwritable(&error)),
        },
    };
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).map_err(|error| unwritable(&error))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| unwritable(&error))?;
    file.write_all(new.as_bytes()).map_err(|error| unwritable(&error))?;
    let kept = match installed {
        // Somebody may have put a file there meanwhile.
        Installed::Written => file.persist_noclobber(path),
        Installed::Renewed | Installed::Same => file.persist(path),
    };
    match kept {
        Ok(_) => Ok(installed),
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => {
            Err(not_ours(path, "it appeared meanwhile"))
        }
        Err(failed) => Err(unwritable(&failed.error)),
    }
}

fn not_ours(path: &Path, why: &str) -> Problem {
    Problem::new(Code::WrongState, format!("{} is left as it is", path.display()))
        .because(why)
        .keeping("the file")
        .try_next("cxo skill install --print")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [B1.7] What the command wrote it writes again and renews; what anybody else wrote or changed it
    /// leaves as it is, and says so.
    #[test]
    fn only_what_it_wrote_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME).join(FILE);
        assert_eq!(install(&path).unwrap(), Installed::Written);
        assert_eq!(install(&path).unwrap(), Installed::Same);
        std::fs::write(&path, sealed("an older text\n")).unwrap();
        assert_eq!(install(&path).unwrap(), Installed::Renewed);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with(SKILL));
        let changed = sealed(SKILL).replace("orchestrator", "orchestra");
        for other in ["my own skill\n", changed.as_str(), ""] {
            std::fs::write(&path, other).unwrap();
            assert_eq!(install(&path).unwrap_err().code, Code::WrongState);
            assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert_eq!(install(&path).unwrap_err().code, Code::WrongState);
        assert!(!folder.path().join(NAME).join("elsewhere").exists());
    }

    /// [B1.7] The skill has the head by which agents find it.
    #[test]
    fn the_skill_has_a_name_and_says_when_it_is_of_use() {
        let head =
            SKILL.strip_prefix("---\n").and_then(|rest| rest.split_once("\n---\n")).unwrap().0;
        assert!(head.contains(&format!("name: {NAME}\n")), "{head}");
        assert!(head.lines().any(|line| line.starts_with("description: ")), "{head}");
    }
}
