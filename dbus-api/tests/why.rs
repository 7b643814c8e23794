//! `why`: one crafted status a cause, and what is said about it to the letter.
#![allow(clippy::unwrap_used, reason = "tests")]

use dbus_api::status::{
    Chime, Codec, Direction, Domain, Guest, Reason, Route, Sink, Status, Stream, StreamState, Tap, Zone,
};
use dbus_api::why::{Looks, Why, sink, source};

fn reason(cause: &str, by: &str, gain_db: Option<f32>) -> Reason {
    Reason {
        cause: cause.into(),
        by: by.into(),
        gain_db,
        for_ms: 3250,
        line: Some(21),
    }
}

fn tap(gain_db: Option<f32>, reasons: Vec<Reason>) -> Tap {
    Tap {
        zone: "cabin".into(),
        gain_db,
        reasons,
        groups: Vec::new(),
    }
}

/// A car in which everything is heard: media and a prompt in the cabin.
fn car() -> Status {
    let stream = |name: &str, guest: &str| Stream {
        name: name.into(),
        guest: guest.into(),
        state: StreamState::Running,
        taps: vec![tap(Some(0.0), Vec::new())],
        wanted_db: Some(0.0),
        effective_db: Some(0.0),
        level_dbfs: Some(-12.0),
        level_after_dbfs: Some(-12.0),
        starved: 7,
        ..Stream::default()
    };
    Status {
        codecs: vec![Codec {
            name: "main".into(),
            position: 1000,
            rate: 48_000,
            period: 48,
            ..Codec::default()
        }],
        zones: vec![Zone {
            name: "cabin".into(),
            codec: "main".into(),
            volume: 100,
            volume_db: Some(0.0),
            ..Zone::default()
        }],
        streams: vec![stream("ivi.media", "ivi"), stream("cluster.prompt", "cluster")],
        chimes: vec![Chime {
            name: "belt".into(),
            zones: vec!["cabin".into()],
            ..Chime::default()
        }],
        guests: vec![Guest {
            name: "ivi".into(),
            connected: true,
            ..Guest::default()
        }],
        ..Status::default()
    }
}

/// Two looks at a car; between them its codec plays on.
fn ask(change: impl Fn(&mut Status), name: &str) -> Why {
    let mut before = car();
    change(&mut before);
    let mut now = before.clone();
    now.codecs[0].position += 19_200;
    let looks = Looks {
        before: &before,
        now: &now,
    };
    source(looks, name).or_else(|| sink(looks, name)).unwrap()
}

/// Why the media stream is silent after a change.
fn media(change: impl Fn(&mut Stream)) -> String {
    ask(|car| change(&mut car.streams[0]), "ivi.media").text()
}

#[test]
fn what_is_heard_is_said_to_be() {
    assert_eq!(media(|_| {}), "ivi.media is heard, and nothing makes it quieter\n");
    assert_eq!(
        ask(|_| {}, "cabin").text(),
        "cabin is heard, and nothing makes it quieter\n"
    );
}

#[test]
fn guest_not_connected() {
    assert_eq!(
        media(|it| it.state = StreamState::NotConnected),
        "ivi.media is not heard\n  guest ivi is not connected\n      until its virtual machine runs and its sound driver is loaded\n"
    );
}

#[test]
fn stream_not_started() {
    let idle = "ivi.media is not heard\n  no application in the guest has opened it\n      until one plays\n";
    let prepared = "ivi.media is not heard\n  it is prepared and not started\n      until the guest starts it\n";
    assert_eq!(media(|it| it.state = StreamState::Idle), idle);
    assert_eq!(media(|it| it.state = StreamState::Prepared), prepared);
}

#[test]
fn stream_paused_by_its_guest() {
    assert_eq!(
        media(|it| it.state = StreamState::Stopped),
        "ivi.media is not heard\n  the guest has paused or stopped it\n      until the guest starts it again\n"
    );
}

#[test]
fn start_not_decided() {
    let said = media(|it| it.state = StreamState::Deciding);
    assert!(said.contains("\n  its start waits for the policy\n"), "{said}");
}

#[test]
fn guest_broke_the_protocol() {
    let said = media(|it| {
        it.state = StreamState::Fault;
        it.fault = "the available index jumped".into();
    });
    assert!(
        said.contains("\n  guest ivi broke the protocol: the available index jumped\n"),
        "{said}"
    );
}

#[test]
fn ring_empty() {
    let mut before = car();
    before.streams[0].level_dbfs = None;
    let mut now = before.clone();
    now.codecs[0].position += 19_200;
    now.streams[0].starved += 400;

    let said = source(
        Looks {
            before: &before,
            now: &now,
        },
        "ivi.media",
    )
    .unwrap()
    .text();

    assert_eq!(
        said,
        "ivi.media is not heard\n  its ring is empty: nothing came in 400 periods since the first look\n      \
         until the guest's application writes again\n"
    );
}

#[test]
fn digital_silence() {
    let said = media(|it| it.level_dbfs = None);
    assert!(
        said.contains("\n  the guest sends digital silence: every sample is 0\n"),
        "{said}"
    );
}

#[test]
fn guests_own_control_muted_or_at_zero() {
    assert_eq!(
        media(|it| it.mute = true),
        "ivi.media is not heard\n  it is muted by its guest or a user\n      until it is unmuted in the guest, or `audioctl unmute ivi.media`\n"
    );
    // The end of the element's scale is meant as silence.
    for wanted in [None, Some(-60.0)] {
        let said = media(|it| it.wanted_db = wanted);
        assert!(
            said.contains("\n  its guest or a user turned it down to silence\n"),
            "{said}"
        );
    }
}

#[test]
fn no_route() {
    assert_eq!(
        media(|it| {
            it.taps.clear();
            it.state = StreamState::Discarding;
        }),
        "ivi.media is not heard\n  it is connected to no zone\n      until `audioctl connect ivi.media ZONE`, or a `zone` in its line of the file\n"
    );
}

#[test]
fn refused_with_the_line() {
    assert_eq!(
        media(|it| it.taps = vec![tap(None, vec![reason("rejected", "phone.call", None)])]),
        "ivi.media is not heard\n  at cabin: refused because of phone.call (line 21 of the file)\n      for 3.2 s\n      \
         until it is started or connected again when that has ended\n"
    );
}

#[test]
fn delayed_and_paused_by_the_policy() {
    let of = |cause: &'static str| {
        media(move |it| {
            it.state = StreamState::Paused;
            it.level_dbfs = None;
            it.taps = vec![tap(None, vec![reason(cause, "phone.call", None)])];
        })
    };
    assert_eq!(
        of("paused"),
        "ivi.media is not heard\n  at cabin: paused for phone.call (line 21 of the file)\n      for 3.2 s\n      until phone.call ends\n"
    );
    assert!(of("delayed").contains("at cabin: it waits for phone.call (line 21 of the file)\n"));
}

#[test]
fn ducked() {
    assert_eq!(
        media(|it| it.taps = vec![tap(Some(-14.0), vec![reason("ducked", "cluster.prompt", Some(-14.0))])]),
        "ivi.media is heard, and quieter than it is meant to be\n  \
         at cabin: ducked by 14.0 dB by cluster.prompt (line 21 of the file)\n      for 3.2 s\n      until cluster.prompt ends\n"
    );
}

#[test]
fn ducked_in_a_channel_group_apart_is_said_of_the_group() {
    let ducked = |gain| vec![reason("ducked", "cluster.prompt", Some(gain))];
    let front = Tap {
        zone: "front".into(),
        ..tap(Some(-12.0), ducked(-12.0))
    };

    let why = media(|it| {
        it.taps = vec![Tap {
            groups: vec![front.clone()],
            ..tap(Some(0.0), Vec::new())
        }]
    });

    assert!(
        why.contains("at cabin.front: ducked by 12.0 dB by cluster.prompt (line 21 of the file)\n"),
        "{why}"
    );
}

#[test]
fn ducked_to_silence_is_not_heard() {
    let why = ask(
        |car| car.streams[0].taps = vec![tap(None, vec![reason("ducked", "cluster.prompt", None)])],
        "ivi.media",
    );

    assert!(!why.heard);
    assert_eq!(
        (why.links[0].link, why.links[0].by.as_str()),
        ("ducked", "cluster.prompt")
    );
}

#[test]
fn limited() {
    let why = ask(|car| car.zones[0].limiter_db = -3.4, "ivi.media");

    assert_eq!((why.heard, why.links[0].link), (true, "limited"));
    assert!(
        why.text().contains("the limiter of cabin takes 3.4 dB"),
        "{}",
        why.text()
    );
}

#[test]
fn zone_muted_or_at_zero() {
    let muted = ask(|car| car.zones[0].mute = true, "ivi.media");
    let down = ask(
        |car| {
            car.zones[0].volume = 0;
            car.zones[0].volume_db = None;
        },
        "ivi.media",
    );

    assert_eq!(
        muted.text(),
        "ivi.media is not heard\n  at cabin: cabin is muted\n      until `audioctl unmute cabin`\n"
    );
    assert_eq!((down.heard, down.links[0].link), (false, "zone-volume"));
    assert!(down.text().contains("the volume of cabin is 0: silence"));
}

#[test]
fn codec_stalled_by_its_own_word_or_because_nothing_moves() {
    let said = ask(|car| car.codecs[0].stalled = true, "ivi.media").text();
    assert!(said.contains("at cabin: codec main stands still"), "{said}");

    let car = car();
    let still = Looks {
        before: &car,
        now: &car,
    };
    for why in [
        source(still, "ivi.media"),
        source(still, "chime.belt"),
        sink(still, "cabin"),
    ] {
        assert!(!why.unwrap().heard);
    }
    let why = source(still, "ivi.media").unwrap();
    assert_eq!(why.links[0].text, "codec main has played no frame since the first look");
}

#[test]
fn the_first_silent_link_is_named_and_none_behind_it() {
    let why = ask(
        |car| {
            car.codecs[0].stalled = true;
            car.zones[0].mute = true;
            car.streams[0].mute = true;
            car.streams[0].state = StreamState::NotConnected;
        },
        "ivi.media",
    );

    assert_eq!(
        why.links.iter().map(|link| link.link).collect::<Vec<_>>(),
        ["guest-not-connected"]
    );
}

#[test]
fn each_zone_of_a_source_has_its_own_answer() {
    let why = ask(
        |car| {
            let rear = Zone {
                name: "rear".into(),
                mute: true,
                ..car.zones[0].clone()
            };
            car.zones.push(rear);
            car.streams[0].taps.push(Tap {
                zone: "rear".into(),
                gain_db: None,
                reasons: Vec::new(),
                groups: Vec::new(),
            });
        },
        "ivi.media",
    );

    assert!(why.heard, "in the cabin");
    assert_eq!((why.links[0].link, why.links[0].zone.as_str()), ("zone-muted", "rear"));
}

#[test]
fn a_zone_tells_of_its_own_state_or_of_each_source_there() {
    assert_eq!(
        ask(|car| car.zones[0].mute = true, "cabin").text(),
        "cabin is not heard\n  at cabin: cabin is muted\n      until `audioctl unmute cabin`\n"
    );
    let stopped = ask(
        |car| car.streams.iter_mut().for_each(|it| it.state = StreamState::Stopped),
        "cabin",
    );
    assert_eq!(
        stopped.text(),
        "cabin is not heard\n  ivi.media: the guest has paused or stopped it\n      until the guest starts it again\n  \
         cluster.prompt: the guest has paused or stopped it\n      until the guest starts it again\n"
    );
    let nobody = ask(|car| car.streams.iter_mut().for_each(|it| it.taps.clear()), "cabin");
    assert_eq!((nobody.heard, nobody.links[0].link), (false, "no-source"));
}

#[test]
fn a_chime_sounds_or_was_not_asked_for() {
    let silent = ask(|_| {}, "chime.belt");
    let sounds = ask(|car| car.chimes[0].sounding = true, "belt");

    assert_eq!((silent.heard, silent.links[0].link), (false, "chime-silent"));
    assert_eq!(sounds.text(), "chime.belt is heard, and nothing makes it quieter\n");
}

#[test]
fn what_records_is_not_played_and_what_nobody_knows_has_no_answer() {
    assert_eq!(
        media(|it| it.direction = Direction::Capture),
        "ivi.media is not heard\n  it records: nothing of it is played\n"
    );
    let car = car();
    let looks = Looks {
        before: &car,
        now: &car,
    };
    assert_eq!((source(looks, "radio"), sink(looks, "roof")), (None, None));
}

#[test]
fn limited_muted_or_suspended_by_a_rule_with_its_line_since_when_and_what_ends_it() {
    let said = |cause: &str, gain: Option<f32>| media(|it| it.taps = vec![tap(gain, vec![reason(cause, "", gain)])]);
    assert_eq!(
        said("limited", Some(-20.0)),
        "ivi.media is heard, and quieter than it is meant to be\n  at cabin: turned down by 20.0 dB by a rule (line 21 of the file)\n      \
         for 3.2 s\n      until what the rule limits it for ends, or a rule lifts it\n"
    );
    assert_eq!(
        said("muted by rule", None),
        "ivi.media is not heard\n  at cabin: a rule mutes it (line 21 of the file)\n      for 3.2 s\n      \
         until what the rule mutes it for ends, or a rule unmutes it\n"
    );
    assert_eq!(
        said("suspended by rule", None),
        "ivi.media is not heard\n  at cabin: a rule has suspended it (line 21 of the file)\n      for 3.2 s\n      \
         until a rule resumes it, or it is started or connected again\n"
    );
}

/// The media stream on its way to an amplifier's speakers.
fn over_amplifier(state: i16, owes: usize, change: impl Fn(&mut Sink)) -> impl Fn(&mut Status) {
    move |car| {
        let mut sink = Sink {
            name: "speakers".into(),
            domain: "amplifier".into(),
            available: true,
            ..Sink::default()
        };
        change(&mut sink);
        car.sinks = vec![sink];
        car.domains = vec![Domain {
            name: "amplifier".into(),
            owes,
            owes_for_ms: 1250,
            ..Domain::default()
        }];
        car.streams[0].taps.clear();
        car.streams[0].routes = vec![Route {
            connection: 7,
            state,
            zone: "speakers".into(),
        }];
    }
}

#[test]
fn sink_of_a_domain_unavailable() {
    let gone = over_amplifier(4, 0, |sink| sink.available = false);
    let said = "  at speakers: speakers is unavailable: domain amplifier says so\n      \
                until the domain says that it is there again\n";
    assert_eq!(
        ask(&gone, "ivi.media").text(),
        format!("ivi.media is not heard\n{said}")
    );
    assert_eq!(ask(&gone, "speakers").text(), format!("speakers is not heard\n{said}"));
}

#[test]
fn domain_not_acking() {
    let late = over_amplifier(1, 2, |_| {});
    assert_eq!(
        ask(&late, "ivi.media").text(),
        "ivi.media is not heard\n  at speakers: domain amplifier has not acknowledged 2 of what it was asked\n      for 1.2 s\n      \
         until it acknowledges, or its time is over and the connection is given up\n"
    );
}

#[test]
fn sink_of_a_domain_muted_or_without_a_source() {
    let muted = over_amplifier(2, 0, |sink| sink.mute = true);
    assert!(
        ask(&muted, "speakers")
            .text()
            .contains("until `audioctl unmute speakers`")
    );
    let connected = over_amplifier(2, 0, |_| {});
    assert!(ask(&connected, "speakers").heard);
    let alone = |car: &mut Status| {
        connected(car);
        car.streams[0].routes.clear();
    };
    assert_eq!(ask(alone, "speakers").links[0].link, "no-source");
}

#[test]
fn another_device_than_the_one_meant_is_named_since_it_can_not_be_seen() {
    let said = ask(
        |car| {
            car.codecs[0].backend = "alsa".into();
            car.codecs[0].device = "hw:1,0".into();
        },
        "ivi.media",
    );
    assert!(said.heard && said.beyond.len() == 1);
    assert!(
        said.text().contains(
            "at cabin: it leaves here for hw:1,0; if nothing comes out of it, another is meant, or what follows it is off\n      \
             until `device` names another (`audiod doctor --codec`), or its plug, amplifier or mixer is looked at (`alsamixer`)\n"
        ),
        "{}",
        said.text()
    );
}

#[test]
fn card_muted() {
    let said = ask(|car| car.codecs[0].muted = "Master is off".into(), "ivi.media");
    assert_eq!((said.heard, said.links[0].link), (false, "card-muted"));
    assert!(
        said.text()
            .contains("at cabin: the card of codec main is muted: Master is off\n"),
        "{}",
        said.text()
    );
}
