//! What must hold once nothing is open, and at the end.

use super::*;

impl World {
    /// Nothing is open: everything is what it is told to be.
    pub(in crate::machine::tests) fn at_rest(&mut self) -> Verdict {
        if !self.pending.is_empty() || self.machine.next_deadline().is_some() {
            return Ok(());
        }
        for (id, state) in &self.connections {
            let (source, sink) = self.ends[id];
            let away = self.away.contains(&End::Source(source)) || self.away.contains(&End::Sink(sink));
            match state {
                Connected | Suspended => {}
                Disconnected => prop_assert!(away, "{id} is disconnected and kept without a reason"),
                _ => return Err(TestCaseError::fail(format!("{id} is left {state:?}"))),
            }
            if *state == Connected && self.honest {
                self.runs(*id, source, sink)?;
            }
        }
        Ok(())
    }

    /// A connected one is really connected, from end to end.
    fn runs(&self, id: u16, source: u16, sink: u16) -> Verdict {
        if source < FIRST_SOURCE {
            let index = usize::from(source - 101);
            let mut segments = self.machine.connections();
            let zone = segments.any(|it| (it.source, it.sink) == (index, 0));
            prop_assert!(zone, "{id} is connected, but not to the zone");
            let running = self.machine.state_of(index).is_some_and(|it| it.running);
            let causes = &self.machine.heard().sources[index].taps[0].causes;
            let routed = causes.iter().all(|cause| cause.kind != CauseKind::NoRoute);
            prop_assert!(!running || routed, "{id} is connected, but has no route: {causes:?}");
        } else {
            prop_assert_eq!(self.states.get(&source), Some(&source_state::ON), "connected, but off");
            let from = self.segments.values().any(|it| it.0 == source);
            prop_assert!(from, "connected, but nothing leaves");
        }
        if sink >= FIRST_SINK {
            let to = self.segments.values().any(|it| it.1 == sink);
            prop_assert!(to, "connected, but nothing arrives");
            let muted = self.levels.get(&sink) == Some(&MUTE);
            prop_assert!(
                !self.punctual || muted == self.muted.contains(&sink),
                "muted, and nobody wants it, or the other way round"
            );
        }
        Ok(())
    }

    /// Acks come or not: every request ends, every connection is as it stays.
    pub(in crate::machine::tests) fn ends(&mut self, acks: bool) -> Verdict {
        for round in 0..200 {
            if acks {
                self.ack_all()?;
            } else {
                self.honest &= self.pending.is_empty();
                self.pending.clear();
            }
            let Some(deadline) = self.machine.next_deadline() else {
                return self.at_rest();
            };
            prop_assert!(round < 199, "no end");
            self.now = self.now.max(deadline);
            self.step(Event::Tick)?;
        }
        Ok(())
    }

    /// All is taken down: nothing is left.
    pub(in crate::machine::tests) fn empties(&mut self, acks: bool) -> Verdict {
        for connection in self.connections.keys().copied().collect::<Vec<_>>() {
            self.call(Call::Disconnect { connection })?;
        }
        self.ends(acks)?;
        self.now += 20_000;
        self.step(Event::Tick)?;
        for source in [0, 1] {
            self.step(Event::StreamReleased { source })?;
        }
        prop_assert!(self.connections.is_empty());
        prop_assert_eq!(self.machine.connections().count(), 0, "segments of nobody");
        if self.honest {
            prop_assert!(self.segments.is_empty(), "left behind: {:?}", self.segments);
            let on = self.states.iter().filter(|it| *it.1 != source_state::OFF);
            prop_assert_eq!(on.count(), 0, "left on: {:?}", self.states);
        }
        let snapshot: serde_json::Value =
            serde_json::from_slice(&self.machine.snapshot()).map_err(|err| TestCaseError::fail(err.to_string()))?;
        for (what, empty) in [("segments", "{}"), ("mains", "{}"), ("open", "{}"), ("driven", "[]")] {
            let left = snapshot["routing"]
                .get(what)
                .map_or(empty.to_owned(), ToString::to_string);
            prop_assert_eq!(left, empty, "{} is left", what);
        }
        Ok(())
    }
}
