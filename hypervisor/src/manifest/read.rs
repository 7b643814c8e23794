//! The manifest of a text. Its form is checked before: what it forbids is told of and taken out, so that the rest can be read.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Deserializer};
use toml::Spanned;
use toml::de::DeTable;

use super::report::{At, Finding, Findings, Span};
use super::{Manifest, Member, Partition, SharedSet, Window, form, schema};

/// vsock port of the first window; the nth has the nth after it.
const FIRST_PORT: u32 = 5000;
/// Most findings kept: a file with more has one mistake that explains the rest.
const MAX_FINDINGS: usize = 500;

/// Reads a manifest: the findings of form with it. `folder` is where its paths start.
pub fn read(text: &str, folder: &Path) -> (Manifest, Vec<Finding>) {
    let (mut root, errors) = DeTable::parse_recoverable(text);
    let mut findings = Findings::default();
    let mut syntax = |error: &toml::de::Error| {
        let span = error.span().unwrap_or(text.len()..text.len()).into();
        findings.error("syntax", span, format!("this is not TOML: {}", error.message()));
    };
    errors.iter().for_each(&mut syntax);
    let mut manifest = Manifest::default();
    if errors.is_empty() {
        form::table(root.get_mut(), Span::default(), &schema::schema(), &mut findings);
        findings.0.truncate(MAX_FINDINGS);
        match Manifest::deserialize(toml::Deserializer::from(root)) {
            Ok(read) => manifest = read,
            Err(error) => drop(findings.error("bad-value", Span::default(), error.message())),
        }
    }
    complete(&mut manifest, folder);
    (manifest, findings.0)
}

/// What depends on the file's place, and on that of a table in it.
fn complete(manifest: &mut Manifest, folder: &Path) {
    for partition in &mut manifest.partitions {
        let sound = partition.sound.as_mut().and_then(|sound| sound.value.socket.as_mut());
        let disks = partition.disks.iter_mut().map(|disk| &mut disk.image);
        for path in [&mut partition.kernel]
            .into_iter()
            .chain(&mut partition.initrd)
            .chain(disks)
            .chain(sound)
        {
            path.value = folder.join(&path.value);
        }
    }
    for (window, port) in manifest.windows.iter_mut().zip(FIRST_PORT..) {
        if window.port.value == 0 {
            window.port = At::new(port, window.partition.span);
        }
    }
}

/// A value and where it stands; of a table, its key.
impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let found = Spanned::<T>::deserialize(from)?;
        let span = found.span().into();
        Ok(Self::new(found.into_inner(), span))
    }
}

/// A table that is known by its name.
pub(super) trait HasName {
    fn name(&mut self) -> &mut At<String>;
}

macro_rules! has_name {
    ($($table:ident: $name:ident),*) => {
        $(impl HasName for $table {
            fn name(&mut self) -> &mut At<String> {
                &mut self.$name
            }
        })*
    };
}

has_name!(SharedSet: name, Member: partition, Partition: name, Window: partition);

/// Tables by name, in the order of the file.
pub(super) fn named<'de, D, T>(from: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + HasName,
{
    let tables = BTreeMap::<Spanned<String>, T>::deserialize(from)?;
    let mut tables: Vec<(Span, T)> = tables
        .into_iter()
        .map(|(name, mut table)| {
            let span = Span::from(name.span());
            *table.name() = At::new(name.into_inner(), span);
            (span, table)
        })
        .collect();
    tables.sort_by_key(|(span, _)| *span);
    Ok(tables.into_iter().map(|(_, table)| table).collect())
}
