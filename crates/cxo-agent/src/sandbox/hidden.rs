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
    /// What can be read all the same: sorted, and none below another. What is below no place says
    /// nothing.
    pub(super) except: Vec<PathBuf>,
}

impl Hidden {
    /// By any names of the places and exceptions, which need not exist yet.
    pub fn new(places: &[&Path], except: &[&Path]) -> Self {
        let places = places.iter().map(|path| real(path)).collect();
        let mut hidden = Self { places, except: Vec::new() };
        for path in except {
            hidden.except_also(path);
        }
        hidden
    }

    /// Lets one thing more be read, by any of its names.
    pub fn except_also(&mut self, path: &Path) {
        let path = real(path);
        if !self.except.iter().any(|held| path.starts_with(held)) {
            self.except.retain(|held| !held.starts_with(&path));
            self.except.push(path);
            self.except.sort();
        }
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
        let places = ["keys", "state"].map(at);
        let except = ["state/hub", "state/a/deep", "free"].map(at);
        let hidden = Hidden::new(
            &places.each_ref().map(|path| &**path),
            &except.each_ref().map(|path| &**path),
        );
        let mut apart = hidden.taken_apart();
        apart.sort();
        assert_eq!(apart, [at("keys"), at("state/a/other"), at("state/db")]);
    }

    /// What lies below an exception is there with it: to make it anew would be to empty it.
    #[test]
    fn an_exception_below_another_is_none_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| real(&root.path().join(name));
        let [deep, other, beside, above] = ["a/b/deep", "a/b/other", "a/bc", "a/b"].map(at);
        for order in [[&deep, &above, &other, &beside], [&beside, &other, &deep, &above]] {
            let hidden = Hidden::new(&[], &order.map(|path| &**path));
            assert_eq!(hidden.except, [above.clone(), beside.clone()]);
        }
    }
}
