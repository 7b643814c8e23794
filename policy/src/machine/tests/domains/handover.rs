//! One prompt takes another's place: whoever was ducked stays down between them, however long domains take.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::rig::*;
use crate::command::{Call, ConnectionState};
use crate::event::Event;
use crate::machine::tests::fixture::{CABIN, MEDIA, car, cell};
use crate::machine::tests::mutant::{self, Mutant};
use crate::machine::tests::properties::{Verdict, runner};
use crate::machine::tests::rules::with_rules;
use crate::model::{Holder, Model, Newcomer};
use crate::routing::BUILT_IN;
use crate::routing_command::{DomainRequest, RoutingCall};

const DUCK: i16 = -140;

/// How the second comes to be in the first's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// The matrix stops the first for the second.
    Stopped,
    /// The matrix pauses it.
    Paused,
    /// The second waits until a client disconnects the first.
    Waited,
    /// A client disconnects the first while the second is being connected.
    Beside,
    /// Rules hold the second back, and resume it when a client disconnects the first.
    Resumed,
    /// Rules push it, and pop it then.
    Popped,
    /// A rule disconnects the first and then pops the second, on another's word.
    Swapped,
}

const ALL: [How; 7] = [
    How::Stopped,
    How::Paused,
    How::Waited,
    How::Beside,
    How::Resumed,
    How::Popped,
    How::Swapped,
];

/// `held` is done to any prompt but the first, `then` when `on` happens.
fn rules(held: &str, on: &str, then: &str) -> String {
    format!(
        r#"
[[rules]]
name = "hold"
on = "user.connection_request"
when = ['class(request.source) == "navigation"', 'name(request.source) != "one"']
do = [{{ {held} = {{ source = "request.source" }} }}]

[[rules]]
name = "next"
on = "{on}"
do = [{then}]
"#
    )
}

impl How {
    /// One more may come without waiting for a word.
    fn takes_a_third(self) -> bool {
        matches!(self, Self::Stopped | Self::Paused | Self::Beside)
    }

    fn rules(self) -> Option<String> {
        let next = |verb: &str| format!("{{ {verb} = {{ class = \"navigation\" }} }}");
        let over = "user.disconnection_request";
        Some(match self {
            Self::Resumed => rules("suspend", over, &next("resume")),
            Self::Popped => rules("push", over, &next("pop")),
            Self::Swapped => {
                let first = r#"{ disconnect = { class = "navigation", connection_state = "connected" } }"#;
                let on = "user.set_sink_mute_state";
                rules("push", on, &format!("{first}, {}", next("pop")))
            }
            _ => return None,
        })
    }
}

/// Two classes that matter: navigation ducks media, and does `how` to itself.
fn with_own_cell(mut model: Model, how: How) -> Model {
    let (holder, newcomer) = match how {
        How::Stopped => (Holder::Stop, Newcomer::Play),
        How::Paused => (Holder::Pause, Newcomer::Play),
        How::Waited => (Holder::Mix, Newcomer::Delay),
        How::Beside | How::Resumed | How::Popped | How::Swapped => (Holder::Mix, Newcomer::Play),
    };
    model
        .cells
        .insert((CLASS_NAVIGATION, CLASS_NAVIGATION), cell(holder, newcomer));
    match how.rules() {
        Some(rules) => with_rules(model, &rules),
        None => model,
    }
}

/// What is looked at after each step: what music was asked to be at since the last look.
type Look = fn(&mut Rig) -> Vec<i16>;

/// Music and a prompt are connected to a sink; `prompts` are three sources of one class.
struct Scene {
    rig: Rig,
    prompts: [u16; 3],
    sink: u16,
    look: Look,
}

/// All of it is an amplifier's.
fn at_an_amplifier(how: How) -> Scene {
    let mut rig = Rig::new(with_own_cell(empty_car(), how));
    let domain = rig.domain(":1.1", "amplifier");
    let music = rig.source(":1.1", domain, "tuner", CLASS_MEDIA);
    let prompts = ["one", "two", "three"].map(|name| rig.source(":1.1", domain, name, CLASS_NAVIGATION));
    let sink = rig.sink(":1.1", domain, "speakers");
    rig.connect(music, sink);
    rig.ack_all();
    let look = |rig: &mut Rig| {
        let sent = rig.sent().into_iter().filter_map(|it| match it {
            DomainRequest::SetSourceVolume {
                source: 101, volume, ..
            } => Some(volume),
            _ => None,
        });
        sent.collect()
    };
    assert_eq!(music, 101);
    Scene {
        rig,
        prompts,
        sink,
        look,
    }
}

/// Music is a guest's, over a zone and a gateway; prompts are the amplifier's.
fn over_a_zone(how: How) -> Scene {
    let mut model = with_own_cell(car(), how);
    model.sources.iter_mut().for_each(|it| it.auto_connect.clear());
    let mut rig = Rig::new(model);
    let domain = rig.domain(":1.1", "amplifier");
    let input = rig.source(":1.1", domain, "amplifier input", CLASS_MEDIA);
    let prompts = ["one", "two", "three"].map(|name| rig.source(":1.1", domain, name, CLASS_NAVIGATION));
    let sink = rig.sink(":1.1", domain, "speakers");
    let mut data = gateway((BUILT_IN, 101), (domain, input));
    data.control_domain = domain;
    rig.registered(":1.1", RoutingCall::RegisterGateway(data));
    let (source, start_gen) = (MEDIA, 1);
    rig.step(Event::StreamStarted { source, start_gen });
    rig.connect(101 + u16::try_from(MEDIA).unwrap(), sink);
    rig.ack_all();
    Scene {
        rig,
        prompts,
        sink,
        look: |rig| vec![rig.machine.heard().sources[MEDIA].taps[CABIN].gain],
    }
}

/// In whatever order what is open is acknowledged, and whether the second fails.
#[derive(Clone, Debug)]
struct Course {
    acks: Vec<u8>,
    /// The third comes after so many of them.
    third: Option<u8>,
    refused: bool,
}

fn course() -> impl Strategy<Value = Course> {
    let acks = proptest::collection::vec(any::<u8>(), 1..12);
    (acks, proptest::option::of(0_u8..8), any::<bool>()).prop_map(|(acks, third, refused)| Course {
        acks,
        third,
        refused,
    })
}

impl Scene {
    fn stays_down(&mut self, when: &str) -> Verdict {
        let up = (self.look)(&mut self.rig).into_iter().find(|it| *it > DUCK);
        match up {
            Some(gain) => Err(TestCaseError::fail(format!("music goes to {gain} {when}"))),
            None => Ok(()),
        }
    }

    fn ack_any(&mut self, n: u8) {
        if let Some(at) = usize::from(n).checked_rem(self.rig.open.len()) {
            let request = self.rig.open.remove(at);
            self.rig.open.insert(0, request);
            self.rig.ack();
        }
    }

    /// The first is connected and ducks; the second comes and takes its place.
    fn hand_over(&mut self, how: How, course: &Course) -> Verdict {
        let sink = self.sink;
        let (_, first) = self.rig.connect(self.prompts[0], sink);
        self.rig.ack_all();
        let down = (self.look)(&mut self.rig);
        prop_assert_eq!(down.last(), Some(&DUCK), "the first prompt ducks");
        let (_, second) = self.rig.connect(self.prompts[1], sink);
        self.stays_down("when the second comes")?;
        match how {
            How::Stopped | How::Paused => {}
            How::Waited | How::Beside => {
                self.rig.call(Call::Disconnect { connection: first });
            }
            How::Resumed | How::Popped => {
                self.rig.ack_all();
                self.rig.call(Call::Disconnect { connection: first });
            }
            How::Swapped => {
                self.rig.ack_all();
                self.rig.call(Call::SetSinkMuteState { sink, state: 2 });
            }
        }
        self.stays_down("when the first leaves")?;
        // Without another in its place it would be right that music comes up.
        let mut refused = course.refused && matches!(how, How::Stopped | How::Paused);
        let mut last = second;
        for (at, n) in course.acks.iter().enumerate() {
            if course.third == u8::try_from(at).ok() && how.takes_a_third() {
                last = self.rig.connect(self.prompts[2], sink).1;
                self.stays_down("when the third comes")?;
            }
            if std::mem::take(&mut refused) && !self.rig.open.is_empty() {
                self.rig.ack_with(1);
            } else {
                self.ack_any(*n);
            }
            self.stays_down("at an acknowledgement")?;
        }
        while !self.rig.open.is_empty() {
            self.rig.ack();
            self.stays_down("at the last acknowledgements")?;
        }
        let connected = [first, second, last].map(|id| self.rig.state(id));
        prop_assert!(connected.contains(&Some(ConnectionState::Connected)), "{connected:?}");
        self.comes_up([first, second, last])
    }

    /// Once nobody is there any more.
    fn comes_up(&mut self, prompts: [u16; 3]) -> Verdict {
        for connection in prompts {
            self.rig.call(Call::Disconnect { connection });
        }
        self.rig.ack_all();
        let gains = (self.look)(&mut self.rig);
        prop_assert_eq!(gains.last(), Some(&0), "music comes up in the end");
        Ok(())
    }
}

fn property(scene: fn(How) -> Scene, ways: &[How]) -> Verdict {
    let cases = (prop::sample::select(ways.to_vec()), course());
    let found = runner(600).run(&cases, |(how, course)| scene(how).hand_over(how, &course));
    found.map_err(|err| TestCaseError::fail(err.to_string()))
}

#[test]
fn music_at_an_amplifier_stays_down_between_two_prompts() {
    property(at_an_amplifier, &ALL).unwrap();
}

#[test]
fn music_of_a_guest_over_a_zone_stays_down_between_two_prompts() {
    property(over_a_zone, &ALL).unwrap();
}

#[test]
fn music_that_comes_up_between_two_prompts_is_noticed() {
    for scene in [at_an_amplifier, over_a_zone] {
        for way in [How::Stopped, How::Beside, How::Resumed, How::Popped, How::Swapped] {
            let found = mutant::with(Mutant::LetsOthersUpBetween, || property(scene, &[way]));
            let said = found.unwrap_err().to_string();
            assert!(said.contains("music goes to 0"), "{way:?}: {said}");
        }
    }
}
