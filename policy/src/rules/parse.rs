//! From text to a tree with places: no names, no types yet.
//!
//! ```text
//! or      = and { "||" and }
//! and     = not { "&&" not }
//! not     = "!" not | test
//! test    = term [ ( "==" | "!=" | ">" | ">=" | "<" | "<=" | "has" | "lacks" ) term ]
//! term    = number [ "dB" ] | 'text' | "text" | "[" [ or { "," or } ] "]" | "(" or ")"
//!         | name { "." name } | name "(" [ or { "," or } ] ")"
//! ```

use super::ast::{Join, Node, Op, Tree};
use super::messages::{Finding, syntax};

/// Deepest nesting: recursion here and in everything that walks a tree is bounded by it.
const MAX_DEPTH: usize = 32;
/// Most parts of one expression.
const MAX_NODES: usize = 512;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token<'t> {
    Number(f64),
    Text(&'t str),
    Name(&'t str),
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 16] = [
    "==", "!=", ">=", "<=", "&&", "||", ">", "<", "!", "(", ")", "[", "]", ",", ".", "=",
];

struct Parser<'t> {
    text: &'t str,
    /// Where the token begins and ends.
    start: usize,
    end: usize,
    token: Token<'t>,
    depth: usize,
    nodes: usize,
}

/// Parses one expression.
pub(super) fn parse(text: &str) -> Result<Node, Finding> {
    let mut parser = Parser {
        text,
        start: 0,
        end: 0,
        token: Token::End,
        depth: 0,
        nodes: 0,
    };
    parser.next()?;
    let node = parser.or()?;
    match parser.token {
        Token::End => Ok(node),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

impl<'t> Parser<'t> {
    fn next(&mut self) -> Result<(), Finding> {
        let rest = self.text.get(self.end..).unwrap_or_default();
        let rest = rest.trim_start();
        self.start = self.text.len() - rest.len();
        let (token, length) = self.token_of(rest)?;
        self.token = token;
        self.end = self.start + length;
        Ok(())
    }

    fn token_of(&self, rest: &'t str) -> Result<(Token<'t>, usize), Finding> {
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, 0));
        };
        let run = |is: fn(char) -> bool| rest.find(|c| !is(c)).unwrap_or(rest.len());
        if first.is_ascii_alphabetic() || first == '_' {
            let length = run(|c| c.is_ascii_alphanumeric() || c == '_');
            return Ok((Token::Name(&rest[..length]), length));
        }
        let signed = first == '-' && rest[1..].starts_with(|c: char| c.is_ascii_digit());
        if first.is_ascii_digit() || signed {
            return self.number(rest, signed);
        }
        if first == '"' || first == '\'' {
            return match rest[1..].find(first) {
                Some(length) => Ok((Token::Text(&rest[1..=length]), length + 2)),
                None => Err(syntax(self.start..self.text.len(), "a text without its end")
                    .label(format!("no {first} follows"))
                    .help(format!("close it with {first}"))),
            };
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            return Ok((Token::Sign(sign), sign.len()));
        }
        let length = first.len_utf8();
        let found = syntax(self.start..self.start + length, format!("`{first}` means nothing here"));
        Err(match first {
            '&' => found.help("write `&&`"),
            '|' => found.help("write `||`"),
            '+' | '-' | '*' | '/' => found.label("there is no arithmetic"),
            _ => found.label("is part of no expression"),
        })
    }

    fn number(&self, rest: &'t str, signed: bool) -> Result<(Token<'t>, usize), Finding> {
        let sign = usize::from(signed);
        let digits = rest[sign..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '.'))
            .map_or(rest.len(), |at| at + sign);
        let written = &rest[..digits];
        let (written, digits) = match written.strip_suffix("dB") {
            Some(number) => (number, digits - 2),
            None => (written, digits),
        };
        let hex = written
            .strip_prefix("0x")
            .and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match hex.map(f64::from).or_else(|| written.parse().ok()) {
            Some(number) if f64::abs(number) <= f64::from(u32::MAX) => Ok((Token::Number(number), digits)),
            _ => Err(
                syntax(self.start..self.start + digits, format!("`{written}` is no number"))
                    .label("a number is written as 7, -14.5, 0x1f or -14 dB"),
            ),
        }
    }

    fn unexpected(&self, wanted: &str) -> Finding {
        let found = match self.token {
            Token::End => "the end".to_owned(),
            _ => format!("`{}`", self.text.get(self.start..self.end).unwrap_or_default()),
        };
        let report = syntax(self.start..self.end, format!("expected {wanted}, found {found}"));
        match self.token {
            Token::Sign("=") => report.help("write `==`"),
            Token::Name("and") => report.help("write `&&`"),
            Token::Name("or") => report.help("write `||`"),
            Token::Name("not") => report.help("write `!`"),
            _ => report,
        }
    }

    fn sign(&mut self, sign: &str) -> Result<bool, Finding> {
        let is = matches!(self.token, Token::Sign(it) if it == sign);
        if is {
            self.next()?;
        }
        Ok(is)
    }

    fn node(&mut self, start: usize, end: usize, tree: Tree) -> Result<Node, Finding> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(syntax(start..end, "this expression is too long")
                .label(format!("there is room for {MAX_NODES} parts"))
                .help("split it into several rules"));
        }
        Ok(Node { tree, start, end })
    }

    fn or(&mut self) -> Result<Node, Finding> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(syntax(self.start..self.end, "this is nested too deeply")
                .label(format!("{MAX_DEPTH} levels are possible")));
        }
        let node = self.joined("||", Join::Or, |parser| parser.joined("&&", Join::And, Self::not))?;
        self.depth -= 1;
        Ok(node)
    }

    fn joined(
        &mut self,
        sign: &str,
        join: Join,
        part: impl Fn(&mut Self) -> Result<Node, Finding>,
    ) -> Result<Node, Finding> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.sign(sign)? {
            parts.push(part(self)?);
        }
        let (start, end) = (
            parts.first().map_or(0, |it| it.start),
            parts.last().map_or(0, |it| it.end),
        );
        match (parts.len(), parts.pop()) {
            (1, Some(alone)) => Ok(alone),
            (_, last) => {
                parts.extend(last);
                self.node(start, end, Tree::Joined(join, parts))
            }
        }
    }

    fn not(&mut self) -> Result<Node, Finding> {
        let start = self.start;
        let mut nots = 0;
        while self.sign("!")? {
            nots += 1;
        }
        let node = self.test()?;
        if nots % 2 == 0 {
            return Ok(node);
        }
        let end = node.end;
        self.node(start, end, Tree::Not(Box::new(node)))
    }

    fn test(&mut self) -> Result<Node, Finding> {
        let left = self.term()?;
        let Some(op) = self.op()? else {
            return Ok(left);
        };
        let right = self.term()?;
        if self.op_here().is_some() {
            return Err(self.unexpected("`&&`, `||` or the end").help("compare two at a time"));
        }
        let (start, end) = (left.start, right.end);
        self.node(start, end, Tree::Test(op, Box::new([left, right])))
    }

    fn op_here(&self) -> Option<Op> {
        let word = match self.token {
            Token::Sign(word) | Token::Name(word) => word,
            _ => return None,
        };
        Op::ALL.into_iter().find(|op| op.sign() == word)
    }

    fn op(&mut self) -> Result<Option<Op>, Finding> {
        let op = self.op_here();
        if op.is_some() {
            self.next()?;
        }
        Ok(op)
    }

    fn term(&mut self) -> Result<Node, Finding> {
        let start = self.start;
        let end = self.end;
        match self.token {
            Token::Number(number) => {
                self.next()?;
                let gain = self.token == Token::Name("dB");
                let end = if gain { self.end } else { end };
                if gain {
                    self.next()?;
                }
                self.node(start, end, Tree::Number { number, gain })
            }
            Token::Text(text) => {
                self.next()?;
                self.node(start, end, Tree::Text(text.to_owned()))
            }
            Token::Sign("(") => {
                self.next()?;
                let node = self.or()?;
                self.close(")")?;
                Ok(node)
            }
            Token::Sign("[") => {
                self.next()?;
                let (items, end) = self.items("]")?;
                self.node(start, end, Tree::List(items))
            }
            Token::Name(name) => {
                self.next()?;
                self.named(start, end, name)
            }
            _ => Err(self.unexpected("a value")),
        }
    }

    fn named(&mut self, start: usize, end: usize, name: &str) -> Result<Node, Finding> {
        if self.sign("(")? {
            let (items, closed) = self.items(")")?;
            let tree = Tree::Call {
                name: name.to_owned(),
                name_end: end,
                items,
            };
            return self.node(start, closed, tree);
        }
        let mut path = vec![name.to_owned()];
        let mut end = end;
        while self.sign(".")? {
            let Token::Name(name) = self.token else {
                return Err(self.unexpected("a name"));
            };
            path.push(name.to_owned());
            end = self.end;
            self.next()?;
        }
        self.node(start, end, Tree::Path(path))
    }

    /// Up to and with the closing sign; gives where that ends.
    fn items(&mut self, close: &'static str) -> Result<(Vec<Node>, usize), Finding> {
        let mut items = Vec::new();
        loop {
            let end = self.end;
            if self.sign(close)? {
                return Ok((items, end));
            }
            items.push(self.or()?);
            let end = self.end;
            if self.sign(close)? {
                return Ok((items, end));
            }
            if !self.sign(",")? {
                return Err(self.unexpected(&format!("`,` or `{close}`")));
            }
        }
    }

    fn close(&mut self, sign: &'static str) -> Result<(), Finding> {
        if self.sign(sign)? {
            Ok(())
        } else {
            Err(self.unexpected(&format!("`{sign}`")))
        }
    }
}
