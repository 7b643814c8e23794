//! What the tests share: folders, a bus, a fake control process, bodies of any type.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

pub mod fake;
pub mod rows;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dbus_api::names::{BUS_NAME, COMMAND_INTERFACE, COMMAND_PATH};
use zbus::connection::{Builder, Connection};
use zbus::{Message, Structure};

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
    T(Vec<V>),
    A(Vec<u16>),
}

/// A body of values; `None` is the empty one.
pub fn body(values: &[V]) -> Option<Structure<'static>> {
    let mut builder = Structure::builder();
    for value in values {
        builder = match value.clone() {
            V::N(value) => builder.add_field(value),
            V::Q(value) => builder.add_field(value),
            V::I(value) => builder.add_field(value),
            V::U(value) => builder.add_field(value),
            V::Y(value) => builder.add_field(value),
            V::X(value) => builder.add_field(value),
            V::S(value) => builder.add_field(value),
            V::A(value) => builder.add_field(value),
            V::T(values) => builder.add_field(body(&values).unwrap()),
        };
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
