//! What is kept from a process.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Places, as real paths, that a process may not read, and what it may in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// Directories whose contents cannot be read, whatever comes into them.
    pub places: Vec<PathBuf>,
    /// What can be read all the same. What is below no place says nothing.
    pub except: Vec<PathBuf>,
}

impl Hidden {
    /// By any names of the places and exceptions, which need not exist yet.
    pub fn new(places: &[&Path], except: &[&Path]) -> Self {
        let real = |paths: &[&Path]| paths.iter().map(|path| real(path)).collect();
        Self { places: real(places), except: real(except) }
    }

    /// The same without exceptions, as things are now: a place with some is taken apart.
    pub fn taken_apart(&self) -> Vec<PathBuf> {
        self.places.iter().flat_map(|place| self.apart(place)).collect()
    }

    /// What is excepted below a place.
    pub(super) fn except_below<'a>(&'a self, place: &'a Path) -> impl Iterator<Item = &'a PathBuf> {
        self.except.iter().filter(move |path| path.starts_with(place))
    }

    fn apart(&self, place: &Path) -> Vec<PathBuf> {
        if self.except.iter().any(|path| path == place) {
            return Vec::new();
        }
        if self.except_below(place).next().is_none() {
            return vec![place.to_owned()];
        }
        let entries = fs::read_dir(place).into_iter().flatten().flatten();
        entries.flat_map(|entry| self.apart(&entry.path())).collect()
    }
}

/// Where a path leads, by the part of it that exists.
pub(super) fn real(path: &Path) -> PathBuf {
    let found = path.ancestors().find_map(|above| Some((above, fs::canonicalize(above).ok()?)));
    match found {
        Some((above, real)) => match path.strip_prefix(above) {
            Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
            Ok(_) | Err(_) => real,
        },
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_with_exceptions_is_taken_apart_around_them() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for dir in ["keys", "state/hub", "state/a/deep", "state/a/other", "free"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at("state/db"), "").unwrap();
        let hidden = Hidden {
            places: vec![at("keys"), at("state")],
            except: vec![at("state/hub"), at("state/a/deep"), at("free")],
        };
        let mut apart = hidden.taken_apart();
        apart.sort();
        assert_eq!(apart, [at("keys"), at("state/a/other"), at("state/db")]);
    }
}
