//! Where words go: stdout is the answer, stderr is the story. A pipe that the reader closed ends
//! the output quietly; what the command was to say by its exit code stays the same.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

/// The two streams.
pub(crate) struct Out {
    answer: Stream,
    story: Stream,
}

struct Stream {
    sink: Box<dyn Write + Send>,
    failed: Option<io::Error>,
}

impl Stream {
    fn write(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.failed = self.sink.write_all(bytes).err();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.sink.flush().err();
        }
    }
}

impl Out {
    /// The process's own streams.
    pub(crate) fn of_process() -> Self {
        Self::to(Box::new(BufWriter::new(io::stdout())), Box::new(io::stderr()))
    }

    /// Any two streams.
    pub(crate) fn to(answer: Box<dyn Write + Send>, story: Box<dyn Write + Send>) -> Self {
        let stream = |sink| Stream { sink, failed: None };
        Self { answer: stream(answer), story: stream(story) }
    }

    /// Writes lines of the answer.
    pub(crate) fn answer(&mut self, text: &str) {
        self.answer.write(text.as_bytes());
        if !text.is_empty() && !text.ends_with('\n') {
            self.answer.write(b"\n");
        }
    }

    /// Writes a part of the answer as it is.
    pub(crate) fn answer_bytes(&mut self, bytes: &[u8]) {
        self.answer.write(bytes);
    }

    /// The stream of the answer, for who writes it from many threads.
    pub(crate) fn take_answer(&mut self) -> Box<dyn Write + Send> {
        self.answer.flush();
        std::mem::replace(&mut self.answer.sink, Box::new(io::sink()))
    }

    /// Writes one document of the answer as one line. `v` comes first and is 1 where the document
    /// does not bear its own.
    pub(crate) fn answer_json(&mut self, document: &impl Serialize) {
        let mut value = serde_json::to_value(document).unwrap_or_default();
        if let Some(fields) = value.as_object_mut() {
            fields.entry("v").or_insert_with(|| 1.into());
        }
        self.answer(&value.to_string());
    }

    /// Writes lines of the story.
    pub(crate) fn story(&mut self, text: &str) {
        // So that both streams, read together, keep the order in which things were said.
        self.answer.flush();
        let mut lines = text.to_owned();
        if !lines.is_empty() && !lines.ends_with('\n') {
            lines.push('\n');
        }
        self.story.write(lines.as_bytes());
        self.story.flush();
    }

    /// Writes to the terminal that shows the story, as it is.
    pub(crate) fn story_bytes(&mut self, bytes: &[u8]) {
        self.story.write(bytes);
        self.story.flush();
    }

    /// Hands on what was written.
    pub(crate) fn flush(&mut self) {
        self.answer.flush();
        self.story.flush();
    }

    /// Whether nobody reads the answer any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.answer.failed.is_some()
    }

    /// Why the answer could not be written, a closed pipe excepted: its reader has had enough.
    pub(crate) fn failure(&self) -> Option<&io::Error> {
        self.answer.failed.as_ref().filter(|error| error.kind() != io::ErrorKind::BrokenPipe)
    }
}
