//! A message bus of one's own: `dbus-daemon` (Debian package `dbus-daemon`) in a folder, for demos and tests.

use std::io::{BufRead, BufReader, Error, ErrorKind, Result, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `dbus-daemon`; ends when dropped.
#[derive(Debug)]
pub struct PrivateBus {
    folder: PathBuf,
    daemon: Option<Child>,
    address: String,
}

/// Everything is allowed, as on a session bus; limits are those of a system bus (a client can flood).
const CONFIG: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=@SOCKET@</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
    <allow user="*"/>
  </policy>
  @MORE@
  <limit name="max_replies_per_connection">50000</limit>
</busconfig>
"#;

impl PrivateBus {
    /// Starts a bus whose socket and configuration are in `folder` (which must exist; the path holds no XML or address
    /// characters).
    ///
    /// # Errors
    /// `dbus-daemon` is not installed, or doesn't come up.
    pub fn start(folder: &Path) -> Result<Self> {
        Self::start_with(folder, "")
    }

    /// As [`Self::start`], with `more` elements in the configuration (policies, limits).
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(folder: &Path, more: &str) -> Result<Self> {
        let socket = folder.join("bus");
        let text = socket.to_str().filter(|text| !text.contains(['<', '&', ',', ';', '%']));
        let text =
            text.ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the folder's path has characters of XML"))?;
        let config = CONFIG.replace("@SOCKET@", text).replace("@MORE@", more);
        std::fs::File::create(folder.join("bus.conf"))?.write_all(config.as_bytes())?;
        let mut bus = Self {
            folder: folder.to_owned(),
            daemon: None,
            address: format!("unix:path={text}"),
        };
        bus.restart()?;
        Ok(bus)
    }

    /// `unix:path=…`, the same after a restart.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Process ID while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.daemon.as_ref().map(Child::id)
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }

    /// Starts it (again) at the same address; returns once it listens.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.kill();
        let _ = std::fs::remove_file(self.folder.join("bus"));
        let config = self.folder.join("bus.conf");
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| {
                Error::new(
                    error.kind(),
                    format!("dbus-daemon: {error} (Debian package dbus-daemon)"),
                )
            })?;
        let mut line = String::new();
        if let Some(stdout) = daemon.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        self.daemon = Some(daemon);
        if line.trim().is_empty() {
            self.kill();
            return Err(Error::other("dbus-daemon ended before it listened"));
        }
        Ok(())
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_file(self.folder.join("bus"));
        let _ = std::fs::remove_file(self.folder.join("bus.conf"));
    }
}
