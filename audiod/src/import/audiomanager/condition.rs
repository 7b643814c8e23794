//! Conditions as they are written: `function(operands) OPERATOR right side`.
//!
//! ```text
//! condition = term OPERATOR term
//! term      = word [ "(" [ term { "," term } ] ")" ] | 'text' | "text" | number
//! ```

use std::fmt;

/// Deepest nesting of functions.
const MAX_DEPTH: usize = 16;

/// One side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Term {
    /// `REQUESTING`, `CS_CONNECTED` …
    Word(String),
    /// In quotes.
    Text(String),
    /// A number as it is written.
    Number(String),
    /// A function and its operands.
    Call(String, Vec<Term>),
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) | Self::Number(word) => f.write_str(word),
            Self::Text(text) => write!(f, "\"{text}\""),
            Self::Call(name, _) => write!(f, "{name}(…)"),
        }
    }
}

/// How [`Term::scaled`] is only roughly the same.
pub(super) const SCALED: &str = "by the curve of the request's sink, not by a map of its own";

impl Term {
    /// Of `scale(SYSTEM, volume, 'a map')` the volume.
    pub fn scaled(&self) -> Option<&Self> {
        match self {
            Self::Call(name, operands) if name == "scale" => match operands.as_slice() {
                [Self::Word(of), volume, Self::Text(_)] if of == "SYSTEM" || of == "USER" => Some(volume),
                _ => None,
            },
            _ => None,
        }
    }
}

/// An operator, and ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Op {
    pub theirs: &'static str,
    pub ours: &'static str,
}

/// All of them.
pub(super) const OPS: [Op; 8] = [
    Op {
        theirs: "EQ",
        ours: "==",
    },
    Op {
        theirs: "NE",
        ours: "!=",
    },
    Op {
        theirs: "GT",
        ours: ">",
    },
    Op {
        theirs: "GEQ",
        ours: ">=",
    },
    Op {
        theirs: "LT",
        ours: "<",
    },
    Op {
        theirs: "LEQ",
        ours: "<=",
    },
    Op {
        theirs: "INC",
        ours: "has",
    },
    Op {
        theirs: "EXC",
        ours: "lacks",
    },
];

/// A parsed condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub left: Term,
    pub op: Op,
    pub right: Term,
}

/// Why a text can't be read: message and cause.
pub(super) type Unread = (String, String);

fn unread<T>(message: impl Into<String>, cause: impl Into<String>) -> Result<T, Unread> {
    Err((message.into(), cause.into()))
}

/// Parses a condition.
pub(super) fn parse(text: &str) -> Result<Condition, Unread> {
    let mut parser = Parser {
        rest: text.trim(),
        depth: 0,
    };
    let left = parser.term()?;
    if !matches!(left, Term::Call(..)) {
        return unread("a condition begins with a function", format!("begins with `{left}`"));
    }
    let word = parser.word();
    let Some(op) = OPS.iter().find(|op| op.theirs == word) else {
        let known = policy::file::listed(OPS.iter().map(|op| op.theirs));
        let found = if word.is_empty() { "nothing" } else { word };
        return unread(
            "there is no operator after the function",
            format!("found {found}; known: {known}"),
        );
    };
    let right = parser.term()?;
    match parser.rest.trim() {
        "" => Ok(Condition { left, op: *op, right }),
        more => unread(
            "there is something after the condition",
            format!("`{more}` means nothing here"),
        ),
    }
}

/// Parses one side alone, as parameters of actions are.
pub(super) fn term(text: &str) -> Result<Term, Unread> {
    let mut parser = Parser {
        rest: text.trim(),
        depth: 0,
    };
    let term = parser.term()?;
    match parser.rest.trim() {
        "" => Ok(term),
        more => unread(
            "there is something after the value",
            format!("`{more}` means nothing here"),
        ),
    }
}

struct Parser<'t> {
    rest: &'t str,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn eat(&mut self, sign: char) -> bool {
        self.skip();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> &'t str {
        self.skip();
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn term(&mut self) -> Result<Term, Unread> {
        self.skip();
        match self.rest.chars().next() {
            None => unread(
                "the condition ends too early",
                "a function, text, number or word is missing",
            ),
            Some(quote @ ('"' | '\'')) => self.text(quote),
            Some(c) if c.is_ascii_digit() || "+-.".contains(c) => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.named(),
            Some(c) => unread(
                format!("`{c}` means nothing here"),
                "a function, text, number or word is wanted",
            ),
        }
    }

    fn text(&mut self, quote: char) -> Result<Term, Unread> {
        let inner = self.rest.get(1..).unwrap_or_default();
        match inner.split_once(quote) {
            Some((text, rest)) => {
                self.rest = rest;
                Ok(match text.parse::<f64>() {
                    Ok(_) => Term::Number(text.to_owned()),
                    Err(_) => Term::Text(text.to_owned()),
                })
            }
            None => unread("a text without its end", format!("no {quote} follows")),
        }
    }

    fn number(&mut self) -> Result<Term, Unread> {
        let more = |c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c));
        let end = self.rest.find(more).unwrap_or(self.rest.len());
        let (written, rest) = self.rest.split_at(end);
        self.rest = rest;
        match written.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Term::Number(written.trim_start_matches('+').to_owned())),
            _ => unread(
                format!("`{written}` is not a number"),
                "a number, as -40 or 0.5, is wanted",
            ),
        }
    }

    fn named(&mut self) -> Result<Term, Unread> {
        let word = self.word();
        if !self.eat('(') {
            return Ok(Term::Word(word.to_owned()));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return unread("functions are nested too deeply", format!("deeper than {MAX_DEPTH}"));
        }
        let mut operands = Vec::new();
        if !self.eat(')') {
            loop {
                operands.push(self.term()?);
                if self.eat(')') {
                    break;
                }
                if !self.eat(',') {
                    return unread(format!("the operands of `{word}` don't end"), "a `,` or `)` is missing");
                }
            }
        }
        self.depth -= 1;
        Ok(Term::Call(word.to_owned(), operands))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(text: &str) -> Term {
        Term::Word(text.to_owned())
    }

    #[test]
    fn a_condition_is_function_operator_and_right_side() {
        let read = parse(r#" connectionState(CONNECTIONOFCLASS, "PHONE") INC CS_CONNECTED "#).unwrap();

        let operands = vec![word("CONNECTIONOFCLASS"), Term::Text("PHONE".to_owned())];
        assert_eq!(read.left, Term::Call("connectionState".to_owned(), operands));
        assert_eq!((read.op.ours, read.right), ("has", word("CS_CONNECTED")));
    }

    #[test]
    fn functions_nest_and_numbers_may_stand_in_quotes() {
        let read = parse("count(name(SOURCEOFCLASS, REQUESTING)) GT '-1'").unwrap();

        assert_eq!(read.right, Term::Number("-1".to_owned()));
    }

    #[test]
    fn any_text_gives_a_condition_or_a_cause() {
        for text in [
            "",
            "(",
            "a",
            "a(",
            "a(b",
            "a(b,",
            "a(b) EQ",
            "a(b) EQ 'c",
            "a(b) ÄQ c",
            "1 EQ 1",
            "a() EQ 1 2",
            "'",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        let deep = "a(".repeat(10_000);
        assert!(parse(&deep).is_err());
    }
}
