//! Trees: as parsed, and as checked.

use super::catalogue::{Field, Function};
use super::kind::Value;

/// A part of an expression, and its bytes in the expression's text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub tree: Tree,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Number {
        number: f64,
        /// `dB` follows.
        gain: bool,
    },
    Text(String),
    Path(Vec<String>),
    List(Vec<Node>),
    Call {
        name: String,
        name_end: usize,
        items: Vec<Node>,
    },
    Test(Op, Box<[Node; 2]>),
    Joined(Join, Vec<Node>),
    Not(Box<Node>),
}

/// The eight operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Op {
    Equal,
    Unequal,
    Greater,
    AtLeast,
    Less,
    AtMost,
    Has,
    Lacks,
}

impl Op {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Equal,
        Self::Unequal,
        Self::Greater,
        Self::AtLeast,
        Self::Less,
        Self::AtMost,
        Self::Has,
        Self::Lacks,
    ];

    /// As written.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::Unequal => "!=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Has => "has",
            Self::Lacks => "lacks",
        }
    }
}

/// What joins several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// All.
    And,
    /// Any.
    Or,
}

/// A checked expression: every name is resolved, every type is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// As it stands.
    Value(Value),
    /// The domains' source of this name, if it is registered.
    Source(String),
    /// The domains' sink of this name, if it is registered.
    Sink(String),
    /// The domain of this name, if it is registered.
    Domain(String),
    /// The gateway of this name, if it is registered.
    Gateway(String),
    /// What set off the rule.
    Request(Field),
    /// All main connections.
    All,
    /// All main connections but those between the request's source and sink.
    Others,
    /// Several.
    List(Vec<Expr>),
    /// A function of the catalogue.
    Call(Function, Vec<Expr>),
    /// A comparison.
    Test(Op, Box<[Expr; 2]>),
    /// All or any of several.
    Joined(Join, Vec<Expr>),
    /// The contrary.
    Not(Box<Expr>),
}
