//! Paths and globs of a plan, judged as text: the repository is not looked at.

/// Why a path of a plan cannot be one of the repository's.
pub(super) fn check(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.chars().any(is_unprintable) {
        return Err("it has control characters");
    }
    if path.starts_with('/') || path.contains('\\') || has_drive(path) {
        return Err("it is not relative to the repository's root");
    }
    for part in path.split('/') {
        if part == ".." {
            return Err("it leads out of the repository");
        }
        if is_git(part) {
            return Err("it leads into git's own directory");
        }
    }
    Ok(())
}

/// Git's own directory in the spellings that some file system takes for it: upper case, trailing
/// dots and spaces, a stream, the short name.
fn is_git(part: &str) -> bool {
    let name = part.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    name.eq_ignore_ascii_case(".git") || name.eq_ignore_ascii_case("git~1")
}

fn has_drive(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':'
}

/// Characters that could act on a terminal, or reorder or hide text.
pub(super) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A path without `.` parts and doubled or trailing slashes.
pub(super) fn plain(path: &str) -> String {
    path.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// What comes before the first part with a wildcard; the whole path where there is none.
pub(super) fn literal_prefix(path: &str) -> &str {
    let Some(wild) = path.find(['*', '?', '[', '{']) else { return path };
    path[..wild].rfind('/').map_or("", |slash| &path[..slash])
}

pub(super) fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// Whether two paths or globs may name the same file. Errs on the side of yes: an unneeded order
/// costs time, a missed one costs a conflict.
pub(super) fn may_overlap(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (prefix_a, prefix_b) = (literal_prefix(a), literal_prefix(b));
    let nested = is_within(prefix_a, prefix_b) || is_within(prefix_b, prefix_a);
    if !nested {
        return false;
    }
    match (is_glob(a), is_glob(b)) {
        // A path may be a directory, which holds everything below it.
        (false, false) | (true, true) => true,
        (true, false) => is_within(prefix_a, b) || matches(a, b),
        (false, true) => is_within(prefix_b, a) || matches(b, a),
    }
}

/// Whether `path` is `dir` or below it.
fn is_within(path: &str, dir: &str) -> bool {
    dir.is_empty()
        || path == dir
        || (path.len() > dir.len() && path.starts_with(dir) && path.as_bytes()[dir.len()] == b'/')
}

/// Whether a glob names a path. `**` stands for any number of parts, `*` for any text in a part;
/// anything else that is special somewhere is taken for "anything", which errs on the safe side.
fn matches(glob: &str, path: &str) -> bool {
    let glob: Vec<&str> = glob.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    parts_match(&glob, &path)
}

/// Follows all ways at once, so that a glob made of `**` costs no more than its length times the
/// path's.
fn parts_match(glob: &[&str], path: &[&str]) -> bool {
    let mut reached = vec![false; path.len() + 1];
    reached[0] = true;
    for part in glob {
        // What is left of the glob names something below the path, which may be a directory. A
        // class or a choice may hold a slash, so that parts say nothing from there on.
        if reached[path.len()] || part.contains(['[', '{']) {
            return true;
        }
        if *part == "**" {
            let first = reached.iter().position(|at| *at).unwrap_or(path.len());
            reached[first..].fill(true);
            continue;
        }
        let mut after = vec![false; path.len() + 1];
        for (at, name) in path.iter().enumerate() {
            after[at + 1] = reached[at] && part_matches(part, name);
        }
        reached = after;
        if !reached.contains(&true) {
            return false;
        }
    }
    // What is left of the path lies below something that the glob names.
    true
}

fn part_matches(part: &str, name: &str) -> bool {
    if part.contains('?') {
        return true;
    }
    let mut pieces = part.split('*');
    let Some(first) = pieces.next() else { return true };
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}
