//! The end of a log file, for screens and for errors. It never reads more than it was told to.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::sanitise;

/// The last `max_bytes` of a file, sanitised, beginning at the start of a line.
pub fn tail(path: &Path, max_bytes: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(max_bytes);
    // One byte more tells whether the first line that is read is a whole one.
    file.seek(SeekFrom::Start(start.saturating_sub(1)))?;
    let mut bytes = Vec::new();
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    let whole_lines = if start == 0 {
        &bytes[..]
    } else {
        match bytes.iter().position(|b| *b == b'\n') {
            Some(end) if end + 1 < bytes.len() => &bytes[end + 1..],
            // One line longer than the limit: its end says more than nothing.
            Some(_) | None => &bytes[..],
        }
    };
    Ok(sanitise(whole_lines))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail_of(text: &str, max_bytes: u64) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        std::fs::write(&path, text).unwrap();
        tail(&path, max_bytes).unwrap()
    }

    #[test]
    fn only_whole_lines_of_the_end_are_read() {
        assert_eq!(tail_of("one\ntwo\nthree\n", 100), "one\ntwo\nthree\n");
        assert_eq!(tail_of("one\ntwo\nthree\n", 10), "two\nthree\n");
        assert_eq!(tail_of("one\ntwo\nthree\n", 9), "three\n");
        assert_eq!(tail_of("abcdefgh", 3), "efgh");
        assert_eq!(tail_of("", 3), "");
    }
}
