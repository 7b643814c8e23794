//! Rules: for what the matrix can't say. On something that happens, if a condition holds, something is done.
//!
//! | module | what it is |
//! |---|---|
//! | [`catalogue`], [`keys`], [`kind`] | what there is to write: triggers, fields, functions, actions and their types |
//! | `parse`, [`ast`], `check` | from text to a tree to a checked expression: names resolved, types right |
//! | [`view`] | what rules can see, and what set them off |
//! | `eval`, [`action`] | what expressions are worth, and what a step comes to |
//! | [`decisions`] | matrix and rules in one form: the ordered list that the machine decides by |
//! | [`drive`] | rules that set off rules, bounded |
//!
//! ```text
//!  TOML ─► parse ─► check ─► Program ─┐
//!                                     ├─► decide ─► [Decided] ─► carried out ─► Requests ─┐
//!  what happened ─► Request ──────────┤                                                   │
//!                     ▲               └ View                                              │
//!                     └───────────────────── at most 64 rules an event ◄──────────────────┘
//! ```
//!
//! There are no variables, no loops and no arithmetic. Order: the matrix decides first; then rules by ascending priority, those
//! of equal priority in the order of the file. What the matrix refused stays refused: rules ask it as clients do. A protected
//! source (a safety class's, a chime) can't be a [`action::Target`].
//!
//! The language on one page: `docs/policy-rules.md`.

pub mod action;
pub mod ast;
pub mod catalogue;
pub mod decisions;
pub mod drive;
pub mod keys;
pub mod kind;
pub mod view;

pub(crate) mod check;
pub(crate) mod eval;
pub(crate) mod messages;
mod parse;

use std::collections::BTreeSet;

use action::{Action, Step};
use ast::Expr;
use catalogue::Trigger;
use eval::Eval;
use view::{Request, View};

/// Priority of a rule that gives none (AudioManager's).
pub const PRIORITY: i32 = 49;

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Name, for people; unique.
    pub name: String,
    /// Line of the file.
    pub line: u32,
    /// Any of these sets it off.
    pub on: Vec<Trigger>,
    /// The lower, the earlier.
    pub priority: i32,
    /// All of these must hold.
    pub when: Vec<Expr>,
    /// What is done, in this order.
    pub then: Vec<Step>,
    /// Its limits go before the matrix's ducks, also where those are deeper; never before the duck for a protected source.
    pub overrides: bool,
    /// Later rules are not looked at for the same request.
    pub last: bool,
}

/// The matrix, once compiled, and all rules: in the order in which they are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Program {
    /// Compiled by [`crate::Model::compile`].
    pairs: decisions::Pairs,
    rules: Vec<Rule>,
    /// What any of them is on: looked at with each event.
    listened: BTreeSet<Trigger>,
}

/// An action, and what decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What is to be done.
    pub action: Action,
    /// The rule's index in [`Program::rules`].
    pub rule: usize,
    /// Line of the action.
    pub line: u32,
}

impl Program {
    /// Of rules in the order of the file.
    pub fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by_key(|rule| rule.priority);
        let is_listened = |trigger: &Trigger| rules.iter().any(|rule| rule.is_on(*trigger));
        Self {
            listened: Trigger::ALL.iter().copied().filter(is_listened).collect(),
            pairs: decisions::Pairs::default(),
            rules,
        }
    }

    /// In the order in which they are looked at.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// There are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether anything could come of this trigger.
    pub fn listens_to(&self, trigger: Trigger) -> bool {
        self.listened.contains(&trigger)
    }

    /// Whether a rule's action is written in this line.
    pub fn has_line(&self, line: u32) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.then.iter().any(|step| step.line == line))
    }

    /// The first rule from `from` on that a request sets off, given what is so now. Each is looked at when it is its turn: what
    /// earlier ones did, later ones see.
    pub fn next(&self, from: usize, view: &dyn View, request: &Request) -> Option<usize> {
        let eval = Eval::new(view, request);
        let rules = self.rules.iter().enumerate().skip(from);
        let mut due = rules.filter(|(_, rule)| rule.is_on(request.trigger));
        due.find(|(_, rule)| rule.when.iter().all(|condition| eval.holds(condition)))
            .map(|(index, _)| index)
    }

    /// What one step of a rule comes to now.
    pub fn decide(&self, rule: usize, step: usize, view: &dyn View, request: &Request) -> Option<Decided> {
        let written = self.rules.get(rule)?;
        let step = written.then.get(step)?;
        let action = action::decide(step, written.overrides, Eval::new(view, request))?;
        Some(Decided {
            action,
            rule,
            line: step.line,
        })
    }
}

impl Rule {
    fn is_on(&self, trigger: Trigger) -> bool {
        self.on.iter().any(|it| it.includes(trigger))
    }
}
