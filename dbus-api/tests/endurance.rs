//! Nothing grows with the number of calls. (AudioManager 8 leaks about 3 kB a connect and disconnect.)
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod common;

use common::fake::Fake;
use common::{peers, run};
use dbus_api::client::Client;
use dbus_api::server::start_on;
use policy::command::{Call, ReplyBody};

/// Cycles of Connect and Disconnect.
const CYCLES: usize = 10_000;

/// Memory of this process that is no file, bytes: `RssAnon` of proc(5).
fn memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

async fn cycles(client: &Client, count: usize) {
    for _ in 0..count {
        let connect = Call::Connect { source: 101, sink: 101 };
        let ReplyBody::Connection(connection) = client.call_ok(&connect).await.unwrap().body else {
            panic!("no ID");
        };
        client.call_ok(&Call::Disconnect { connection }).await.unwrap();
        client.call(&Call::GetListMainSinks).await.unwrap();
    }
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    run(async {
        let (server, raw) = peers().await;
        let (_bus, requests, outs) = start_on(server);
        tokio::spawn(Fake::default().serve(requests, outs));
        let client = Client::peer(raw.connection);
        cycles(&client, CYCLES / 10).await;
        let before = memory();

        cycles(&client, CYCLES).await;

        let grown = memory().saturating_sub(before);
        // A leak of 100 bytes a cycle, a thirtieth of AudioManager's, would be 1 MB.
        assert!(grown < 100 * CYCLES, "{grown} bytes in {CYCLES} cycles");
    });
}
