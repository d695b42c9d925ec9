//! The screen that a transcript makes. What an agent printed is hostile: it acts on this emulator
//! and nowhere else, and only text comes out. Draws nothing.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::num::NonZero;

use cxo_protocol::params::TerminalSize;
use cxo_protocol::{Code, Problem};

use crate::text::{Sgr, harmless};

/// How much of the end of a transcript makes the screen: a program paints its screen with a few
/// kilobytes, and does so anew now and then.
const READ_BACK_BYTES: u64 = 1 << 20;

/// How much is taken in at once. Sequences that move the whole screen take long; whoever looks must be
/// able to leave in between.
const CHUNK_BYTES: usize = 16 << 10;

/// Ends the sequence that an emulator is in the middle of.
const CANCEL: &[u8] = b"\x18";

/// Whether all of a transcript is on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// There may be more to read.
    More,
    /// There was no more.
    CaughtUp,
}

/// A transcript, and the screen that it makes.
pub(super) struct Emulator {
    transcript: File,
    path: String,
    /// How far it was read.
    at: u64,
    /// Whether the rest of something that was cut may come next.
    is_cut: bool,
    parser: vt100::Parser,
}

impl Emulator {
    /// An empty screen, before anything is read.
    pub(super) fn open(path: &str, size: TerminalSize) -> Result<Self, Problem> {
        let transcript = File::open(path).map_err(|error| unreadable(path, &error))?;
        let at_least_one = |count| NonZero::new(count).unwrap_or(NonZero::<u16>::MIN);
        let (rows, columns) = (at_least_one(size.rows), at_least_one(size.columns));
        // Nothing is scrolled back to.
        let parser = vt100::Parser::new(rows, columns, 0);
        Ok(Self { transcript, path: path.to_owned(), at: 0, is_cut: false, parser })
    }

    /// Takes in what is there now.
    pub(super) fn catch_up(&mut self) -> Result<(), Problem> {
        let end = self.length()?;
        while self.at < end && self.read_on()? == Progress::More {}
        Ok(())
    }

    /// Takes in a part of what was printed since.
    pub(super) fn read_on(&mut self) -> Result<Progress, Problem> {
        self.skip_what_is_old()?;
        let mut chunk = vec![0; CHUNK_BYTES];
        let count = loop {
            match self.transcript.read(&mut chunk) {
                Ok(count) => break count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(&self.path, &error)),
            }
        };
        self.at += count as u64;
        let printed = self.whole(&chunk[..count]);
        self.parser.process(printed);
        Ok(if count == 0 { Progress::CaughtUp } else { Progress::More })
    }

    /// An agent that prints faster than a screen can be made is not followed byte by byte.
    fn skip_what_is_old(&mut self) -> Result<(), Problem> {
        let from = self.length()?.saturating_sub(READ_BACK_BYTES);
        if from > self.at {
            let sought = self.transcript.seek(SeekFrom::Start(from));
            self.at = sought.map_err(|error| unreadable(&self.path, &error))?;
            self.parser.process(CANCEL);
            self.is_cut = true;
        }
        Ok(())
    }

    /// After a cut, what comes before the next line or sequence may be the rest of a sequence, which
    /// is no text.
    fn whole<'p>(&mut self, printed: &'p [u8]) -> &'p [u8] {
        if !self.is_cut {
            return printed;
        }
        let begins = printed.iter().position(|byte| matches!(byte, b'\n' | b'\r' | 0x1b));
        self.is_cut = begins.is_none();
        &printed[begins.unwrap_or(printed.len())..]
    }

    fn length(&self) -> Result<u64, Problem> {
        let metadata = self.transcript.metadata();
        Ok(metadata.map_err(|error| unreadable(&self.path, &error))?.len())
    }

    /// The text of the screen, without the empty lines at its end.
    pub(super) fn lines(&self) -> Vec<String> {
        let screen = self.parser.screen();
        let (_, columns) = screen.size();
        let rows = screen.rows(0, columns.get());
        let mut lines: Vec<String> =
            rows.map(|row| harmless(&row, Sgr::Drop).trim_end().to_owned()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }
}

fn unreadable(path: &str, error: &std::io::Error) -> Problem {
    Problem::new(Code::StateUnusable, "a transcript cannot be read")
        .because(format!("{}: {error}", crate::text::plain(path)))
        .keeping("the agent is not touched")
        .try_next("cxo doctor")
}

#[cfg(test)]
mod tests;
