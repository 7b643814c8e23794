//! Calls waiting for the control process: a queue a sender, served in turn, bounded for each and for all.

use std::collections::{BTreeMap, VecDeque};

use super::Request;

/// What becomes of a call that comes in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Queued.
    Queued,
    /// Refused: its sender has too many unanswered, or all together have and nobody has more.
    Refused,
    /// Queued, and the newest waiting call of the greediest sender (this token) was thrown out for it.
    Instead(u64),
}

#[derive(Default)]
struct Sender {
    waiting: VecDeque<Request>,
    /// Calls among them.
    calls: usize,
    unanswered: usize,
    /// Reasons to hand nothing on.
    held: usize,
}

impl Sender {
    fn is_over(&self) -> bool {
        self.unanswered == 0 && self.held == 0 && self.waiting.is_empty()
    }

    fn has_turn(&self) -> bool {
        self.held == 0 && !self.waiting.is_empty()
    }
}

/// See the module.
pub(super) struct Fair {
    senders: BTreeMap<String, Sender>,
    /// Each sender with something waiting that isn't held, once.
    turns: VecDeque<String>,
    total: usize,
    sender_limit: usize,
    total_limit: usize,
}

impl Fair {
    pub(super) fn new(sender_limit: usize, total_limit: usize) -> Self {
        Self {
            senders: BTreeMap::new(),
            turns: VecDeque::new(),
            total: 0,
            sender_limit,
            total_limit,
        }
    }

    /// Takes a call in, or not.
    pub(super) fn admit(&mut self, request: Request) -> Admission {
        let unanswered = self.senders.get(&request.sender).map_or(0, |sender| sender.unanswered);
        if unanswered >= self.sender_limit {
            return Admission::Refused;
        }
        let mut admission = Admission::Queued;
        if self.total >= self.total_limit {
            match self.throw_out(unanswered) {
                Some(token) => admission = Admission::Instead(token),
                None => return Admission::Refused,
            }
        }
        let sender = self.push(request);
        sender.unanswered += 1;
        sender.calls += 1;
        self.total += 1;
        admission
    }

    /// Something about a sender that nobody answers, after the calls it has made. Whoever tells bounds how many there are.
    pub(super) fn tell(&mut self, notice: Request) {
        self.push(notice);
    }

    fn push(&mut self, request: Request) -> &mut Sender {
        let name = request.sender.clone();
        let sender = self.senders.entry(name.clone()).or_default();
        let had_turn = sender.has_turn();
        sender.waiting.push_back(request);
        if !had_turn && sender.has_turn() {
            self.turns.push_back(name);
        }
        sender
    }

    /// Hands nothing of `name` on until [`Self::release`]d as often.
    pub(super) fn hold(&mut self, name: &str) {
        self.senders.entry(name.to_owned()).or_default().held += 1;
        self.turns.retain(|turn| turn != name);
    }

    /// See [`Self::hold`].
    pub(super) fn release(&mut self, name: &str) {
        let Some(sender) = self.senders.get_mut(name) else {
            return;
        };
        let had_turn = sender.has_turn();
        sender.held = sender.held.saturating_sub(1);
        if !had_turn && sender.has_turn() {
            self.turns.push_back(name.to_owned());
        }
        self.forget_if_over(name);
    }

    /// Throws out the newest waiting call of the sender that has most waiting, if that is more than `than` + 1.
    fn throw_out(&mut self, than: usize) -> Option<u64> {
        let (name, sender) = self.senders.iter_mut().max_by_key(|(_, sender)| sender.calls)?;
        if sender.calls <= than + 1 {
            return None;
        }
        let name = name.clone();
        let newest = sender.waiting.iter().rposition(Request::is_call)?;
        let token = sender.waiting.remove(newest)?.token;
        sender.calls -= 1;
        self.answered(&name);
        Some(token)
    }

    /// Is there a call to hand on?
    pub(super) fn has_waiting(&self) -> bool {
        !self.turns.is_empty()
    }

    /// The next call, senders taking turns.
    pub(super) fn next(&mut self) -> Option<Request> {
        let name = self.turns.pop_front()?;
        let sender = self.senders.get_mut(&name)?;
        let request = sender.waiting.pop_front();
        if request.as_ref().is_some_and(Request::is_call) {
            sender.calls -= 1;
        }
        if sender.has_turn() {
            self.turns.push_back(name);
        } else {
            self.forget_if_over(&name);
        }
        request
    }

    /// A call of `name` was answered.
    pub(super) fn answered(&mut self, name: &str) {
        let Some(sender) = self.senders.get_mut(name).filter(|sender| sender.unanswered > 0) else {
            return;
        };
        sender.unanswered -= 1;
        self.total = self.total.saturating_sub(1);
        self.forget_if_over(name);
    }

    fn forget_if_over(&mut self, name: &str) {
        if self.senders.get(name).is_some_and(Sender::is_over) {
            self.senders.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::{OwnCall, What};

    fn request(token: u64, sender: &str) -> Request {
        Request {
            token,
            sender: sender.into(),
            what: What::Own(OwnCall::Status),
        }
    }

    fn order(fair: &mut Fair) -> Vec<u64> {
        std::iter::from_fn(|| fair.next())
            .map(|request| request.token)
            .collect()
    }

    #[test]
    fn senders_take_turns_and_each_keeps_its_order() {
        let mut fair = Fair::new(8, 16);
        for token in 0..4 {
            fair.admit(request(token, "flood"));
        }
        fair.admit(request(10, "other"));
        fair.admit(request(11, "other"));

        assert_eq!(order(&mut fair), [0, 10, 1, 11, 2, 3]);
    }

    #[test]
    fn a_sender_is_bounded_until_it_is_answered() {
        let mut fair = Fair::new(2, 16);
        fair.admit(request(0, "a"));
        fair.admit(request(1, "a"));
        assert_eq!(fair.admit(request(2, "a")), Admission::Refused);
        assert_eq!(order(&mut fair), [0, 1]);
        assert_eq!(
            fair.admit(request(3, "a")),
            Admission::Refused,
            "handed on is not answered"
        );

        fair.answered("a");

        assert_eq!(fair.admit(request(4, "a")), Admission::Queued);
        assert_eq!(order(&mut fair), [4]);
    }

    #[test]
    fn when_all_is_full_the_greediest_gives_way_to_a_newcomer() {
        let mut fair = Fair::new(4, 6);
        for token in 0..4 {
            fair.admit(request(token, "a"));
        }
        fair.admit(request(10, "b"));
        fair.admit(request(11, "b"));

        assert_eq!(fair.admit(request(20, "c")), Admission::Instead(3));
        assert_eq!(fair.admit(request(21, "c")), Admission::Instead(2));
        assert_eq!(
            fair.admit(request(22, "c")),
            Admission::Refused,
            "nobody has more than it"
        );
        assert_eq!(order(&mut fair), [0, 10, 20, 1, 11, 21]);
    }

    #[test]
    fn nothing_of_a_sender_stays_once_all_is_answered() {
        let mut fair = Fair::new(4, 6);
        for token in 0..3 {
            fair.admit(request(token, "a"));
        }
        order(&mut fair);

        for _ in 0..3 {
            fair.answered("a");
        }
        fair.answered("a");

        assert!(fair.senders.is_empty() && fair.turns.is_empty());
        assert_eq!(fair.total, 0);
    }

    fn notice(sender: &str) -> Request {
        Request::notice(sender, What::DomainLost { bus_name: "a.b".into() })
    }

    #[test]
    fn a_notice_comes_after_the_calls_before_it_and_is_never_thrown_out() {
        let mut fair = Fair::new(4, 3);
        fair.admit(request(1, "a"));
        fair.admit(request(2, "a"));
        fair.admit(request(3, "a"));
        fair.tell(notice("a"));

        assert_eq!(fair.admit(request(10, "b")), Admission::Instead(3));

        assert_eq!(order(&mut fair), [1, 10, 2, 0]);
        for name in ["a", "a", "b"] {
            fair.answered(name);
        }
        assert!(fair.senders.is_empty() && fair.total == 0);
    }

    #[test]
    fn one_that_is_held_waits_in_its_order_and_holds_nobody_else() {
        let mut fair = Fair::new(4, 8);
        fair.admit(request(1, "a"));
        fair.hold("a");
        fair.admit(request(2, "a"));
        fair.admit(request(10, "b"));
        assert_eq!(order(&mut fair), [10]);
        fair.hold("a");
        fair.release("a");
        assert!(!fair.has_waiting(), "held twice");

        fair.release("a");

        assert_eq!(order(&mut fair), [1, 2]);
        for name in ["a", "a", "b"] {
            fair.answered(name);
        }
        assert!(fair.senders.is_empty());
    }
}
