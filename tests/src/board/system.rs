//! A whole system on the board: the hypervisor, one manifest, the images it names.
//!
//! ```text
//!  board's init ──► vfio CODEC ──► hypervisor run /board/board.toml ──► the script: waits for lines, stops ──► power-off
//!                                       │ a console a partition: NAME.log outside; hypervisor.log
//! ```

use std::path::{Path, PathBuf};

use super::{Board, CODEC, Contents, Image};
use crate::guest::{GuestError, Kernel};

/// Takes the kernel's brakes off real-time threads, as `hypervisor check` advises.
pub(crate) const UNBRAKED: &str = r#"
echo -1 > /proc/sys/kernel/sched_rt_runtime_us
for runtime in /sys/kernel/debug/sched/fair_server/cpu*/runtime; do echo 0 > "$runtime"; done
"#;
/// In front of the script: starts everything, and gives it `until_line CONSOLE TEXT` (waits for a line), `stop` (ends all; its status is
/// the hypervisor's).
const START: &str = r#"
[ -n "$codec" ] && { vfio "$codec" || return 1; }
run=/run/board
mkdir -p -m 700 "$run"
for name in $consoles; do
    : > "$run/$name.console"
    tail -f "$run/$name.console" > "/dev/virtio-ports/$name" &
done
until_line() {
    until grep -q "$2" "$run/$1.console"; do
        [ -d "/proc/$hypervisor" ] || { echo "board: the hypervisor is gone"; return 1; }
        sleep 0.05
    done
}
stop() {
    kill "$hypervisor"
    wait "$hypervisor"
}
hypervisor run /board/board.toml --run-dir "$run" $hypervisor_options < /dev/null > /dev/virtio-ports/hypervisor 2>&1 &
hypervisor=$!
"#;
/// What the VMM processes said goes to the board's own console; everything in the logs has left the board.
const END: &str = "\nstatus=$?\ncat \"$run\"/*.log\nsleep 1.2\nreturn $status\n";

/// See the module.
#[derive(Clone, Debug)]
pub struct System {
    /// Text of the manifest; its images are `images/NAME`.
    pub manifest: String,
    /// Files of this machine, by NAME.
    pub images: Vec<(PathBuf, String)>,
    /// The hypervisor; `bus-port` is beside it where the manifest wants it.
    pub hypervisor: PathBuf,
    /// Partitions whose consoles are wanted outside.
    pub consoles: Vec<String>,
    /// Shell script, run once everything is started; the board ends with it.
    pub script: String,
    /// The codec is passed through (its address is [`CODEC`]).
    pub codec: bool,
    /// Added to `hypervisor run`.
    pub options: String,
}

impl System {
    /// A board that runs it, in `directory`.
    ///
    /// # Errors
    /// As [`Image::build`].
    pub fn board(&self, name: &str, kernel: &Kernel, directory: PathBuf) -> Result<Board, GuestError> {
        let consoles = self.consoles.join(" ");
        let codec = if self.codec { CODEC } else { "" };
        let scenario = format!(
            "codec={codec}\nconsoles='{consoles}'\nhypervisor_options='{}'\n{UNBRAKED}{START}{}{END}",
            self.options, self.script
        );
        let images = self
            .images
            .iter()
            .map(|(path, name)| (path.clone(), format!("board/images/{name}")));
        let mut built = vec![(self.hypervisor.clone(), "usr/bin/hypervisor".to_owned())];
        if self.manifest.contains("dbus_port") {
            built.push((
                self.hypervisor.with_file_name("bus-port"),
                "usr/bin/bus-port".to_owned(),
            ));
        }
        let contents = Contents {
            built,
            copies: images.collect(),
            files: vec![("board/board.toml".to_owned(), self.manifest.clone().into_bytes(), 0o644)],
            scenario: Some(scenario),
            ..Contents::default()
        };
        std::fs::create_dir_all(&directory).map_err(crate::guest::at(&directory))?;
        let image = Image::build(kernel, &contents, &initrd(&directory))?;
        let mut board = Board::new(name, image, directory);
        board.consoles = self.consoles.clone();
        board.consoles.push("hypervisor".to_owned());
        Ok(board)
    }
}

fn initrd(directory: &Path) -> PathBuf {
    directory.join("board.cpio")
}
