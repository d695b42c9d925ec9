//! What the tokens of a Rust file say: paths, strings, attributes, types and functions, each with
//! its line. Working on tokens keeps comments and strings from looking like code.
//!
//! Knows Rust's tokens; knows no rule of this project.

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree};

/// Something found in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Counted from 1.
    pub(crate) line: usize,
    /// As written, without spaces.
    pub(crate) text: String,
    /// In code that is compiled for tests only.
    pub(crate) in_test: bool,
}

/// A function and what stands above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// The lines of its doc comment.
    pub(crate) docs: String,
    /// Has an attribute that ends in `test`, or is there to carry examples that are tests.
    pub(crate) is_test: bool,
}

/// Everything the rules want to know about a file.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Paths and names, with the braces of `use` written out: `std::fs`, `HashMap`.
    pub(crate) paths: Vec<Found>,
    /// String literals as written.
    pub(crate) strings: Vec<Found>,
    /// Attributes without `#[…]`.
    pub(crate) attributes: Vec<Found>,
    /// Names of structs, enums, traits, unions and type aliases defined here.
    pub(crate) types: Vec<Found>,
    /// Functions defined here.
    pub(crate) functions: Vec<Function>,
    /// Set when the text is not Rust; the compiler will say more.
    pub(crate) broken: bool,
}

impl Facts {
    /// Reads a file; `in_test` says that all of it is for tests.
    pub(crate) fn read(text: &str, in_test: bool) -> Self {
        let mut reader = Reader::default();
        match text.parse::<TokenStream>() {
            Ok(stream) => reader.walk(stream, in_test),
            Err(_) => reader.facts.broken = true,
        }
        reader.facts
    }
}

/// Words that begin an item. Attributes above one hold until the item ends.
const ITEM_WORDS: [&str; 11] =
    ["fn", "mod", "impl", "struct", "enum", "trait", "use", "const", "static", "type", "union"];

/// Attributes and docs that wait for the item they belong to.
#[derive(Default)]
struct Pending {
    docs: String,
    is_test: bool,
    test_only: bool,
    item_began: bool,
}

#[derive(Default)]
struct Reader {
    facts: Facts,
}

impl Reader {
    fn walk(&mut self, stream: TokenStream, in_test: bool) {
        let tokens: Vec<TokenTree> = stream.into_iter().collect();
        let mut pending = Pending::default();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let in_test_here = in_test || pending.test_only || pending.is_test;
            at += match token {
                TokenTree::Punct(mark) if mark.as_char() == '#' => {
                    self.attribute(&tokens[at..], &mut pending, in_test_here)
                }
                TokenTree::Punct(mark) => {
                    let ends =
                        mark.as_char() == ';' || mark.as_char() == ',' && !pending.item_began;
                    if ends {
                        pending = Pending::default();
                    }
                    1
                }
                TokenTree::Literal(literal) => {
                    let text = literal.to_string();
                    if text.contains('"') {
                        let line = literal.span().start().line;
                        self.facts.strings.push(Found { line, text, in_test: in_test_here });
                    }
                    1
                }
                TokenTree::Group(group) => {
                    self.walk(group.stream(), in_test_here);
                    if group.delimiter() == Delimiter::Brace {
                        pending = Pending::default();
                    }
                    1
                }
                TokenTree::Ident(_) => self.word(&tokens[at..], &mut pending, in_test_here),
            };
        }
    }

    /// Reads `#[…]` or `#![…]`; answers how many tokens it took.
    fn attribute(&mut self, tokens: &[TokenTree], pending: &mut Pending, in_test: bool) -> usize {
        let inner = is_mark(tokens.get(1), '!');
        let Some(TokenTree::Group(group)) = tokens.get(if inner { 2 } else { 1 }) else { return 1 };
        let taken = if inner { 3 } else { 2 };
        let text: String =
            group.stream().to_string().chars().filter(|c| !c.is_whitespace()).collect();
        if text.starts_with("doc=") {
            if !inner {
                pending.docs.push_str(&group.stream().to_string());
                pending.docs.push('\n');
            }
            return taken;
        }
        if !inner {
            let name = text.split('(').next().unwrap_or(&text);
            pending.is_test |= name.rsplit("::").next() == Some("test") || text == "cfg(doctest)";
            pending.test_only |= text == "cfg(test)" || text.starts_with("cfg(all(test,");
        }
        let line = group.span().start().line;
        self.facts.attributes.push(Found { line, text, in_test });
        taken
    }

    /// Reads a name or a path; answers how many tokens it took.
    fn word(&mut self, tokens: &[TokenTree], pending: &mut Pending, in_test: bool) -> usize {
        let Some(TokenTree::Ident(first)) = tokens.first() else { return 1 };
        let (line, word) = (first.span().start().line, first.to_string());
        if ITEM_WORDS.contains(&word.as_str()) {
            pending.item_began = true;
            self.defined(&word, tokens.get(1), pending, in_test);
            return 1;
        }
        let mut text = word;
        let mut taken = 1;
        while is_double_colon(&tokens[taken..]) {
            match tokens.get(taken + 2) {
                Some(TokenTree::Ident(next)) => {
                    text.push_str("::");
                    text.push_str(&next.to_string());
                    taken += 3;
                }
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    self.braces(group, &text, in_test);
                    return taken + 3;
                }
                _ => break,
            }
        }
        self.facts.paths.push(Found { line, text, in_test });
        taken
    }

    /// Notes the name that follows `fn`, `struct` and the like.
    fn defined(
        &mut self,
        keyword: &str,
        name: Option<&TokenTree>,
        pending: &Pending,
        in_test: bool,
    ) {
        let Some(TokenTree::Ident(name)) = name else { return };
        let line = name.span().start().line;
        if keyword == "fn" {
            self.facts.functions.push(Function {
                name: name.to_string(),
                line,
                docs: pending.docs.clone(),
                is_test: pending.is_test,
            });
        } else if ["struct", "enum", "trait", "type", "union"].contains(&keyword) {
            self.facts.types.push(Found { line, text: name.to_string(), in_test });
        }
    }

    /// Writes out `prefix::{a, b::{c}}`.
    fn braces(&mut self, group: &Group, prefix: &str, in_test: bool) {
        let before = self.facts.paths.len();
        self.walk(group.stream(), in_test);
        for found in &mut self.facts.paths[before..] {
            found.text = if found.text == "self" {
                prefix.to_owned()
            } else {
                format!("{prefix}::{}", found.text)
            };
        }
    }
}

fn is_mark(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(found)) if found.as_char() == mark)
}

fn is_double_colon(tokens: &[TokenTree]) -> bool {
    matches!(tokens.first(), Some(TokenTree::Punct(first))
        if first.as_char() == ':' && first.spacing() == Spacing::Joint)
        && is_mark(tokens.get(1), ':')
}

#[cfg(test)]
mod tests;
