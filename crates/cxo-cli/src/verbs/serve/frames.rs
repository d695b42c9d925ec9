//! Messages on a stream: one per line, or each behind a head with its length, as editors write them.
//! The first bytes tell which.

use std::io::{self, BufRead, BufReader, Read, Write};

/// The longest message that is read: longer than any request may be, so that one that is too long is
/// refused with its id, where the line is not absurd.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Bytes of a head.
const MAX_HEAD_BYTES: usize = 4096;

/// How messages are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// One per line.
    Lines,
    /// `Content-Length: N`, an empty line, N bytes.
    Heads,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// A message.
    Whole(Vec<u8>),
    /// One that is too long; it was passed over.
    TooLong,
}

/// Messages as they come.
pub(super) struct Messages {
    input: BufReader<Box<dyn Read + Send>>,
    framing: Framing,
}

impl Messages {
    /// Waits for the first byte that says how messages come.
    pub(super) fn begin(input: Box<dyn Read + Send>) -> io::Result<Self> {
        let mut input = BufReader::new(input);
        loop {
            let bytes = input.fill_buf()?;
            let blank = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            if blank < bytes.len() || bytes.is_empty() {
                let is_head = bytes.get(blank).is_some_and(|byte| byte.eq_ignore_ascii_case(&b'c'));
                input.consume(blank);
                let framing = if is_head { Framing::Heads } else { Framing::Lines };
                return Ok(Self { input, framing });
            }
            input.consume(blank);
        }
    }

    /// How messages come, and so how they go.
    pub(super) fn framing(&self) -> Framing {
        self.framing
    }

    /// The next message; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Message>> {
        match self.framing {
            Framing::Lines => self.line(),
            Framing::Heads => self.behind_head(),
        }
    }

    fn line(&mut self) -> io::Result<Option<Message>> {
        loop {
            match self.until_line_end(MAX_MESSAGE_BYTES)? {
                Some(Message::Whole(line)) if line.trim_ascii().is_empty() => {}
                message => return Ok(message),
            }
        }
    }

    /// A line without its end, or that it has more than `most` bytes. What comes after the last line
    /// end is a line.
    fn until_line_end(&mut self, most: usize) -> io::Result<Option<Message>> {
        let mut line = Vec::new();
        let mut is_too_long = false;
        loop {
            let bytes = self.input.fill_buf()?;
            if bytes.is_empty() {
                let message = if is_too_long { Message::TooLong } else { Message::Whole(line) };
                let is_nothing = message == Message::Whole(Vec::new());
                return Ok((!is_nothing).then_some(message));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            is_too_long = is_too_long || line.len() + part.len() > most;
            if is_too_long {
                line = Vec::new();
            } else {
                line.extend_from_slice(part);
            }
            let taken = end.map_or(part.len(), |end| end + 1);
            self.input.consume(taken);
            if end.is_some() {
                return Ok(Some(if is_too_long { Message::TooLong } else { Message::Whole(line) }));
            }
        }
    }

    fn behind_head(&mut self) -> io::Result<Option<Message>> {
        let mut length = None;
        loop {
            let Some(line) = self.until_line_end(MAX_HEAD_BYTES)? else {
                return if length.is_none() { Ok(None) } else { Err(bad_head()) };
            };
            let Message::Whole(line) = line else { return Err(bad_head()) };
            let line = String::from_utf8(line).map_err(|_| bad_head())?;
            let line = line.trim();
            if line.is_empty() {
                match length {
                    Some(length) => return self.body(length).map(Some),
                    // Blank lines between messages.
                    None => continue,
                }
            }
            let (name, value) = line.split_once(':').ok_or_else(bad_head)?;
            if name.eq_ignore_ascii_case("content-length") {
                length = Some(value.trim().parse::<u64>().map_err(|_| bad_head())?);
            }
        }
    }

    fn body(&mut self, length: u64) -> io::Result<Message> {
        let mut rest = (&mut self.input).take(length);
        if usize::try_from(length).is_ok_and(|length| length <= MAX_MESSAGE_BYTES) {
            let mut body = Vec::new();
            let read = rest.read_to_end(&mut body)?;
            let is_whole = u64::try_from(read).is_ok_and(|read| read == length);
            return if is_whole {
                Ok(Message::Whole(body))
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        io::copy(&mut rest, &mut io::sink())?;
        Ok(Message::TooLong)
    }
}

fn bad_head() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a message begins with `Content-Length: N`")
}

impl Framing {
    /// Writes a message.
    pub(super) fn write(self, message: &[u8], out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Lines => {
                out.write_all(message)?;
                out.write_all(b"\n")?;
            }
            Self::Heads => {
                write!(out, "Content-Length: {}\r\n\r\n", message.len())?;
                out.write_all(message)?;
            }
        }
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &[u8]) -> (Framing, Vec<Message>) {
        let mut messages = Messages::begin(Box::new(io::Cursor::new(text.to_vec()))).unwrap();
        let framing = messages.framing();
        (framing, std::iter::from_fn(|| messages.next().unwrap()).collect())
    }

    fn whole(text: &str) -> Message {
        Message::Whole(text.as_bytes().to_vec())
    }

    /// [B1.1] Lines and messages behind a head are told apart by what comes first, and read to the end.
    #[test]
    fn lines_and_heads_are_told_apart_by_the_first_bytes() {
        let (framing, messages) = all(b"\n {\"id\":1}\r\n\n{\"id\":2}\n{\"id\":3}");
        assert_eq!(framing, Framing::Lines);
        assert_eq!(messages, [whole("{\"id\":1}\r"), whole("{\"id\":2}"), whole("{\"id\":3}")]);
        let (framing, messages) = all(
            b"content-length: 8\r\nContent-Type: application/json\r\n\r\n{\"id\":1}Content-Length:8\n\n{\"id\":2}",
        );
        assert_eq!(framing, Framing::Heads);
        assert_eq!(messages, [whole("{\"id\":1}"), whole("{\"id\":2}")]);
    }

    /// [B1.1] What is too long is passed over and said, and what follows is read.
    #[test]
    fn what_is_too_long_is_passed_over() {
        let long = "x".repeat(MAX_MESSAGE_BYTES + 1);
        let (_, messages) = all(format!("{{{long}\n{{}}\n").as_bytes());
        assert_eq!(messages, [Message::TooLong, whole("{}")]);
        let head = format!("Content-Length: {}\r\n\r\n{long}", long.len());
        let (_, messages) = all(format!("{head}Content-Length: 2\r\n\r\n{{}}").as_bytes());
        assert_eq!(messages, [Message::TooLong, whole("{}")]);
    }

    /// [B1.1] A head that says no length, and a message that ends in its middle, are errors.
    #[test]
    fn half_a_message_is_none() {
        for text in ["Content-Length: many\r\n\r\n{}", "Content-Length: 9\r\n\r\n{}", "C\r\n\r\n{}"]
        {
            let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
            let mut messages = Messages::begin(input).unwrap();
            assert!(messages.next().is_err(), "{text}");
        }
    }

    /// [B1.1] What is written in a framing is read back.
    #[test]
    fn what_is_written_is_read_back() {
        for framing in [Framing::Lines, Framing::Heads] {
            let mut out = Vec::new();
            framing.write(b"{\"id\":1}", &mut out).unwrap();
            framing.write(b"{}", &mut out).unwrap();
            assert_eq!(all(&out), (framing, vec![whole("{\"id\":1}"), whole("{}")]));
        }
    }
}
