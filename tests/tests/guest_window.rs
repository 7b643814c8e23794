//! A stock Debian guest behind the hypervisor's relay, copied to and from a pool (`bounce`), on the shipped daemon: what the board
//! shows in minutes, here in seconds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod guest_common;

use guest_common::{CODEC, RATE, Rig, coded_pair};
use system_tests::windowed::Windowed;

const POOL: u64 = 2 << 20;

#[test]
fn aplay_is_heard_bit_for_bit_by_way_of_a_pool_of_copies() {
    let window = Windowed::bouncing(POOL).unwrap();
    let (take, codec) = coded_pair("S16_LE", RATE, 7);
    let system = format!(
        "{CODEC}[guests.ivi]\nsocket = \"@FOLDER@/ivi.back\"\n{}streams.media = {{ class = \"media\", zone = \"cabin\" }}\n",
        window.own_keys()
    );
    let mut served = None;
    let files = [("take", take)];
    let mut rig = Rig::start_between("window", "6.12", &system, &files, &["aplay"], |folder| {
        served = Some(
            window
                .serve(&folder.join("ivi.sock"), &folder.join("ivi.back"))
                .unwrap(),
        );
    });
    for ring in [
        "--period-size=1024 --buffer-size=8192",
        "--period-size=480 --buffer-size=3840",
    ] {
        let from = rig.recorded();

        rig.run(&format!(
            "aplay -q -D hw:0,0 -t raw -f S16_LE -c 2 -r 48000 {ring} /take"
        ));

        let report = rig.heard(&codec, from);
        assert!(report.is_whole(), "{ring}: {report:?}\n{}", rig.log());
    }
    drop(rig);
    assert!(served.unwrap().rings() > 0);
}
