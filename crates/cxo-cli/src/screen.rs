//! The live lines at the bottom of a terminal, redrawn in place, with finished lines scrolling
//! away above them. Makes text only; who holds the terminal writes it.

use crate::text::columns;

/// Update all at once, where the terminal knows how.
const BEGIN: &str = "\u{1b}[?2026h\u{1b}[?25l";
const END: &str = "\u{1b}[?25h\u{1b}[?2026l";

/// What stands at the bottom now.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    drawn: Vec<usize>,
}

impl Screen {
    /// The text that puts `scroll` above and `frame` at the bottom of a terminal `width` wide.
    /// Every line ends at its line's end but the last, where the cursor stays.
    pub(crate) fn update(&mut self, width: usize, scroll: &[String], frame: &[String]) -> String {
        let mut text = String::from(BEGIN);
        text.push_str(&self.back_up(width));
        for line in scroll {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&frame.join("\n"));
        text.push_str(END);
        self.drawn = frame.iter().map(|line| columns(line)).collect();
        text
    }

    /// The text that takes the frame away; what scrolled stays.
    pub(crate) fn clear(&mut self, width: usize) -> String {
        let text = self.back_up(width);
        self.drawn.clear();
        text
    }

    /// Moves to the first column of the frame's first line and clears from there. A narrower
    /// terminal has wrapped the lines: each takes as many rows as it needs now.
    fn back_up(&self, width: usize) -> String {
        let rows: usize = self.drawn.iter().map(|line| line.div_ceil(width.max(1)).max(1)).sum();
        match rows {
            0 => String::new(),
            1 => "\r\u{1b}[J".to_owned(),
            more => format!("\r\u{1b}[{}A\u{1b}[J", more - 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_drawn_over_the_one_before() {
        let mut screen = Screen::default();
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(screen.update(80, &[], &lines), format!("{BEGIN}a\nb{END}"));
        let again = screen.update(80, &["done".to_owned()], &lines[..1]);
        assert_eq!(again, format!("{BEGIN}\r\u{1b}[1A\u{1b}[Jdone\na{END}"));
        assert_eq!(screen.clear(80), "\r\u{1b}[J");
        assert_eq!(screen.clear(80), "");
    }

    #[test]
    fn lines_that_a_narrower_terminal_wrapped_are_cleared_too() {
        let mut screen = Screen::default();
        screen.update(80, &[], &["x".repeat(80), "\u{1b}[31mred\u{1b}[0m".to_owned()]);
        assert_eq!(screen.clear(40), "\r\u{1b}[2A\u{1b}[J");
    }
}
