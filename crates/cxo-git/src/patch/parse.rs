//! From the text of a patch to what it says, or to the first line that is not allowed.

use std::collections::BTreeSet;

use cxo_protocol::{Case, TreePath};

use super::error::PatchError;
use super::lines::Lines;
use super::names::{self, HeaderNames};
use super::{Change, FilePatch, Hunk, Line, MAX_PATCH_BYTES, Patch, Side};
use crate::tree_files::{MAX_EDITS, Mode};

/// No file that we take has as many lines.
const MAX_NUMBER: usize = 1 << 30;
const NO_NEWLINE: &[u8] = b"\\ No newline at end of file";

pub(super) fn patch(text: &[u8]) -> Result<Patch, PatchError> {
    if text.len() > MAX_PATCH_BYTES {
        return Err(PatchError::TooLarge { bytes: text.len() });
    }
    let mut lines = Lines::of(text);
    let mut files = Vec::new();
    let mut known = BTreeSet::new();
    while lines.peek().is_some() {
        if files.len() == MAX_EDITS {
            return Err(PatchError::TooManyFiles);
        }
        let file = file(&mut lines)?;
        for path in file.change.paths() {
            if !known.insert(path.key(Case::Folded)) {
                return Err(PatchError::Twice { path: path.clone() });
            }
        }
        files.push(file);
    }
    if files.is_empty() { Err(PatchError::Empty) } else { Ok(Patch { files }) }
}

/// What the lines between `diff --git` and the first hunk say.
#[derive(Default)]
struct Header {
    old_mode: Option<Mode>,
    new_mode: Option<Mode>,
    new_file: Option<Mode>,
    deleted_file: Option<Mode>,
    index_mode: Option<Mode>,
    rename_from: Option<TreePath>,
    rename_to: Option<TreePath>,
}

fn file(lines: &mut Lines<'_>) -> Result<FilePatch, PatchError> {
    let line = lines.number;
    let names = lines.take("diff --git ").map(|text| HeaderNames::read(text, line)).transpose()?;
    let header = match names {
        Some(_) => header(lines)?,
        None => Header::default(),
    };
    let markers = markers(lines)?;
    if markers.is_none() && names.is_none() {
        return Err(lines.expected("`diff --git a/… b/…` or `--- a/…`"));
    }
    let change = change(&header, names.as_ref(), markers.as_ref(), line)?;
    let hunks = if markers.is_some() { hunks(lines)? } else { Vec::new() };
    let file = FilePatch {
        change,
        old_mode: header.old_mode.or(header.deleted_file).or(header.index_mode),
        new_mode: header.new_mode.or(header.new_file),
        hunks,
    };
    file.check_sides(line)?;
    Ok(file)
}

fn header(lines: &mut Lines<'_>) -> Result<Header, PatchError> {
    let mut header = Header::default();
    loop {
        let line = lines.number;
        let done = if let Some(text) = lines.take("old mode ") {
            set(&mut header.old_mode, mode(text, line)?)
        } else if let Some(text) = lines.take("new mode ") {
            set(&mut header.new_mode, mode(text, line)?)
        } else if let Some(text) = lines.take("new file mode ") {
            set(&mut header.new_file, mode(text, line)?)
        } else if let Some(text) = lines.take("deleted file mode ") {
            set(&mut header.deleted_file, mode(text, line)?)
        } else if let Some(text) = lines.take("rename from ") {
            set(&mut header.rename_from, names::bare(text, line)?)
        } else if let Some(text) = lines.take("rename to ") {
            set(&mut header.rename_to, names::bare(text, line)?)
        } else if let Some(text) = lines.take("index ") {
            index_mode(text, line)?.map_or(Some(()), |mode| set(&mut header.index_mode, mode))
        } else if lines.take("similarity index ").or(lines.take("dissimilarity index ")).is_some() {
            Some(())
        } else if lines.peek().is_some_and(|text| text.starts_with(b"copy ")) {
            return Err(PatchError::Copy { line });
        } else if lines.peek().is_some_and(is_binary) {
            return Err(PatchError::Binary { line });
        } else {
            return Ok(header);
        };
        done.ok_or(PatchError::Syntax { line, expected: "each line of a file's header once" })?;
    }
}

/// Sets what is not set yet.
fn set<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.is_none().then(|| *slot = Some(value))
}

fn is_binary(text: &[u8]) -> bool {
    text == b"GIT binary patch" || text.starts_with(b"Binary files ")
}

fn mode(text: &[u8], line: usize) -> Result<Mode, PatchError> {
    match text {
        b"100644" => Ok(Mode::Plain),
        b"100755" => Ok(Mode::Executable),
        other => Err(PatchError::Mode {
            line,
            mode: other.escape_ascii().to_string().chars().take(40).collect(),
        }),
    }
}

/// `<old>..<new>`, with the mode behind it if that does not change.
fn index_mode(text: &[u8], line: usize) -> Result<Option<Mode>, PatchError> {
    let (names, rest) = match text.iter().position(|&byte| byte == b' ') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let is_name =
        |part: &[u8]| (4..=64).contains(&part.len()) && part.iter().all(u8::is_ascii_hexdigit);
    let middle = names.windows(2).position(|two| two == b"..");
    if !middle.is_some_and(|at| is_name(&names[..at]) && is_name(&names[at + 2..])) {
        return Err(PatchError::Syntax { line, expected: "`index <old>..<new>`" });
    }
    rest.map(|rest| mode(rest, line)).transpose()
}

/// The names after `---` and `+++`; none in it for `/dev/null`.
type Markers = (Option<TreePath>, Option<TreePath>);

fn markers(lines: &mut Lines<'_>) -> Result<Option<Markers>, PatchError> {
    let line = lines.number;
    let Some(old) = lines.take("--- ") else { return Ok(None) };
    let Some(new) = lines.take("+++ ") else { return Err(lines.expected("`+++ b/…`")) };
    Ok(Some((names::after_marker(old, "a/", line)?, names::after_marker(new, "b/", line + 1)?)))
}

/// Which file it is about: all that names it has to agree.
fn change(
    header: &Header,
    names: Option<&HeaderNames>,
    markers: Option<&Markers>,
    line: usize,
) -> Result<Change, PatchError> {
    let disagree = |why| PatchError::Name { line, why };
    let sides = match (&header.rename_from, &header.rename_to) {
        (Some(from), Some(to)) => (from.clone(), to.clone()),
        (None, None) => match (markers, names) {
            (Some((Some(old), Some(new))), _) | (None, Some(HeaderNames::Two(old, new))) => {
                (old.clone(), new.clone())
            }
            (Some((Some(path), None) | (None, Some(path))), _) => (path.clone(), path.clone()),
            (Some((None, None)), _) => return Err(disagree("no side of the file has a name")),
            (None, Some(HeaderNames::Unclear(_)) | None) => {
                return Err(disagree("the two names differ and nothing says that it is a rename"));
            }
        },
        (Some(_), None) | (None, Some(_)) => return Err(disagree("a rename has one name only")),
    };
    let (old, new) = sides;
    if names.is_some_and(|names| !names.are(&old, &new)) {
        return Err(disagree("the names of the file do not agree"));
    }
    let fits = |old: Option<&TreePath>, new: Option<&TreePath>| {
        markers.is_none_or(|(first, second)| first.as_ref() == old && second.as_ref() == new)
    };
    let (old, new) = (&old, &new);
    // Without a git header the names alone tell whether it is new or deleted.
    let is_new = header.new_file.is_some() || names.is_none() && fits(None, Some(new));
    let is_deleted = header.deleted_file.is_some() || names.is_none() && fits(Some(old), None);
    let is_rename = header.rename_from.is_some();
    if header.old_mode.is_some() != header.new_mode.is_some() {
        return Err(disagree("one of two modes is missing"));
    }
    let changes_mode = header.old_mode.is_some();
    let is_one = old == new;
    match (is_new, is_deleted, is_rename) {
        (true, false, false) if is_one && fits(None, Some(new)) && !changes_mode => {
            Ok(Change::New(new.clone()))
        }
        (false, true, false) if is_one && fits(Some(old), None) && !changes_mode => {
            Ok(Change::Deleted(old.clone()))
        }
        (false, false, true) if !is_one && fits(Some(old), Some(new)) => {
            Ok(Change::Renamed { from: old.clone(), to: new.clone() })
        }
        (false, false, false)
            if is_one && fits(Some(old), Some(new)) && (changes_mode || markers.is_some()) =>
        {
            Ok(Change::Modified(new.clone()))
        }
        _ => Err(disagree("the lines about the file do not agree on what happens to it")),
    }
}

fn hunks(lines: &mut Lines<'_>) -> Result<Vec<Hunk>, PatchError> {
    let mut hunks: Vec<Hunk> = Vec::new();
    let (mut old_end, mut new_end) = (0, 0);
    while let Some(text) = lines.peek().filter(|text| text.starts_with(b"@@")) {
        let line = lines.number;
        let header = HunkHeader::read(text, line)?;
        lines.next();
        let in_place = header.old_before >= old_end
            && header.new_before >= new_end
            && header.old_before - old_end == header.new_before - new_end;
        if !in_place {
            return Err(PatchError::Position { line });
        }
        (old_end, new_end) =
            (header.old_before + header.old_count, header.new_before + header.new_count);
        hunks.push(hunk(lines, &header)?);
    }
    if hunks.is_empty() { Err(lines.expected("`@@ -… +… @@`")) } else { Ok(hunks) }
}

/// `@@ -<line>[,<count>] +<line>[,<count>] @@`.
struct HunkHeader {
    old_before: usize,
    old_count: usize,
    new_before: usize,
    new_count: usize,
}

impl HunkHeader {
    fn read(text: &[u8], line: usize) -> Result<Self, PatchError> {
        let bad =
            || PatchError::Syntax { line, expected: "`@@ -<line>,<count> +<line>,<count> @@`" };
        let rest = text.strip_prefix(b"@@ -").ok_or_else(bad)?;
        let end = rest.windows(3).position(|three| three == b" @@").ok_or_else(bad)?;
        if !matches!(rest.get(end + 3), None | Some(b' ')) {
            return Err(bad());
        }
        let both = std::str::from_utf8(&rest[..end]).map_err(|_| bad())?;
        let (old, new) = both.split_once(" +").ok_or_else(bad)?;
        let side = |text: &str| -> Result<(usize, usize), PatchError> {
            let (first, count) = text.split_once(',').unwrap_or((text, "1"));
            let (first, count) = (number(first, line)?, number(count, line)?);
            // Of no lines, the line before them is named.
            let before = if count == 0 { Some(first) } else { first.checked_sub(1) };
            before.map(|before| (before, count)).ok_or_else(bad)
        };
        let ((old_before, old_count), (new_before, new_count)) = (side(old)?, side(new)?);
        Ok(Self { old_before, old_count, new_before, new_count })
    }
}

fn number(text: &str, line: usize) -> Result<usize, PatchError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(PatchError::Syntax { line, expected: "a number" });
    }
    text.parse().ok().filter(|number| *number <= MAX_NUMBER).ok_or(PatchError::Number { line })
}

fn hunk(lines: &mut Lines<'_>, header: &HunkHeader) -> Result<Hunk, PatchError> {
    let (mut old_left, mut new_left) = (header.old_count, header.new_count);
    let mut found: Vec<Line> = Vec::new();
    loop {
        let line = lines.number;
        if lines.peek() == Some(NO_NEWLINE) {
            lines.next();
            let last = found.last_mut().filter(|last| last.bytes.last() == Some(&b'\n'));
            last.ok_or(PatchError::Syntax { line, expected: "a line before that has a newline" })?
                .bytes
                .pop();
            continue;
        }
        if old_left == 0 && new_left == 0 {
            break;
        }
        let text = lines.next().ok_or(PatchError::Count { line })?;
        let (side, bytes) = match text.split_first() {
            Some((b' ', bytes)) => (Side::Both, bytes),
            Some((b'-', bytes)) => (Side::Old, bytes),
            Some((b'+', bytes)) => (Side::New, bytes),
            Some((b'@' | b'd', _)) => return Err(PatchError::Count { line }),
            Some(_) | None => {
                return Err(PatchError::Syntax {
                    line,
                    expected: "a line of the hunk, with ` `, `-` or `+` before it",
                });
            }
        };
        for (counts, left) in
            [(side != Side::New, &mut old_left), (side != Side::Old, &mut new_left)]
        {
            if counts {
                *left = left.checked_sub(1).ok_or(PatchError::Count { line })?;
            }
        }
        found.push(Line { side, bytes: [bytes, b"\n"].concat() });
    }
    let is_over = lines.peek().is_none_or(|text| {
        [b"@@".as_slice(), b"diff --git ", b"--- "].iter().any(|next| text.starts_with(next))
    });
    if !is_over {
        return Err(PatchError::Count { line: lines.number });
    }
    Ok(Hunk { old_before: header.old_before, lines: found })
}

impl FilePatch {
    /// A new file has no old lines, and a deleted one no new lines.
    fn check_sides(&self, line: usize) -> Result<(), PatchError> {
        let forbidden = match self.change {
            Change::New(_) => Side::Old,
            Change::Deleted(_) => Side::New,
            Change::Modified(_) | Change::Renamed { .. } => return Ok(()),
        };
        let mut lines = self.hunks.iter().flat_map(|hunk| &hunk.lines);
        if lines.any(|line| line.side == forbidden || line.side == Side::Both) {
            let expected = "only added lines in a new file and only removed ones in a deleted one";
            return Err(PatchError::Syntax { line, expected });
        }
        Ok(())
    }
}
