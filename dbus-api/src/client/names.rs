//! Sources, sinks and connections by the names people type, or by ID.

use policy::command::{Call, MainConnection, MainSink, MainSource, ReplyBody};

use super::{Client, Error};

/// What there is to name, as asked at one moment.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Visible sources.
    pub sources: Vec<MainSource>,
    /// Visible sinks.
    pub sinks: Vec<MainSink>,
    /// Visible main connections.
    pub connections: Vec<MainConnection>,
}

impl Names {
    /// Asks the daemon.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn ask(client: &Client) -> Result<Self, Error> {
        let mut names = Self::default();
        for call in [
            Call::GetListMainSources,
            Call::GetListMainSinks,
            Call::GetListMainConnections,
        ] {
            match client.call_ok(&call).await?.body {
                ReplyBody::Sources(sources) => names.sources = sources,
                ReplyBody::Sinks(sinks) => names.sinks = sinks,
                ReplyBody::Connections(connections) => names.connections = connections,
                other => return Err(Error::Unexpected(format!("{call:?} was answered {other:?}"))),
            }
        }
        names.sources.sort_by_key(|source| source.id);
        names.sinks.sort_by_key(|sink| sink.id);
        names.connections.sort_by_key(|connection| connection.id);
        Ok(names)
    }

    /// The source of a name or ID.
    ///
    /// # Errors
    /// [`Error::NoSuch`], with the nearest name.
    pub fn source(&self, typed: &str) -> Result<&MainSource, Error> {
        let all = || self.sources.iter().map(|source| source.name.as_str());
        find(&self.sources, typed, |source| (source.id, &source.name)).ok_or_else(|| no_such("source", typed, all()))
    }

    /// The sink of a name or ID.
    ///
    /// # Errors
    /// As [`Self::source`].
    pub fn sink(&self, typed: &str) -> Result<&MainSink, Error> {
        let all = || self.sinks.iter().map(|sink| sink.name.as_str());
        find(&self.sinks, typed, |sink| (sink.id, &sink.name)).ok_or_else(|| no_such("sink", typed, all()))
    }

    /// The connection of an ID, or of a source that has only one.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub fn connection(&self, typed: &str) -> Result<&MainConnection, Error> {
        if let Ok(id) = typed.parse::<u16>() {
            let found = self.connections.iter().find(|connection| connection.id == id);
            return found
                .ok_or_else(|| Error::NoSuch(format!("there is no connection {id}; {}", self.list_connections())));
        }
        let source = self.source(typed)?.id;
        let mut of_source = self.connections.iter().filter(|connection| connection.source == source);
        match (of_source.next(), of_source.next()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(Error::NoSuch(format!(
                "{typed} is not connected; {}",
                self.list_connections()
            ))),
            (Some(_), Some(_)) => Err(Error::NoSuch(format!(
                "{typed} has several connections, name the sink too; {}",
                self.list_connections()
            ))),
        }
    }

    /// The connection of a pair.
    ///
    /// # Errors
    /// [`Error::NoSuch`].
    pub fn connection_of(&self, source: &str, sink: &str) -> Result<&MainConnection, Error> {
        let (from, to) = (self.source(source)?.id, self.sink(sink)?.id);
        let found = self
            .connections
            .iter()
            .find(|connection| connection.source == from && connection.sink == to);
        found.ok_or_else(|| {
            Error::NoSuch(format!(
                "{source} is not connected to {sink}; {}",
                self.list_connections()
            ))
        })
    }

    /// Name of a source, its ID if it isn't visible.
    pub fn source_name(&self, id: u16) -> String {
        let found = self.sources.iter().find(|source| source.id == id);
        found.map_or_else(|| id.to_string(), |source| source.name.clone())
    }

    /// Name of a sink, its ID if it isn't visible.
    pub fn sink_name(&self, id: u16) -> String {
        let found = self.sinks.iter().find(|sink| sink.id == id);
        found.map_or_else(|| id.to_string(), |sink| sink.name.clone())
    }

    fn list_connections(&self) -> String {
        if self.connections.is_empty() {
            return "there are none".to_owned();
        }
        let one = |c: &MainConnection| format!("{} {} -> {}", c.id, self.source_name(c.source), self.sink_name(c.sink));
        let all: Vec<String> = self.connections.iter().map(one).collect();
        format!("there are: {}", all.join(", "))
    }
}

fn find<'a, T>(all: &'a [T], typed: &str, key: impl Fn(&'a T) -> (u16, &'a str)) -> Option<&'a T> {
    let by_name = all.iter().find(|item| key(item).1 == typed);
    by_name.or_else(|| {
        let id: u16 = typed.parse().ok()?;
        all.iter().find(|item| key(item).0 == id)
    })
}

fn no_such<'a>(kind: &str, typed: &str, names: impl Iterator<Item = &'a str> + Clone) -> Error {
    Error::NoSuch(match nearest(typed, names.clone()) {
        Some(near) => format!("there is no {kind} {typed}; did you mean {near}?"),
        None => {
            let all: Vec<&str> = names.collect();
            let all = if all.is_empty() {
                "none".to_owned()
            } else {
                all.join(", ")
            };
            format!("there is no {kind} {typed}; there are: {all}")
        }
    })
}

/// The name most like `typed`, if one is like it: a part of it (`media` of `ivi.media`), or at most a third of the letters
/// changed.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let part = name.rsplit('.').next().unwrap_or(&name);
        edits(&typed, &name).min(edits(&typed, part))
    };
    names
        .map(|name| (distance(name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, _)| *distance <= typed.chars().count().div_ceil(3))
        .map(|(_, name)| name)
}

/// Levenshtein distance. Only the first 64 letters count.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for (row, x) in a.iter().enumerate() {
        let mut left = row + 1;
        let mut diagonal = row;
        for (column, y) in b.iter().enumerate() {
            let here = (diagonal + usize::from(x != y))
                .min(left + 1)
                .min(above[column + 1] + 1);
            diagonal = above[column + 1];
            above[column] = left;
            left = here;
        }
        above[b.len()] = left;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_levenshteins() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
        assert_eq!(edits("flaw", "lawn"), 2);
    }

    #[test]
    fn a_slip_or_the_last_part_of_a_name_is_recognised_and_nonsense_is_not() {
        let names = ["ivi.media", "ivi.phone", "cluster.prompt"];

        assert_eq!(nearest("ivi.medai", names.into_iter()), Some("ivi.media"));
        assert_eq!(nearest("prompt", names.into_iter()), Some("cluster.prompt"));
        assert_eq!(nearest("xylophone-concert", names.into_iter()), None);
    }
}
