//! Topologies: `SinkA^SinkB=Gateway(SourceA^SourceB)^SourceC`, with `*` for any.
//!
//! Gateways say which way a route takes; whose ends it has is all that counts where the mixer reaches every zone itself.

/// Deepest nesting of gateways.
const MAX_DEPTH: usize = 16;

/// The ends of a class's routes; an empty side = any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    pub sinks: Vec<String>,
    pub sources: Vec<String>,
    /// Names of gateways on the way.
    pub gateways: Vec<String>,
    any_sink: bool,
    any_source: bool,
}

impl Topology {
    /// The sinks, `None` = any.
    pub fn sinks(&self) -> Option<&[String]> {
        (!self.any_sink).then_some(&self.sinks)
    }

    /// The sources, `None` = any.
    pub fn sources(&self) -> Option<&[String]> {
        (!self.any_source).then_some(&self.sources)
    }
}

/// Parses one; else the cause.
pub(super) fn parse(text: &str) -> Result<Topology, String> {
    let Some((left, right)) = text.split_once('=') else {
        return Err("there is no `=` between sinks and sources".to_owned());
    };
    let mut topology = Topology::default();
    let Topology {
        sinks,
        gateways,
        any_sink,
        ..
    } = &mut topology;
    side(left, sinks, gateways, any_sink)?;
    let Topology {
        sources,
        gateways,
        any_source,
        ..
    } = &mut topology;
    side(right, sources, gateways, any_source)?;
    Ok(topology)
}

fn side(text: &str, ends: &mut Vec<String>, gateways: &mut Vec<String>, any: &mut bool) -> Result<(), String> {
    let mut depth = 0_usize;
    let mut name = String::new();
    let mut after_group = false;
    for c in text.chars() {
        match c {
            '(' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(format!("gateways are nested deeper than {MAX_DEPTH}"));
                }
                gateways.push(taken(&mut name)?);
            }
            ')' | '^' => {
                if !after_group {
                    end(&mut name, ends, any)?;
                }
                if c == ')' {
                    depth = depth.checked_sub(1).ok_or("a `)` without its `(`")?;
                }
                after_group = c == ')';
            }
            c if c.is_whitespace() && name.is_empty() => {}
            c if after_group && !c.is_whitespace() => return Err(format!("`{c}` after a `)`: a `^` is missing")),
            c => name.push(c),
        }
    }
    if depth > 0 {
        return Err("a `(` without its `)`".to_owned());
    }
    if after_group { Ok(()) } else { end(&mut name, ends, any) }
}

fn end(name: &mut String, ends: &mut Vec<String>, any: &mut bool) -> Result<(), String> {
    match taken(name)? {
        star if star == "*" => *any = true,
        name => ends.push(name),
    }
    Ok(())
}

fn taken(name: &mut String) -> Result<String, String> {
    let taken = std::mem::take(name).trim().to_owned();
    match taken.is_empty() {
        true => Err("a name is missing".to_owned()),
        false => Ok(taken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_looked_through() {
        let read = parse("Amp^Rear=GW1(GW2(Tuner)^CD)^Media").unwrap();

        assert_eq!(read.sinks(), Some(["Amp".to_owned(), "Rear".to_owned()].as_slice()));
        assert_eq!(read.sources, ["Tuner", "CD", "Media"]);
        assert_eq!(read.gateways, ["GW1", "GW2"]);
    }

    #[test]
    fn a_star_is_any() {
        let read = parse("*=Media").unwrap();

        assert_eq!((read.sinks(), read.sources.len()), (None, 1));
    }

    #[test]
    fn what_is_no_topology_says_why() {
        for text in ["", "A", "=", "A=", "A=B^", "A=GW(B", "A=B)", "A=(B)", "A=GW(B)C"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("A={}", "G(".repeat(1000))).is_err());
    }
}
