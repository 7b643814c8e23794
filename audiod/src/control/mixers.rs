//! The mixers of real cards. A stream may reach its card and still be silent there: what `audioctl why` can't see in any block, the
//! card's own control elements say. Read when somebody asks; nothing is ever set.

use alsa::mixer::{Mixer, Selem, SelemChannelId};

use crate::system::{Backend, System};

/// Elements through which all of a card's sound goes.
const WHOLE: [&str; 3] = ["Master", "PCM", "Digital"];
/// Elements of one output each: a card is silent when all that it has are. Digital outputs are not among them: they are off where
/// nobody uses them.
const OUTPUTS: [&str; 5] = ["Speaker", "Headphone", "Line Out", "Front", "Desktop Speaker"];

/// What an element does to the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Open,
    /// Its switch is off in each channel.
    Off,
    /// Its volume is the lowest there is in each channel.
    Lowest,
}

/// One mixer a codec, where it is a card's.
pub struct Mixers(Vec<Option<Mixer>>);

impl Mixers {
    /// Opens them: before the process gives up what it needs for that. A card without a mixer has nothing to mute.
    pub fn open(system: &System) -> Self {
        let mixer = |backend: &Backend| match backend {
            Backend::Alsa { device, .. } => card(device).and_then(|card| Mixer::new(&card, true).ok()),
            _ => None,
        };
        Self(system.codecs.iter().map(|codec| mixer(&codec.backend)).collect())
    }

    /// What keeps a codec's card silent, in words; empty: nothing that its mixer knows of.
    pub fn muted(&self, codec: usize) -> String {
        let Some(mixer) = self.0.get(codec).and_then(Option::as_ref) else {
            return String::new();
        };
        // A card that is gone has nothing to say; its clock tells.
        let _ = mixer.handle_events();
        let elements: Vec<(String, Way)> = mixer.iter().filter_map(Selem::new).filter_map(|it| look(&it)).collect();
        verdict(&elements)
    }
}

/// The control device of a PCM's card, as alsa-lib names it.
fn card(device: &str) -> Option<String> {
    let Some((plugin, arguments)) = device.split_once(':') else {
        return match device {
            "hw" => Some("hw:0".to_owned()),
            "default" | "sysdefault" => Some("default".to_owned()),
            _ => None,
        };
    };
    let first = arguments.split(',').next().filter(|first| !first.is_empty())?;
    let known = ["hw", "plughw", "sysdefault", "front", "dmix", "hdmi", "iec958"].contains(&plugin);
    known.then(|| format!("hw:{first}"))
}

fn look(element: &Selem<'_>) -> Option<(String, Way)> {
    let name = element.get_id().get_name().ok()?.to_owned();
    let channels = SelemChannelId::all()
        .iter()
        .copied()
        .filter(|channel| element.has_playback_channel(*channel));
    let off = |channel| element.get_playback_switch(channel).is_ok_and(|on| on == 0);
    let (lowest, highest) = element.get_playback_volume_range();
    let low = |channel| {
        element
            .get_playback_volume(channel)
            .is_ok_and(|volume| volume <= lowest)
    };
    let way = if element.has_playback_switch() && channels.clone().all(off) {
        Way::Off
    } else if element.has_playback_volume() && lowest < highest && channels.clone().all(low) {
        Way::Lowest
    } else {
        Way::Open
    };
    element.can_playback().then_some((name, way))
}

fn verdict(elements: &[(String, Way)]) -> String {
    let of = |names: &'static [&str]| elements.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let closed = |(_, way): &&(String, Way)| *way != Way::Open;
    let outputs = if of(&OUTPUTS).all(|it| closed(&it)) {
        &OUTPUTS[..]
    } else {
        &[]
    };
    let words = |(name, way): &(String, Way)| match way {
        Way::Off => format!("{name} is off"),
        _ => format!("{name} is at its lowest"),
    };
    let found: Vec<String> = of(&WHOLE).filter(closed).chain(of(outputs)).map(words).collect();
    found.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(elements: &[(&str, Way)]) -> String {
        let elements: Vec<(String, Way)> = elements.iter().map(|(name, way)| ((*name).to_owned(), *way)).collect();
        verdict(&elements)
    }

    #[test]
    fn one_element_that_all_goes_through_is_enough_and_of_the_outputs_all_must_be_closed() {
        use Way::{Lowest, Off, Open};

        assert_eq!(said(&[]), "");
        assert_eq!(said(&[("Master", Off), ("Speaker", Open)]), "Master is off");
        assert_eq!(said(&[("Master", Open), ("PCM", Lowest)]), "PCM is at its lowest");
        assert_eq!(said(&[("Master", Open), ("Headphone", Off), ("Speaker", Open)]), "");
        assert_eq!(
            said(&[("Headphone", Off), ("Speaker", Lowest), ("Mic", Off)]),
            "Headphone is off, Speaker is at its lowest"
        );
        assert_eq!(said(&[("PCM", Open), ("IEC958", Off)]), "");
    }

    #[test]
    fn a_pcms_card_is_found_by_its_name() {
        assert_eq!(card("hw:PCH,0").as_deref(), Some("hw:PCH"));
        assert_eq!(card("hw:CARD=PCH,DEV=3").as_deref(), Some("hw:CARD=PCH"));
        assert_eq!(card("plughw:1").as_deref(), Some("hw:1"));
        assert_eq!(card("default").as_deref(), Some("default"));
        assert_eq!(card("hw").as_deref(), Some("hw:0"));
        assert_eq!((card("null"), card("null:x")), (None, None));
    }
}
