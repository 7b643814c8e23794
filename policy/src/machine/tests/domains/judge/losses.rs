//! Domains and their elements go, and come back.

use super::*;

impl World {
    fn gone(&mut self, is: impl Fn(u16, u16) -> bool) {
        self.segments.retain(|_, (source, sink)| !is(*source, *sink));
        self.pending.retain(|(_, request)| match *request {
            DomainRequest::Connect { source, sink, .. } => !is(source, sink),
            DomainRequest::SetSourceState { source, .. } | DomainRequest::SetSourceVolume { source, .. } => {
                !is(source, 0)
            }
            DomainRequest::SetSinkVolume { sink, .. } => !is(0, sink),
            _ => true,
        });
    }

    pub(super) fn lose(&mut self, kind: u8, n: u8) -> Verdict {
        let index = usize::from(n);
        let (kind, id, at) = match kind % 3 {
            0 => (
                Kind::Source,
                FIRST_SOURCE + u16::from(n) % SOURCES,
                SOURCE_PLACES[index % 6].0,
            ),
            1 => (Kind::Sink, FIRST_SINK + u16::from(n) % SINKS, SINK_PLACES[index % 5]),
            _ => (Kind::Gateway, 101 + u16::from(n) % 3, usize::from(index % 3 == 2)),
        };
        let reply = self.routing(peer(at), RoutingCall::Deregister { kind, id })?;
        if reply == RoutingReply::Error(0) {
            let known = self.segments.clone();
            match kind {
                Kind::Source => {
                    self.states.insert(id, source_state::OFF);
                    self.gone(|source, _| source == id);
                }
                Kind::Sink => self.gone(|_, sink| sink == id),
                _ => {}
            }
            let lost = |segment: u16, at: &str| known.contains_key(&(at.to_owned(), segment));
            let left = self.segments.clone();
            self.pending.retain(|(at, request)| match request {
                DomainRequest::Disconnect { connection, .. } => {
                    !lost(*connection, at) || left.contains_key(&(at.clone(), *connection))
                }
                _ => true,
            });
        }
        Ok(())
    }

    pub(super) fn peer_lost(&mut self, n: usize) -> Verdict {
        let lost = peer(n);
        self.step(Event::PeerLost { peer: lost.clone() })?;
        self.segments.retain(|(at, _), _| *at != lost);
        self.pending.retain(|(at, _)| *at != lost);
        self.issued.retain(|(at, _), _| *at != lost);
        for (index, (at, _)) in SOURCE_PLACES.iter().enumerate() {
            if *at == n {
                self.states
                    .insert(FIRST_SOURCE + u16::try_from(index).unwrap(), source_state::OFF);
            }
        }
        let mine = |connection: (u16, u16)| {
            let source = connection
                .0
                .checked_sub(FIRST_SOURCE)
                .map(|at| SOURCE_PLACES[usize::from(at)].0);
            let sink = connection
                .1
                .checked_sub(FIRST_SINK)
                .map(|at| SINK_PLACES[usize::from(at)]);
            source == Some(n) || sink == Some(n)
        };
        for (id, ends) in &self.ends {
            let state = self.connections[id];
            prop_assert!(
                !mine(*ends) || matches!(state, Disconnecting),
                "{id} over a lost domain is {state:?}"
            );
        }
        Ok(())
    }

    pub(super) fn available(&mut self, n: u8, available: bool) -> Verdict {
        let (end, at) = if n.is_multiple_of(2) {
            (
                End::Source(FIRST_SOURCE + u16::from(n) % SOURCES),
                SOURCE_PLACES[usize::from(n) % 6].0,
            )
        } else {
            (
                End::Sink(FIRST_SINK + u16::from(n) % SINKS),
                SINK_PLACES[usize::from(n) % 5],
            )
        };
        if !available {
            self.away.insert(end);
        }
        let call = super::super::rig::available(end, available);
        self.routing(peer(at), call)?;
        Ok(())
    }
}
