//! Framing: a JSON text per line, or a length of four bytes (little-endian) and a JSON text (A1.6).
//!
//! The first four bytes of a connection tell which. Bytes go in as they come and frames come out;
//! it knows neither sockets nor what a frame says.

/// The longest request.
pub const MAX_REQUEST_BYTES: usize = 1 << 20;

/// The longest answer or event: a diff is longer than what it was asked for with.
pub const MAX_ANSWER_BYTES: usize = (16 << 20) - 1;

/// Bytes of a length.
const LENGTH_BYTES: usize = 4;

/// Bytes that a decoder keeps for the next frame after a long one.
const KEPT_BYTES: usize = 64 * 1024;

/// How frames are told from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// One JSON text per line.
    Lines,
    /// Four bytes of length, little-endian, before each JSON text.
    Lengths,
}

impl Framing {
    /// What the first four bytes of a connection say. JSON text has no zero byte and begins with
    /// an ASCII character; a length under the limit has a zero in its fourth byte.
    pub fn of(first: [u8; LENGTH_BYTES]) -> Self {
        if first.contains(&0) || !first[0].is_ascii() { Self::Lengths } else { Self::Lines }
    }

    /// Appends a frame to what is to be written. The body is one JSON text without line breaks.
    pub fn encode(self, body: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            Self::Lines => {
                out.extend_from_slice(body);
                out.push(b'\n');
            }
            Self::Lengths => {
                let length = u32::try_from(body.len())
                    .map_err(|_| FrameError::TooLarge { limit: MAX_ANSWER_BYTES })?;
                out.extend_from_slice(&length.to_le_bytes());
                out.extend_from_slice(body);
            }
        }
        Ok(())
    }
}

/// Why there is no further frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Its length, or the line so far, is over the limit. Nothing was set aside for it.
    #[error("Frame too large: at most {limit} bytes are taken")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Makes frames of bytes as they come.
#[derive(Debug)]
pub struct Decoder {
    framing: Option<Framing>,
    limit: usize,
    bytes: Vec<u8>,
    /// Where what was not yet given out begins.
    start: usize,
    /// How much of it was searched for the end of a line.
    searched: usize,
}

impl Decoder {
    /// A decoder of frames of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { framing: None, limit, bytes: Vec::new(), start: 0, searched: 0 }
    }

    /// A decoder for the side that knows the framing, because it chose it.
    pub fn with_framing(framing: Framing, limit: usize) -> Self {
        Self { framing: Some(framing), ..Self::new(limit) }
    }

    /// The framing; none before four bytes came.
    pub fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Whether the next frame has begun to come.
    pub fn has_begun(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// Whether it is known how long the next frame is, or that it is a line.
    pub fn has_header(&self) -> bool {
        self.bytes.len() - self.start >= LENGTH_BYTES
    }

    /// Bytes of frames that were not given out yet.
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
            self.bytes.shrink_to(KEPT_BYTES);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, if it is whole. After an error there is no way back into step.
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let rest = &self.bytes[self.start..];
        let framing = match (self.framing, rest.first_chunk()) {
            (Some(framing), _) => framing,
            (None, Some(first)) => *self.framing.insert(Framing::of(*first)),
            (None, None) => return Ok(None),
        };
        let (body, end) = match framing {
            Framing::Lines => match self.line_end()? {
                Some(end) => (self.start..end, end + 1),
                None => return Ok(None),
            },
            Framing::Lengths => {
                let Some(length) = rest.first_chunk() else { return Ok(None) };
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
                if length > self.limit {
                    return Err(FrameError::TooLarge { limit: self.limit });
                }
                let begin = self.start + LENGTH_BYTES;
                if self.bytes.len() < begin + length {
                    return Ok(None);
                }
                (begin..begin + length, begin + length)
            }
        };
        self.start = end;
        self.searched = 0;
        Ok(Some(&self.bytes[body]))
    }

    /// Where the line ends; each byte is looked at once.
    fn line_end(&mut self) -> Result<Option<usize>, FrameError> {
        let from = self.start + self.searched;
        let found = self.bytes[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at);
        let length = found.unwrap_or(self.bytes.len()) - self.start;
        self.searched = length;
        if length > self.limit {
            return Err(FrameError::TooLarge { limit: self.limit });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
