//! `bare-router ADDRESS`: answers Connect and Disconnect with the messages that AudioManager's protocol demands for a connection
//! inside one domain, and decides, remembers and checks nothing; what a Connect is held beside.
//!
//! ```text
//!   Connect ─► asyncSetSinkVolume, answer, NewMainConnection, states 0 and 1, timing
//!      ack  ─► asyncConnect, muted
//!      ack  ─► asyncSetSourceState
//!      ack  ─► asyncSetSinkVolume, state 2
//!      ack  ─► unmuted
//! ```

use std::future::poll_fn;
use std::pin::Pin;

use dbus_api::names::{COMMAND_INTERFACE, COMMAND_PATH};
use system_tests::am_suite::bench::{DOMAIN, ROUTER};
use system_tests::am_suite::domain::{INTERFACE, PATH};
use zbus::connection::Builder;
use zbus::export::futures_core::Stream;
use zbus::message::{Flags, Type};
use zbus::{Message, MessageStream};

/// The only connection there is.
const ID: u16 = 1;

fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = Builder::address(address.as_str()).build().await?;
        let mut stream = MessageStream::from(&connection);
        connection.request_name(ROUTER).await?;
        let mut router = Router::default();
        loop {
            let message = poll_fn(|context| Pin::new(&mut stream).poll_next(context)).await;
            let Some(Ok(message)) = message else { return Ok(()) };
            if message.message_type() == Type::MethodCall {
                connection.send_all(&router.take(&message)?).await?;
            }
        }
    })
}

#[derive(Default)]
struct Router {
    source: u16,
    sink: u16,
    /// Of requests to the domain; also how far the connection is.
    handle: u16,
}

impl Router {
    /// What a call leads to.
    fn take(&mut self, message: &Message) -> zbus::Result<Vec<Message>> {
        let header = message.header();
        match header.member().map_or("", |it| it.as_str()) {
            "Connect" => {
                (self.source, self.sink) = message.body().deserialize()?;
                self.handle = 0;
                Ok(vec![
                    self.volume(-3000)?,
                    Message::method_return(&header).build(&(0_i16, ID))?,
                    signal("NewMainConnection").build(&((ID, self.source, self.sink, -1_i16, 0_i16),))?,
                    signal("MainConnectionStateChanged").build(&(ID, 0_i16))?,
                    signal("TimingInformationChanged").build(&(ID, -1_i16))?,
                    signal("MainConnectionStateChanged").build(&(ID, 1_i16))?,
                ])
            }
            "Disconnect" => Ok(vec![
                Message::method_return(&header).build(&0_i16)?,
                signal("RemovedMainConnection").build(&ID)?,
            ]),
            ack if ack.starts_with("ack") => self.step(),
            _ => Ok(Vec::new()),
        }
    }

    fn step(&mut self) -> zbus::Result<Vec<Message>> {
        Ok(match self.handle {
            1 => {
                let to = self.ask("asyncConnect");
                vec![
                    to.build(&(self.handle, ID, self.source, self.sink, 1_i32))?,
                    signal("SinkMuteStateChanged").build(&(self.sink, 1_i16))?,
                ]
            }
            2 => {
                let to = self.ask("asyncSetSourceState");
                vec![to.build(&(self.handle, self.source, 1_i32))?]
            }
            3 => vec![
                self.volume(-30)?,
                signal("MainConnectionStateChanged").build(&(ID, 2_i16))?,
            ],
            _ => vec![signal("SinkMuteStateChanged").build(&(self.sink, 2_i16))?],
        })
    }

    fn volume(&mut self, volume: i16) -> zbus::Result<Message> {
        let to = self.ask("asyncSetSinkVolume");
        to.build(&(self.handle, self.sink, volume, 1_i16, 200_u16))
    }

    fn ask(&mut self, member: &'static str) -> zbus::message::Builder<'static> {
        self.handle += 1;
        Message::method_call(PATH, member)
            .interface(INTERFACE)
            .destination(DOMAIN)
            .with_flags(Flags::NO_REPLY_EXPECTED)
    }
}

fn signal(member: &'static str) -> zbus::message::Builder<'static> {
    Message::signal(COMMAND_PATH, COMMAND_INTERFACE, member)
}
