//! Conflict markers in text: whether a file still has some.
//!
//! A marker alone means nothing (a heading may be underlined with `=======`); the three in their
//! order at the beginnings of lines do.

/// How many whole conflicts (opening, middle, closing marker) a text has.
pub fn count_conflicts(text: &[u8]) -> usize {
    let mut conflicts = 0;
    let mut stage = 0;
    for line in text.split(|&byte| byte == b'\n') {
        match stage {
            _ if is_marker(line, b'<') => stage = 1,
            1 if is_marker(line, b'=') => stage = 2,
            2 if is_marker(line, b'>') => {
                conflicts += 1;
                stage = 0;
            }
            _ => {}
        }
    }
    conflicts
}

/// Seven of the sign, then a space or the end of the line.
fn is_marker(line: &[u8], sign: u8) -> bool {
    let Some((head, rest)) = line.split_at_checked(7) else { return false };
    let ends = rest.is_empty() || rest.starts_with(b" ") || rest == b"\r";
    ends && head.iter().all(|&byte| byte == sign)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_conflicts_count() {
        for (text, count) in [
            ("<<<<<<< a\nx\n=======\ny\n>>>>>>> b\n", 1),
            ("<<<<<<< a\r\nx\r\n=======\r\ny\r\n>>>>>>> b\r\n", 1),
            ("<<<<<<< a\n||||||| o\n=======\n>>>>>>> b\n<<<<<<< a\n=======\n>>>>>>> b", 2),
            ("Title\n=======\n", 0),
            (">>>>>>> quoted\n", 0),
            (" <<<<<<< a\n =======\n >>>>>>> b\n", 0),
            ("<<<<<<<a\n=======\n>>>>>>>b\n", 0),
        ] {
            assert_eq!(count_conflicts(text.as_bytes()), count, "{text:?}");
        }
    }
}
