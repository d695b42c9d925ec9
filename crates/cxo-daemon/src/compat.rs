//! The places in the work tree where clients of the older system look for a daemon (A1.8): links
//! to the socket, the port and the key, published while a daemon serves and git-ignored.
//!
//! Links, so that no key ever lies in the work tree: what copies, commits or reads files there
//! without following links finds none. Whatever stands there already is left alone, and the daemon
//! does not start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::path::{Path, PathBuf};

use cxo_git::Repository;
use cxo_protocol::{Code, Problem, TreePath};

use crate::listener::Bound;
use crate::paths::Paths;
use crate::problems;

/// The names that old clients look for.
const SOCKET: &str = "orchestrator.sock";
const PORT: &str = "orchestrator.port";
const KEY: &str = "secret";

/// The file that makes git overlook the links, and itself.
const IGNORE: &str = ".gitignore";
const IGNORED: &str = "/orchestrator.sock\n/orchestrator.port\n/secret\n/.gitignore\n";

/// What is published, until this is dropped.
#[derive(Debug)]
pub(crate) struct Compat {
    dir: PathBuf,
    /// The links by name, and where they lead. One of them has no place to lead to: the socket or
    /// the port.
    links: [(&'static str, PathBuf); 3],
    unused: &'static str,
    /// Directories that were not there before, the innermost first.
    made: Vec<PathBuf>,
}

impl Compat {
    /// Publishes how the daemon is reached in this directory of the work tree, or nothing of it.
    pub(crate) fn publish(
        dir: &str,
        (repository, paths): (&Repository, &Paths),
        bound: &Bound,
    ) -> Result<Self, Problem> {
        let inside = TreePath::new(dir).map_err(|error| {
            Problem::new(Code::BadConfig, "`server.compat_dir` is no directory of the work tree")
                .because(error.to_string())
                .keeping("nothing was published")
                .try_next("cxo config show --origin")
        })?;
        let (socket, port) = (paths.socket(), paths.port_file());
        let compat = Self {
            dir: paths.work_tree.join(inside.as_str()),
            links: [(SOCKET, socket), (PORT, port), (KEY, paths.key_file.clone())],
            unused: match bound {
                Bound::Uds(..) => PORT,
                Bound::Tcp(..) => SOCKET,
            },
            made: Vec::new(),
        };
        let names = [SOCKET, PORT, KEY].map(|name| format!("{inside}/{name}"));
        let tracked = repository.tracked(&names).map_err(|error| problems::of_git(&error))?;
        if let Some(name) = tracked.first() {
            return Err(refused(&name, "git tracks it")
                .try_next(format!("git rm --cached '{name}' && cxo key rotate")));
        }
        // From here on, dropping it takes away what was made.
        let compat = compat.make(&paths.work_tree, inside.as_str())?;
        let published = names.iter().filter(|name| !name.ends_with(compat.unused));
        let published: Vec<String> = published.cloned().collect();
        let ignored = repository.ignored(&published).map_err(|error| problems::of_git(&error))?;
        match published.iter().find(|name| !ignored.contains(name)) {
            Some(name) => Err(refused(&name, "git does not ignore it")
                .try_next(format!("echo '/{name}' >> '{inside}/{IGNORE}'"))),
            None => Ok(compat),
        }
    }

    fn make(mut self, work_tree: &Path, inside: &str) -> Result<Self, Problem> {
        let mut at = work_tree.to_owned();
        for name in inside.split('/') {
            at.push(name);
            match at.symlink_metadata() {
                Ok(meta) if meta.is_dir() => {}
                Ok(_) => return Err(refused(&at.display(), "it is no directory")),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let made = fs::DirBuilder::new().mode(0o700).create(&at);
                    made.map_err(|error| refused(&at.display(), &error.to_string()))?;
                    self.made.insert(0, at.clone());
                }
                Err(error) => return Err(refused(&at.display(), &error.to_string())),
            }
        }
        self.remove_links();
        for (name, target) in &self.links {
            let path = self.dir.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(refused(&path.display(), "something else stands there")
                    .try_next(format!("rm '{}'", path.display())));
            }
            if *name != self.unused {
                let made = symlink(target, &path);
                made.map_err(|error| refused(&path.display(), &error.to_string()))?;
            }
        }
        self.ignore()?;
        Ok(self)
    }

    /// A file of the user's own is left as it is: whether it ignores enough is asked of git.
    fn ignore(&self) -> Result<(), Problem> {
        let path = self.dir.join(IGNORE);
        let made = OpenOptions::new().write(true).create_new(true).open(&path);
        match made.and_then(|mut file| file.write_all(IGNORED.as_bytes())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(refused(&path.display(), &error.to_string()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Those that lead where ours lead: a daemon that was killed left them, too.
    fn remove_links(&self) {
        for (name, target) in &self.links {
            let path = self.dir.join(name);
            if fs::read_link(&path).is_ok_and(|leads_to| leads_to == *target) {
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for Compat {
    fn drop(&mut self) {
        self.remove_links();
        let ignore = self.dir.join(IGNORE);
        let is_link = ignore.symlink_metadata().is_ok_and(|meta| meta.is_symlink());
        if !is_link && fs::read_to_string(&ignore).is_ok_and(|text| text == IGNORED) {
            let _ = fs::remove_file(&ignore);
        }
        // Only where nothing else was put there.
        for dir in &self.made {
            let _ = fs::remove_dir(dir);
        }
    }
}

fn refused(what: &impl std::fmt::Display, why: &str) -> Problem {
    Problem::new(Code::UnsafeKey, format!("nothing is published for older clients at {what}"))
        .because(why)
        .keeping("the work tree is as it was, and the daemon was not started")
}
