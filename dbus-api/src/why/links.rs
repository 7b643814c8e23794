//! Links of which the state of a stream, or a reason of the policy, tells all there is.

use super::Link;
use crate::status::{Reason, Stream, StreamState};

/// Where a guest's volume element ends, dB: whoever turns it there means silence.
const LOWEST_DB: f32 = -60.0;

/// What a guest and its driver say.
pub(super) fn of_guest(stream: &Stream) -> Option<Link> {
    let guest = &stream.guest;
    let link = match stream.state {
        StreamState::NotConnected => {
            let text = format!("guest {guest} is not connected");
            Link::new(
                "guest-not-connected",
                text,
                "its virtual machine runs and its sound driver is loaded",
            )
        }
        StreamState::Fault => {
            let text = format!("guest {guest} broke the protocol: {}", stream.fault);
            Link::new("fault", text, "the guest's driver is reset")
        }
        StreamState::Idle => Link::new("not-started", "no application in the guest has opened it", "one plays"),
        StreamState::Prepared => Link::new("not-started", "it is prepared and not started", "the guest starts it"),
        StreamState::Stopped => Link::new(
            "stopped",
            "the guest has paused or stopped it",
            "the guest starts it again",
        ),
        StreamState::Deciding => Link::new(
            "deciding",
            "its start waits for the policy",
            "the policy decides, or the decision limit ends",
        ),
        _ => return None,
    };
    Some(link)
}

/// A source's own gain and mute: its guest's control elements, or a user over D-Bus.
pub(super) fn of_user(stream: &Stream) -> Option<Link> {
    let name = &stream.name;
    if stream.mute {
        let release = format!("it is unmuted in the guest, or `audioctl unmute {name}`");
        return Some(Link::new("user-muted", "it is muted by its guest or a user", release));
    }
    stream.wanted_db.is_none_or(|gain| gain <= LOWEST_DB).then(|| {
        let release = format!("its volume is raised in the guest, or `audioctl volume {name} 0dB`");
        Link::new("user-gain", "its guest or a user turned it down to silence", release)
    })
}

fn named(reason: &Reason, link: &'static str, zone: &str, text: String, release: String) -> Link {
    Link {
        by: reason.by.clone(),
        for_ms: Some(reason.for_ms),
        line: reason.line,
        ..Link::new(link, text, release).at(zone)
    }
}

/// A reason that lets nothing through.
pub(super) fn held_up(reason: &Reason, zone: &str) -> Option<Link> {
    let by = &reason.by;
    let ends = format!("{by} ends");
    let (link, text, release) = match reason.cause.as_str() {
        "rejected" => {
            let again = "it is started or connected again when that has ended";
            ("rejected", format!("refused because of {by}"), again.to_owned())
        }
        "delayed" => ("delayed", format!("it waits for {by}"), ends),
        "paused" => ("paused", format!("paused for {by}"), ends),
        "suspended by rule" => {
            let release = "a rule resumes it, or it is started or connected again".to_owned();
            ("suspended-by-rule", "a rule has suspended it".to_owned(), release)
        }
        "muted by rule" => {
            let release = "what the rule mutes it for ends, or a rule unmutes it".to_owned();
            ("muted-by-rule", "a rule mutes it".to_owned(), release)
        }
        _ => return None,
    };
    Some(named(reason, link, zone, text, release))
}

/// A reason that lets less through.
pub(super) fn quieter(reason: &Reason, zone: &str) -> Option<Link> {
    let takes = reason
        .gain_db
        .map_or_else(|| "to silence".to_owned(), |gain| format!("by {:.1} dB", -gain));
    let (link, text, release) = match reason.cause.as_str() {
        "ducked" => (
            "ducked",
            format!("ducked {takes} by {}", reason.by),
            format!("{} ends", reason.by),
        ),
        "main volume" => {
            let release = format!("`audioctl volume {zone} VALUE`");
            (
                "zone-volume",
                format!("turned down {takes} by the zone's volume"),
                release,
            )
        }
        "limited" => (
            "limited-by-rule",
            format!("turned down {takes} by a rule"),
            "what the rule limits it for ends, or a rule lifts it".to_owned(),
        ),
        "user gain" => {
            let release = "its volume is raised in the guest or with `audioctl volume`".to_owned();
            (
                "user-gain",
                format!("turned down {takes} by its guest or a user"),
                release,
            )
        }
        _ => return None,
    };
    Some(named(reason, link, zone, text, release))
}
