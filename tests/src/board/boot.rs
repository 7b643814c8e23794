//! How long a stock guest takes from its VMM's start to its own first process: ours, QEMU's q35 and QEMU's microvm, one after
//! the other on one board, in virtual time: an instruction costs the same in each, whatever else this machine does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Board, Codec, Contents, Image};
use crate::guest::{GuestError, at};
use crate::nested::{self, Linux};

const LIMIT: Duration = Duration::from_secs(840);
/// Lines of the board's console in a message.
const TAIL: usize = 60;
const FIRMWARE: [&str; 5] = [
    "bios-256k.bin",
    "bios-microvm.bin",
    "linuxboot_dma.bin",
    "kvmvapic.bin",
    "pvh.bin",
];
const MANIFEST: &str = r#"
version = 1
name = "boot"
[host]
cpus = "0"
[partitions.guest]
role = "guest"
cpus = "1"
memory = "128M"
kernel = "/vmlinuz"
initrd = "/guest.cpio"
cmdline = "console=ttyS0 quiet panic=-1 reboot=t"
restart = { policy = "never" }
"#;
/// The same kernel, initramfs, memory and command line for each; a guest's first line ends its time.
/// QEMU asks for huge pages for its anonymous memory and gets them; a memfd, as our guests' memory is, gets them on advice only where
/// the host allows that, which is not the default: ours boots both ways.
const SCENARIO: &str = r#"
until_up() {
    until grep -q 'guest: up' "$2" 2> /dev/null; do
        [ -d "/proc/$vmm" ] || { echo "board: $1 ended without a guest"; cat "$2" "/tmp/$1.err"; exit 1; }
        sleep 0.01
    done
    echo "boot: $1 $began $(uptime_s)"
    kill "$vmm"
    wait "$vmm"
}
qemu() {
    began=$(uptime_s)
    qemu-system-x86_64 -L /firmware -accel kvm -cpu host -machine "$2" -m 128 -nodefaults -no-user-config -display none -no-reboot \
        -serial "file:/tmp/$1" -kernel /vmlinuz -initrd /guest.cpio -append "console=ttyS0 quiet panic=-1 reboot=t" \
        > "/tmp/$1.err" 2>&1 &
    vmm=$!
    until_up "$1" "/tmp/$1"
}
ours() {
    began=$(uptime_s)
    hypervisor run --no-host-check --run-dir "/run/$1" /board.toml > "/tmp/$1.err" 2>&1 &
    vmm=$!
    until_up "$1" "/run/$1/guest.console"
}
ours ours
echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled
ours advised
qemu q35 q35
qemu microvm microvm
"#;

/// A VMM and its guest's boot, seconds.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Boot {
    /// `ours`, `advised` (ours, where a memfd may come in huge pages), `q35`, `microvm`.
    pub vmm: String,
    /// From the VMM's start to the guest's first process.
    pub seconds: f64,
}

/// Boots all of them in `folder`.
///
/// # Errors
/// Something is not built or installed, or a guest did not come up: its console's end is in the message.
pub fn compare(folder: &Path, hypervisor: &Path) -> Result<Vec<Boot>, GuestError> {
    std::fs::create_dir_all(folder).map_err(at(folder))?;
    let kernel = nested::kernel()?;
    let guest = Linux {
        scenario: "sleep 60".to_owned(),
        ..Linux::default()
    };
    let firmware = FIRMWARE.map(|name| {
        let places = super::machine::FIRMWARE.map(|place| Path::new(place).join(name));
        let found = places.into_iter().find(|path| path.exists());
        found
            .map(|path| (path, format!("firmware/{name}")))
            .ok_or_else(|| GuestError::Missing(name.to_owned()))
    });
    let mut copies: Vec<(PathBuf, String)> = firmware.into_iter().collect::<Result<_, _>>()?;
    copies.push((kernel.image.clone(), "vmlinuz".to_owned()));
    let contents = Contents {
        programs: vec!["qemu-system-x86_64".to_owned()],
        built: vec![(hypervisor.to_path_buf(), "usr/bin/hypervisor".to_owned())],
        copies,
        files: vec![
            ("board.toml".to_owned(), MANIFEST.into(), 0o644),
            ("guest.cpio".to_owned(), guest.initramfs(&kernel)?, 0o644),
        ],
        scenario: Some(SCENARIO.to_owned()),
        ..Contents::default()
    };
    let image = Image::build(&kernel, &contents, &folder.join("board.cpio"))?;
    let mut board = Board::new("boot", image, folder.to_path_buf()).in_virtual_time(1)?;
    board.codec = Codec::None;
    let log = board.log("board");
    let outcome = board.start()?.finish(LIMIT)?;
    if outcome.status != 0 {
        return Err(GuestError::Program {
            program: "the board's scenario".to_owned(),
            message: format!("ended with status {}:\n{}", outcome.status, log.tail(TAIL)),
        });
    }
    Ok(log.text().lines().filter_map(boot).collect())
}

/// Whether ours is up sooner than both of QEMU's, with the kernel's default and where a memfd may come in huge pages.
#[must_use]
pub fn is_ahead(boots: &[Boot]) -> bool {
    let [ours, advised, others @ ..] = boots else {
        return false;
    };
    let behind = |other: &Boot| other.seconds > ours.seconds.max(advised.seconds);
    others.len() == 2 && others.iter().all(behind)
}

/// `boot: VMM BEGAN UP`
fn boot(line: &str) -> Option<Boot> {
    let mut words = line.split("boot: ").nth(1)?.split(' ');
    let vmm = words.next()?.to_owned();
    let mut time = || words.next()?.trim().parse::<f64>().ok();
    let (began, up) = (time()?, time()?);
    Some(Boot {
        vmm,
        seconds: up - began,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_is_ahead_only_if_it_is_both_ways_of_both_others() {
        let boots = |times: [f64; 4]| {
            let vmms = ["ours", "advised", "q35", "microvm"].into_iter().zip(times);
            let boots = vmms.map(|(vmm, seconds)| Boot {
                vmm: vmm.to_owned(),
                seconds,
            });
            is_ahead(&boots.collect::<Vec<_>>())
        };
        assert!(boots([3.4, 3.2, 3.6, 4.8]));
        assert!(!boots([3.7, 3.2, 3.6, 4.8]) && !boots([3.4, 3.7, 3.6, 4.8]) && !boots([3.4, 3.2, 3.6, 3.3]));
        assert!(!is_ahead(&[]));
    }

    #[test]
    fn a_boot_is_the_difference_of_two_times_of_one_clock() {
        let boot = boot("x boot: q35 10.50 14.00").map(|boot| (boot.vmm, boot.seconds));

        assert_eq!(boot, Some(("q35".to_owned(), 3.5)));
        assert_eq!(super::boot("board: ready 3.0"), None);
    }
}
