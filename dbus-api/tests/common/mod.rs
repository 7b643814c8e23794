//! What the tests share: folders, a bus, a fake control process, bodies of any type.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod fake;
pub mod routing_rows;
pub mod rows;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH};
use zbus::connection::{Builder, Connection};
use zbus::{Array, Message, Signature, Structure, Variant};

/// Far above what anything takes; only a hang meets it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A folder that is gone afterwards.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "dbus-api-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a test on the runtime the daemon uses, with a deadline.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async { tokio::time::timeout(DEADLINE, test).await.expect("deadline") })
}

/// A value of a body.
#[derive(Clone, Debug)]
pub enum V {
    N(i16),
    Q(u16),
    I(i32),
    U(u32),
    Y(u8),
    X(i64),
    S(String),
    B(bool),
    T(Vec<V>),
    A(Vec<u16>),
    /// A list: the signature of its entries, and they.
    L(String, Vec<V>),
}

fn variant(value: &V) -> Variant<'static> {
    match value.clone() {
        V::N(value) => value.into(),
        V::Q(value) => value.into(),
        V::I(value) => value.into(),
        V::U(value) => value.into(),
        V::Y(value) => value.into(),
        V::X(value) => value.into(),
        V::S(value) => value.into(),
        V::B(value) => value.into(),
        V::A(value) => value.into(),
        V::T(values) => body(&values).unwrap().into(),
        V::L(kind, entries) => {
            let mut list = Array::new(&Signature::try_from(kind.as_str()).unwrap());
            entries.iter().for_each(|entry| list.append(variant(entry)).unwrap());
            list.into()
        }
    }
}

/// The same values as 32-bit integers.
pub fn widened(values: &[V]) -> Vec<V> {
    let wide = |value: &V| match value {
        V::N(value) => V::I((*value).into()),
        V::Q(value) => V::U((*value).into()),
        V::T(values) => V::T(widened(values)),
        V::L(kind, entries) => V::L(kind.replace('n', "i").replace('q', "u"), widened(entries)),
        other => other.clone(),
    };
    values.iter().map(wide).collect()
}

/// A body of values; `None` is the empty one.
pub fn body(values: &[V]) -> Option<Structure<'static>> {
    let mut builder = Structure::builder();
    for value in values {
        builder = builder.append_field(variant(value));
    }
    (!values.is_empty()).then(|| builder.build().unwrap())
}

/// A client as others write it: raw calls.
pub struct Raw {
    pub connection: Connection,
    pub destination: Option<&'static str>,
}

impl Raw {
    pub async fn bus(address: &str) -> Self {
        Self {
            connection: Builder::address(address).build().await.unwrap(),
            destination: Some(BUS_NAME),
        }
    }

    pub async fn call_at(
        &self,
        path: &str,
        interface: Option<&str>,
        member: &str,
        values: &[V],
    ) -> zbus::Result<Message> {
        let to = self.destination;
        match body(values) {
            Some(body) => self.connection.call_method(to, path, interface, member, &body).await,
            None => self.connection.call_method(to, path, interface, member, &()).await,
        }
    }

    pub async fn call(&self, member: &str, values: &[V]) -> zbus::Result<Message> {
        self.call_at(COMMAND_PATH, Some(COMMAND_INTERFACE), member, values)
            .await
    }
}

/// The next message.
pub async fn next(stream: &mut zbus::MessageStream) -> Message {
    use zbus::export::futures_core::Stream;
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *stream).poll_next(context))
        .await
        .unwrap()
        .unwrap()
}

/// The next message that is no signal (the bus greets with NameAcquired).
pub async fn next_but_signals(stream: &mut zbus::MessageStream) -> Message {
    loop {
        let message = next(stream).await;
        if message.message_type() != zbus::message::Type::Signal {
            return message;
        }
    }
}

/// An error in answer to `call`.
pub fn refusal(call: &Message, name: &'static str) -> Message {
    let name = zbus::names::ErrorName::try_from(name).unwrap();
    Message::error(&call.header(), name).build(&"no").unwrap()
}

/// The body's signature as its bytes in the header have it (zbus's parsed form hides a lone structure's parentheses).
pub fn signature_bytes(message: &Message) -> String {
    let bytes = message.data().bytes();
    let parsed = message.body().signature().to_string();
    let lone = format!("\u{1}g\0{}{parsed}\0", char::from(u8::try_from(parsed.len()).unwrap()));
    match bytes.windows(lone.len()).any(|window| window == lone.as_bytes()) {
        true => parsed,
        false => message.body().signature().to_string_no_parens(),
    }
}

/// The name of the D-Bus error in `result`.
pub fn error_name<T>(result: zbus::Result<T>) -> String {
    match result {
        Ok(_) => "no error".to_owned(),
        Err(zbus::Error::FDO(error)) => zbus::DBusError::name(&*error).to_string(),
        Err(zbus::Error::MethodError(name, ..)) => name.to_string(),
        Err(error) => format!("{error:?}"),
    }
}

/// Two ends of a connection without a bus: ours, and a raw client.
pub async fn peers() -> (Connection, Raw) {
    let (a, b) = std::os::unix::net::UnixStream::pair().unwrap();
    let guid = zbus::Guid::generate();
    let server = Builder::unix_stream(a).server(guid).p2p().build();
    let client = Builder::unix_stream(b).p2p().build();
    let (server, client) = tokio::join!(server, client);
    let raw = Raw {
        connection: client.unwrap(),
        destination: None,
    };
    (server.unwrap(), raw)
}

/// (name, (name, type) of each argument in, types out) of an interface's methods in introspection XML.
#[allow(clippy::type_complexity, reason = "read once")]
pub fn listed_methods(xml: &str, interface: &str) -> Vec<(String, Vec<(String, String)>, Vec<String>)> {
    let attribute = |line: &str, name: &str| {
        let from = line.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        line[from..].split('"').next().unwrap().to_owned()
    };
    let start = xml.find(&format!("<interface name=\"{interface}\">")).unwrap();
    let section = &xml[start..start + xml[start..].find("</interface>").unwrap()];
    let mut methods = Vec::new();
    for block in section.split("<method ").skip(1) {
        let block = block.split("</method>").next().unwrap();
        let args = |direction: &str| -> Vec<(String, String)> {
            let wanted = format!("direction=\"{direction}\"");
            let lines = block.lines().filter(|line| line.contains(&wanted));
            lines
                .map(|line| (attribute(line, "name"), attribute(line, "type")))
                .collect()
        };
        let outs = args("out").into_iter().map(|arg| arg.1).collect();
        methods.push((attribute(block, "name"), args("in"), outs));
    }
    methods
}
