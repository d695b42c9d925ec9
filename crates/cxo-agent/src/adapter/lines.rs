//! Cuts a stream of bytes into lines, wherever it was cut before, in bounded memory.

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// All of it.
    Whole(Vec<u8>),
    /// The beginning of one that was longer than the limit; the rest was thrown away.
    Cut(Vec<u8>),
}

/// Collects bytes until a line is complete.
pub(super) struct LineSplitter {
    limit: usize,
    pending: Vec<u8>,
    overflowed: bool,
}

impl LineSplitter {
    /// Lines of more than `limit` bytes are cut.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, pending: Vec::new(), overflowed: false }
    }

    /// The lines that `bytes` complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|b| *b == b'\n') {
            self.take(&rest[..end]);
            lines.push(self.complete());
            rest = &rest[end + 1..];
        }
        self.take(rest);
        lines
    }

    /// The last line, if the stream did not end with a line end.
    pub(super) fn finish(&mut self) -> Option<Line> {
        (!self.pending.is_empty() || self.overflowed).then(|| self.complete())
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = self.limit.saturating_sub(self.pending.len());
        if bytes.len() > room {
            self.overflowed = true;
        }
        self.pending.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn complete(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.pending);
        if std::mem::take(&mut self.overflowed) {
            return Line::Cut(line);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Line::Whole(line)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all_lines(chunks: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut splitter = LineSplitter::new(limit);
        let mut lines: Vec<Line> = chunks.iter().flat_map(|chunk| splitter.feed(chunk)).collect();
        lines.extend(splitter.finish());
        lines
    }

    #[test]
    fn lines_are_whole_or_cut() {
        assert_eq!(
            all_lines(&[b"ab", b"c\r\n\n12345678", b"9\nend"], 6),
            [
                Line::Whole(b"abc".to_vec()),
                Line::Whole(Vec::new()),
                Line::Cut(b"123456".to_vec()),
                Line::Whole(b"end".to_vec())
            ]
        );
    }

    /// [G25] A line of a gigabyte takes no more than the limit.
    #[test]
    fn a_huge_line_takes_bounded_memory() {
        let mut splitter = LineSplitter::new(1024);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..64 {
            assert_eq!(splitter.feed(&chunk), []);
            assert!(splitter.pending.capacity() <= 4096);
        }
        assert_eq!(splitter.feed(b"\nok\n").len(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_cut_gives_the_same_lines(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            cut in 0_usize..200,
        ) {
            let (left, right) = text.split_at(cut.min(text.len()));
            prop_assert_eq!(all_lines(&[left, right], 16), all_lines(&[&text], 16));
        }
    }
}
