//! `own-name ADDRESS`: owns the daemon's bus name and does nothing else; what a start is held beside.

use dbus_api::names::BUS_NAME;
use zbus::connection::Builder;

fn main() -> anyhow::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = Builder::address(address.as_str()).name(BUS_NAME).build().await?;
        connection.closed().await;
        Ok(())
    })
}
