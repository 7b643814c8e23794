//! A connection to the bus that is read message by message, in the order they come.

use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::Poll;

use anyhow::{Context, Result};
use dbus_api::names::BUS_NAME;
use serde::Serialize;
use zbus::connection::{Builder, Connection};
use zbus::export::futures_core::Stream;
use zbus::message::Flags;
use zbus::{DynamicType, Message, MessageStream};

const BUS: &str = "org.freedesktop.DBus";
const BUS_PATH: &str = "/org/freedesktop/DBus";
/// Messages that may lie before a case that looks elsewhere.
const QUEUED: usize = 16 << 10;

/// Where a call goes.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    /// Object.
    pub path: &'a str,
    /// Interface, if the call names one.
    pub interface: Option<&'a str>,
    /// Method.
    pub member: &'a str,
}

/// One connection.
pub struct Link {
    connection: Connection,
    stream: MessageStream,
}

impl Link {
    /// Connects, hearing the daemon's signals of one object.
    ///
    /// # Errors
    /// The bus doesn't take us.
    pub async fn connect(address: &str, path: &str) -> Result<Self> {
        let builder = Builder::address(address);
        let builder = builder.max_queued(NonZeroUsize::new(QUEUED).unwrap_or(NonZeroUsize::MIN));
        let connection = builder
            .build()
            .await
            .with_context(|| format!("connecting to {address}"))?;
        let stream = MessageStream::from(&connection);
        let rule = format!("type='signal',sender='{BUS_NAME}',path='{path}'");
        let link = Self { connection, stream };
        link.of_bus("AddMatch", &rule.as_str()).await?;
        Ok(link)
    }

    /// A call to the bus itself.
    ///
    /// # Errors
    /// It is refused.
    pub async fn of_bus(&self, member: &str, body: &(impl Serialize + DynamicType)) -> Result<Message> {
        let call = self
            .connection
            .call_method(Some(BUS), BUS_PATH, Some(BUS), member, body);
        call.await.with_context(|| format!("{member} of the bus"))
    }

    /// Whether the daemon is there.
    pub async fn daemon_is_there(&self) -> bool {
        let owned = self.of_bus("NameHasOwner", &BUS_NAME).await;
        owned.is_ok_and(|reply| reply.body().deserialize::<bool>().unwrap_or(false))
    }

    /// Sends a call to the daemon; its serial.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn call(&self, to: To<'_>, body: &(impl Serialize + DynamicType), answered: bool) -> Result<u32> {
        let mut call = Message::method_call(to.path, to.member).destination(BUS_NAME);
        if let Some(interface) = to.interface {
            call = call.interface(interface);
        }
        if !answered {
            call = call.with_flags(Flags::NO_REPLY_EXPECTED);
        }
        let message = call.build(body)?;
        self.send(&message).await?;
        Ok(message.primary_header().serial_num().get())
    }

    /// Sends a message as it is.
    ///
    /// # Errors
    /// The connection is gone.
    pub async fn send(&self, message: &Message) -> Result<()> {
        Ok(self.connection.send(message).await?)
    }

    /// Leaves the bus.
    pub async fn close(self) {
        // One that is gone is left.
        let _ = self.connection.close().await;
    }
}

/// The next message of any of them, and of which. A connection that ended gives none any more.
pub async fn next_of<'a>(links: impl Iterator<Item = (usize, &'a mut Link)>) -> (usize, Message) {
    let mut links: Vec<(usize, &mut Link)> = links.collect();
    poll_fn(|context| {
        for (index, link) in &mut links {
            if let Poll::Ready(Some(Ok(message))) = Pin::new(&mut link.stream).poll_next(context) {
                return Poll::Ready((*index, message));
            }
        }
        Poll::Pending
    })
    .await
}
