//! A daemon with a fault, as far as its clients can tell: what it says is changed on its way to them. The suite must fail on each.

use super::value::Value;

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fault {
    /// None.
    #[default]
    Nothing,
    /// A method answers with another code.
    WrongCode(&'static str, i64),
    /// A signal is never sent.
    Missing(&'static str),
    /// A signal is sent twice.
    Twice(&'static str),
    /// A signal comes after the one that follows it.
    Late(&'static str),
    /// A signal has another signal's name.
    Misnamed(&'static str, &'static str),
    /// The last number of a signal is another; of a main connection: its delay.
    WrongNumber(&'static str, i64),
    /// A domain is never asked this.
    Unasked(&'static str),
    /// The list a method answers with has one entry less.
    Short(&'static str),
}

/// A signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its name.
    pub member: String,
    /// Its arguments.
    pub args: Vec<Value>,
}

/// A fault, and a signal that is held back.
#[derive(Debug, Default)]
pub struct Tamper {
    fault: Fault,
    held: Option<Told>,
}

impl From<Fault> for Tamper {
    fn from(fault: Fault) -> Self {
        Self { fault, held: None }
    }
}

impl Tamper {
    /// What a method's answer becomes.
    pub fn answer(&self, member: &str, values: &mut [Value]) {
        match self.fault {
            Fault::WrongCode(of, code) if of == member => {
                let place = match super::members::find(member).map(|it| it.code) {
                    Some(super::members::Code::Last) => values.last_mut(),
                    _ => values.first_mut(),
                };
                if let Some(place) = place {
                    *place = Value::Int(code);
                }
            }
            Fault::Short(of) if of == member => {
                if let Some(Value::Many(list)) = values.last_mut() {
                    list.pop();
                }
            }
            _ => {}
        }
    }

    /// Whether a domain is asked this.
    #[must_use]
    pub fn asks(&self, member: &str) -> bool {
        !matches!(self.fault, Fault::Unasked(of) if of == member)
    }

    /// What a signal becomes.
    pub fn signal(&mut self, mut told: Told) -> Vec<Told> {
        if let Some(held) = self.held.take() {
            return vec![told, held];
        }
        match self.fault {
            Fault::Late(of) if of == told.member => {
                self.held = Some(told);
                Vec::new()
            }
            Fault::Missing(of) if of == told.member => Vec::new(),
            Fault::Twice(of) if of == told.member => vec![told.clone(), told],
            Fault::Misnamed(of, as_) if of == told.member => {
                told.member = as_.to_owned();
                vec![told]
            }
            Fault::WrongNumber(of, number) if of == told.member => {
                match told.args.last_mut() {
                    Some(Value::Many(fields)) if fields.len() > 3 => fields[3] = Value::Int(number),
                    Some(last) => *last = Value::Int(number),
                    None => {}
                }
                vec![told]
            }
            _ => vec![told],
        }
    }
}
