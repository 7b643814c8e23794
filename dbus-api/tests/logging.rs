//! What goes wrong for long is told once.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use common::{Folder, run};
use dbus_api::private_bus::PrivateBus;
use dbus_api::server::{BusAddress, BusState, start};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// Keeps what is logged by this crate.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dbus_api")
    }

    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
                self.0.push_str(&format!("{value:?}"));
            }
        }
        let mut text = Text(format!("{} ", event.metadata().level()));
        event.record(&mut text);
        self.0.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn a_bus_that_stays_away_is_told_once_and_so_is_its_return() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    run(async {
        let folder = Folder::new();
        let path = folder.path().join("bus");
        // Something is there that hangs up on everybody: each try is seen.
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let (mut ours, _requests, _outs) = start(BusAddress::At(format!("unix:path={}", path.display())));
        for _ in 0..4 {
            drop(listener.accept().await.unwrap());
        }
        let told = log.0.lock().unwrap().clone();
        assert_eq!(told.len(), 1, "{told:#?}");
        assert!(told[0].starts_with("WARN bus unix:path="), "{told:#?}");
        assert!(told[0].ends_with("trying again each second"), "{told:#?}");

        drop(listener);
        let _bus = PrivateBus::start(folder.path()).unwrap();
        ours.reached(BusState::Owned).await;

        let told = log.0.lock().unwrap().clone();
        assert_eq!(
            told.last().unwrap(),
            "INFO bus: org.genivi.audiomanager owned",
            "{told:#?}"
        );
    });
}
