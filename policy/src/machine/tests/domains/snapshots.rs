//! Domains across a restart.

use super::rig::*;
use crate::Machine;
use crate::command::ConnectionState;
use crate::machine::tests::fixture::{car, source as built_in};

#[test]
fn a_restart_while_connecting_goes_on_where_it_was() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack();
    rig.machine = Machine::restore(empty_car(), &rig.machine.snapshot()).unwrap();
    rig.ack_all();
    assert_eq!(rig.state(1), Some(ConnectionState::Connected));
    assert_eq!(rig.machine.peers().into_iter().collect::<Vec<_>>(), [":1.1"]);
}

#[test]
fn a_static_id_survives_a_restart() {
    let mut rig = Rig::new(car());
    let domain = rig.domain(":1.1", "amplifier");
    let mut data = source(domain, "tuner", 101);
    data.id = 7;
    let register = crate::routing_command::RoutingCall::RegisterSource(data);
    assert_eq!(rig.registered(":1.1", register), 7);
    let restored = Machine::restore(car(), &rig.machine.snapshot()).unwrap();
    assert_eq!(restored.snapshot(), rig.machine.snapshot());
}

#[test]
fn a_domains_source_whose_name_the_new_file_gives_to_a_guest_is_gone() {
    let (mut rig, source, sink) = amplifier();
    rig.connect(source, sink);
    rig.ack_all();
    let mut model = empty_car();
    model.sources.push(built_in("tuner", CLASS_MEDIA, &[]));
    rig.machine = Machine::restore(model, &rig.machine.snapshot()).unwrap();
    assert!(!rig.machine.registry().sources.contains_key(&source));
    rig.step(crate::Event::Tick);
    assert_eq!(rig.state(1), None);
    assert_eq!(rig.machine.source_id(0), Some(source), "the name has its ID");
}
