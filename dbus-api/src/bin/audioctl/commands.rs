//! One function a command.

use std::time::{Duration, Instant};

use dbus_api::client::{Client, Error, Names, nearest};
use dbus_api::server::BusAddress;
use dbus_api::status::{Chime, Status};
use dbus_api::why;
use policy::command::{Call, MainSink, MainSource, ReplyBody};
use serde_json::{Value, json};

use crate::Failure;
use crate::print::{Colour, Printer, lines, plain};
use crate::table;

/// Between two looks at a chime that sounds.
const LOOK: Duration = Duration::from_millis(50);
/// A chime that was accepted and is neither played nor sounding for that long has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// `status`.
pub async fn status(client: &Client, out: &Printer) -> Result<(), Failure> {
    let text = client.status_json().await?;
    Ok(out.raw(&shown(out, &text)?)?)
}

fn shown(out: &Printer, text: &str) -> Result<String, Failure> {
    let unexpected = |error: serde_json::Error| Error::Unexpected(format!("Status: {error}"));
    if out.json {
        let value: Value = serde_json::from_str(text).map_err(unexpected)?;
        return Ok(format!("{value}\n"));
    }
    let status: Status = serde_json::from_str(text).map_err(unexpected)?;
    Ok(table::status(out, &status))
}

/// `status --watch`: goes on while the daemon or the bus is away.
pub async fn watch(
    mut client: Client,
    address: &BusAddress,
    out: &Printer,
    interval: u64,
    count: Option<u64>,
) -> Result<(), Failure> {
    let mut ticks = tokio::time::interval(Duration::from_millis(interval));
    let mut looks = 0;
    while count.is_none_or(|count| looks < count) {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = tokio::signal::ctrl_c() => return Ok(()),
        }
        looks += 1;
        let text = match client.status_json().await {
            Ok(text) => shown(out, &text)?,
            Err(error) => {
                if let Ok(again) = Client::connect(address).await {
                    client = again;
                }
                let error = Failure::from(error);
                if out.json {
                    format!("{}\n", error.json())
                } else {
                    format!("{error}\n")
                }
            }
        };
        let clear = if out.terminal && !out.json { "\x1b[H\x1b[2J" } else { "" };
        out.raw(&format!("{clear}{text}"))?;
    }
    Ok(())
}

/// Between the two looks of `why`: some periods of any codec, and some writes of any guest.
const TWO_LOOKS: Duration = Duration::from_millis(400);

/// `why`.
pub async fn why(client: &Client, out: &Printer, name: &str) -> Result<(), Failure> {
    let before = client.status().await?;
    tokio::time::sleep(TWO_LOOKS).await;
    let now = client.status().await?;
    let looks = why::Looks {
        before: &before,
        now: &now,
    };
    let Some(why) = why::source(looks, name).or_else(|| why::sink(looks, name)) else {
        let streams = now.streams.iter().map(|stream| stream.name.as_str());
        let zones = now.zones.iter().map(|zone| zone.name.as_str());
        let all: Vec<&str> = streams.chain(zones).collect();
        let hint = match nearest(name, all.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("there are: {}", all.join(", ")),
        };
        return Err(Error::NoSuch(format!("there is no stream, chime or zone {name}; {hint}")).into());
    };
    let json = serde_json::to_value(&why).map_err(|error| Error::Unexpected(format!("why: {error}")))?;
    Ok(out.answer(&plain_lines(&why.text()), &json)?)
}

/// Names are others'; the ends of lines are ours.
pub fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line) + "\n").collect()
}

/// `list`.
pub async fn list(client: &Client, out: &Printer) -> Result<(), Failure> {
    let names = Names::ask(client).await?;
    if out.json {
        return Ok(out.line(&list_json(&names).to_string())?);
    }
    let cell = |text: String| (plain(&text), Colour::None);
    let available = |availability: (i16, i16)| {
        if availability.0 == 1 {
            "available"
        } else {
            "not available"
        }
    };
    let mute = |state: i16| if state == 1 { "muted" } else { "" };
    let source = |source: &MainSource| {
        let there = available(source.availability).to_owned();
        vec![
            cell(source.id.to_string()),
            cell(source.name.clone()),
            cell(source.class.to_string()),
            cell(there),
        ]
    };
    let sink = |sink: &MainSink| {
        let volume = format!("{} {}", sink.volume, mute(sink.mute));
        let there = available(sink.availability).to_owned();
        vec![
            cell(sink.id.to_string()),
            cell(sink.name.clone()),
            cell(volume),
            cell(there),
        ]
    };
    let sources: Vec<_> = names.sources.iter().map(source).collect();
    let sinks: Vec<_> = names.sinks.iter().map(sink).collect();
    let connections: Vec<_> = names
        .connections
        .iter()
        .map(|c| {
            let state = table::connection(c.state as i16).to_owned();
            vec![
                cell(c.id.to_string()),
                cell(names.source_name(c.source)),
                cell(names.sink_name(c.sink)),
                cell(state),
            ]
        })
        .collect();
    let mut text = table::aligned(out, &["ID", "SOURCE", "CLASS", "STATE"], &sources);
    text.push('\n');
    text.push_str(&table::aligned(out, &["ID", "SINK", "VOLUME", "STATE"], &sinks));
    text.push('\n');
    text.push_str(&table::aligned(out, &["ID", "SOURCE", "SINK", "STATE"], &connections));
    Ok(out.raw(&text)?)
}

fn list_json(names: &Names) -> Value {
    let sources = names.sources.iter().map(|source| {
        json!({"id": source.id, "name": source.name, "class": source.class, "available": source.availability.0 == 1})
    });
    let sinks = names.sinks.iter().map(|sink| {
        json!({"id": sink.id, "name": sink.name, "class": sink.class, "volume": sink.volume, "mute": sink.mute == 1,
               "available": sink.availability.0 == 1})
    });
    let connections = names.connections.iter().map(|c| {
        json!({"id": c.id, "source": names.source_name(c.source), "sink": names.sink_name(c.sink),
               "state": table::connection(c.state as i16), "delay_ms": c.delay})
    });
    json!({
        "sources": sources.collect::<Vec<_>>(),
        "sinks": sinks.collect::<Vec<_>>(),
        "connections": connections.collect::<Vec<_>>(),
    })
}

/// `connect`.
pub async fn connect(client: &Client, out: &Printer, source: &str, sink: &str) -> Result<(), Failure> {
    let names = Names::ask(client).await?;
    let (source, sink) = (names.source(source)?, names.sink(sink)?);
    let call = Call::Connect {
        source: source.id,
        sink: sink.id,
    };
    let ReplyBody::Connection(id) = client.call_ok(&call).await?.body else {
        return Err(Error::Unexpected("Connect was answered without an ID".to_owned()).into());
    };
    let text = plain(&format!("connection {id}: {} -> {}", source.name, sink.name));
    let json = json!({"connection": id, "source": source.name, "sink": sink.name});
    Ok(out.answer(&format!("{text}\n"), &json)?)
}

/// `disconnect`.
pub async fn disconnect(client: &Client, out: &Printer, connection: &str, sink: Option<&str>) -> Result<(), Failure> {
    let names = Names::ask(client).await?;
    let found = match sink {
        Some(sink) => names.connection_of(connection, sink)?,
        None => names.connection(connection)?,
    };
    client.call_ok(&Call::Disconnect { connection: found.id }).await?;
    let (source, sink) = (names.source_name(found.source), names.sink_name(found.sink));
    let text = plain(&format!("connection {} ends: {source} -> {sink}", found.id));
    Ok(out.answer(
        &format!("{text}\n"),
        &json!({"connection": found.id, "source": source, "sink": sink}),
    )?)
}

/// What `volume` is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// mainVolume.
    To(i16),
    /// Up or down.
    By(i16),
    /// Gain, 0.1 dB.
    Gain(i16),
}

impl Change {
    /// Reads VALUE, +STEP, -STEP, =VALUE or VALUEdB.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || Failure::Usage(format!("{text} is no volume: VALUE, +STEP, -STEP, =VALUE, or VALUEdB"));
        if let Some(value) = text.strip_suffix("dB").or_else(|| text.strip_suffix("db")) {
            let value: f32 = value.trim().parse().map_err(|_| wrong())?;
            let tenths = (value * 10.0).round();
            if !(-3000.0..=0.0).contains(&tenths) {
                return Err(Failure::Usage(format!(
                    "{text}: a gain is 0dB at most and -300dB at least"
                )));
            }
            return Ok(Self::Gain(tenths as i16));
        }
        let number = |text: &str| text.parse::<i16>().map_err(|_| wrong());
        Ok(match text.as_bytes().first() {
            Some(b'=') => Self::To(number(&text[1..])?),
            Some(b'+' | b'-') => Self::By(number(text)?),
            _ => Self::To(number(text)?),
        })
    }
}

/// A sink or a source, by name or ID; a sink if an ID is both.
enum Found<'a> {
    Sink(&'a MainSink),
    Source(&'a MainSource),
}

fn find<'a>(names: &'a Names, typed: &str) -> Result<Found<'a>, Failure> {
    if let Some(source) = names.sources.iter().find(|source| source.name == typed) {
        return Ok(Found::Source(source));
    }
    match (names.sink(typed), names.source(typed)) {
        (Ok(sink), _) => Ok(Found::Sink(sink)),
        (_, Ok(source)) => Ok(Found::Source(source)),
        _ => {
            let all = names.sinks.iter().map(|sink| sink.name.as_str());
            let all = all.chain(names.sources.iter().map(|source| source.name.as_str()));
            let hint = match nearest(typed, all.clone()) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("there are: {}", all.collect::<Vec<_>>().join(", ")),
            };
            Err(Error::NoSuch(format!("there is no sink or source {typed}; {hint}")).into())
        }
    }
}

/// `volume`.
pub async fn volume(client: &Client, out: &Printer, name: &str, value: Option<&str>) -> Result<(), Failure> {
    let names = Names::ask(client).await?;
    match (find(&names, name)?, value.map(Change::parse).transpose()?) {
        (Found::Sink(sink), change) => {
            let id = sink.id;
            match change {
                Some(Change::To(volume)) => client.call_ok(&Call::SetVolume { sink: id, volume }).await.map(drop)?,
                Some(Change::By(step)) => client.call_ok(&Call::VolumeStep { sink: id, step }).await.map(drop)?,
                Some(Change::Gain(_)) => {
                    return Err(Failure::Usage(format!("{name} is a sink: its volume has no dB")));
                }
                None => {}
            }
            let ReplyBody::Volume(volume) = client.call_ok(&Call::GetVolume { sink: id }).await?.body else {
                return Err(Error::Unexpected("getVolume was answered without a volume".to_owned()).into());
            };
            let text = plain(&format!("{}: volume {volume}", sink.name));
            Ok(out.answer(&format!("{text}\n"), &json!({"sink": sink.name, "volume": volume}))?)
        }
        (Found::Source(source), Some(Change::Gain(gain))) => {
            client
                .call_ok(&Call::SetSourceGain {
                    source: source.id,
                    gain,
                })
                .await?;
            show_gain(out, &source.name, Some(f32::from(gain) / 10.0))
        }
        (Found::Source(source), None) => {
            let status = client.status().await?;
            let stream = status.streams.iter().find(|stream| stream.name == source.name);
            let unknown = || Error::NoSuch(format!("{} is not a stream: it has no gain", source.name));
            show_gain(out, &source.name, stream.ok_or_else(unknown)?.wanted_db)
        }
        (Found::Source(_), Some(_)) => Err(Failure::Usage(format!("{name} is a source: its gain is in dB (-6dB)"))),
    }
}

fn show_gain(out: &Printer, name: &str, gain: Option<f32>) -> Result<(), Failure> {
    let shown = gain.map_or_else(|| "silent".to_owned(), |gain| format!("{gain:.1} dB"));
    let text = plain(&format!("{name}: wanted gain {shown}"));
    Ok(out.answer(
        &format!("{text}\n"),
        &json!({"source": name, "gain_db": gain.map(tenths)}),
    )?)
}

/// As f64 without the digits that f32 has not.
fn tenths(value: f32) -> f64 {
    (f64::from(value) * 10.0).round() / 10.0
}

/// `mute` and `unmute`.
pub async fn mute(client: &Client, out: &Printer, name: &str, mute: bool) -> Result<(), Failure> {
    let names = Names::ask(client).await?;
    let state = if mute { 1 } else { 2 };
    let (kind, name, call) = match find(&names, name)? {
        Found::Sink(sink) => ("sink", &sink.name, Call::SetSinkMuteState { sink: sink.id, state }),
        Found::Source(source) => (
            "source",
            &source.name,
            Call::SetSourceMute {
                source: source.id,
                state,
            },
        ),
    };
    client.call_ok(&call).await?;
    let text = plain(&format!("{name}: {}", if mute { "muted" } else { "not muted" }));
    Ok(out.answer(&format!("{text}\n"), &json!({kind: name, "mute": mute}))?)
}

/// `chime`.
pub async fn chime(client: &Client, out: &Printer, name: &str, wait: bool) -> Result<(), Failure> {
    client.chime(name).await?;
    let mut word = "sounds";
    if wait {
        played(client, name).await?;
        word = "was played";
    }
    let text = plain(&format!("chime {name} {word}"));
    Ok(out.answer(&format!("{text}\n"), &json!({"chime": name, "played": wait}))?)
}

pub async fn reload(client: &Client, out: &Printer) -> Result<(), Failure> {
    match client.reload().await {
        Ok(warnings) => {
            let mut text = lines(&warnings);
            if !text.is_empty() {
                text.push_str("\n\n");
            }
            Ok(out.answer(
                &format!("{text}reloaded\n"),
                &json!({"reloaded": true, "warnings": warnings}),
            )?)
        }
        Err(Error::Refused { code, why }) => Err(Failure::File { code, why }),
        Err(error) => Err(error.into()),
    }
}

/// Waits until what was requested so far was played to its end.
async fn played(client: &Client, name: &str) -> Result<(), Failure> {
    let requested = chime_status(client, name).await?.requested;
    let mut silent_since = Instant::now();
    loop {
        let chime = chime_status(client, name).await?;
        if chime.played >= requested {
            return Ok(());
        }
        if chime.sounding {
            silent_since = Instant::now();
        }
        if silent_since.elapsed() > PATIENCE {
            return Err(Failure::Late(format!("chime {name} was accepted, but is not played")));
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn chime_status(client: &Client, name: &str) -> Result<Chime, Failure> {
    let found = client
        .status()
        .await?
        .chimes
        .into_iter()
        .find(|chime| chime.name == name);
    Ok(found.ok_or_else(|| Error::Unexpected(format!("Status does not list the chime {name}")))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_a_value_a_step_or_a_gain() {
        let parsed = |text: &str| Change::parse(text).unwrap();

        assert_eq!(parsed("40"), Change::To(40));
        assert_eq!(parsed("=-40"), Change::To(-40));
        assert_eq!(parsed("+5"), Change::By(5));
        assert_eq!(parsed("-5"), Change::By(-5));
        assert_eq!(parsed("-6dB"), Change::Gain(-60));
        assert_eq!(parsed("0dB"), Change::Gain(0));
        assert_eq!(parsed("-0.5 dB"), Change::Gain(-5));
        for wrong in [
            "", "loud", "4.5", "99999", "6dB", "-400dB", "NaNdB", "infdB", "dB", "+-5", "=",
        ] {
            assert!(matches!(Change::parse(wrong), Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
