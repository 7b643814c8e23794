//! The record of decisions of the real daemon: everything that was asked is in it, and when each engine began with it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod processes_common;

use dbus_api::client::Client;
use dbus_api::history::{Decision, Page};
use policy::command::{Call, error};
use processes_common::{Daemon, Folder, OnBus, car};

const CABIN: u16 = 101;
const MEDIA: u16 = 101;

async fn history(client: &Client) -> Vec<Decision> {
    let mut all: Vec<Decision> = Vec::new();
    loop {
        let from = all.last().map_or(0, |last| last.number + 1);
        let page: Page = client.history(from, 100).await.unwrap();
        if page.decisions.is_empty() {
            return all;
        }
        all.extend(page.decisions);
    }
}

/// All decisions up to now once each engine has taken them.
fn settled(on_bus: &OnBus) -> Vec<Decision> {
    on_bus.with(async |client| {
        let all = history(client).await;
        let taken = |it: &Decision| it.effects.iter().all(|effect| effect.period.is_some());
        all.iter().all(taken).then_some(all).ok_or("not all were taken")
    })
}

#[test]
fn what_was_asked_is_kept_with_its_answer_what_it_changed_and_who_asked() {
    let folder = Folder::new("history");
    let on_bus = OnBus::new(&folder);
    let daemon = Daemon::start(&car(&folder, Some(on_bus.bus.address())));
    let call = |call: Call| on_bus.with(async |client| client.call(&call).await).error;
    assert_eq!(
        call(Call::SetVolume {
            sink: CABIN,
            volume: 60
        }),
        error::OK
    );
    assert_ne!(
        call(Call::Connect {
            source: MEDIA,
            sink: 999
        }),
        error::OK
    );
    let _ = call(Call::GetListMainConnections);
    on_bus.with(async |client| client.reload().await);

    let all = settled(&on_bus);

    let found = |about: &str| all.iter().find(|it| it.about.starts_with(about)).expect(about);
    let volume = found("SetVolume cabin to 60, for :1.");
    assert_eq!((volume.error, &volume.changes[0]["event"]), (Some(0), &"volume".into()));
    let refused = found("Connect ivi.media to sink 999, for :1.");
    assert_eq!((refused.error, refused.effects.len()), (Some(error::NON_EXISTENT), 0));
    found("the file was read again");
    assert!(
        all.iter().all(|it| !it.about.contains("GetList")),
        "reads are no decisions"
    );
    assert_eq!(daemon.end().code(), Some(0));
}
