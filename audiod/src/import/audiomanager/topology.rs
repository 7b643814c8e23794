//! Topologies: `SinkA^SinkB=Gateway(SourceA^SourceB)^SourceC`, with `*` for any.

/// Deepest nesting of gateways.
const MAX_DEPTH: usize = 12;

/// An end of a route, and the gateways it stands behind, from the end on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// A source or sink, or `*`.
    pub end: String,
    pub gateways: Vec<String>,
}

/// The ends of a class's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Topology {
    pub sinks: Vec<Way>,
    pub sources: Vec<Way>,
}

/// Names of a side, `None` = any.
pub(super) fn names(side: &[Way]) -> Option<Vec<&str>> {
    let any = side.iter().any(|way| way.end == "*");
    (!any).then(|| side.iter().map(|way| way.end.as_str()).collect())
}

/// Parses one; else the cause.
pub(super) fn parse(text: &str) -> Result<Topology, String> {
    let Some((left, right)) = text.split_once('=') else {
        return Err("there is no `=` between sinks and sources".to_owned());
    };
    let (sinks, sources) = (side(left)?, side(right)?);
    Ok(Topology { sinks, sources })
}

fn side(text: &str) -> Result<Vec<Way>, String> {
    let mut ways: Vec<Way> = Vec::new();
    let mut inside: Vec<String> = Vec::new();
    let mut name = String::new();
    let mut after_group = false;
    let end = |name: &mut String, inside: &[String]| {
        let gateways = inside.iter().rev().cloned().collect();
        taken(name).map(|end| Way { end, gateways })
    };
    for c in text.chars() {
        match c {
            '(' if inside.len() == MAX_DEPTH => return Err(format!("gateways are nested deeper than {MAX_DEPTH}")),
            '(' => inside.push(taken(&mut name)?),
            ')' | '^' => {
                if !after_group {
                    ways.push(end(&mut name, &inside)?);
                }
                if c == ')' && inside.pop().is_none() {
                    return Err("a `)` without its `(`".to_owned());
                }
                after_group = c == ')';
            }
            c if c.is_whitespace() && name.is_empty() => {}
            c if after_group && !c.is_whitespace() => return Err(format!("`{c}` after a `)`: a `^` is missing")),
            c => name.push(c),
        }
    }
    if !inside.is_empty() {
        return Err("a `(` without its `)`".to_owned());
    }
    if !after_group {
        ways.push(end(&mut name, &inside)?);
    }
    Ok(ways)
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
    fn each_source_has_its_way() {
        let read = parse("Amp^Rear=GW1(GW2(Tuner)^CD)^Media").unwrap();

        assert_eq!(names(&read.sinks), Some(vec!["Amp", "Rear"]));
        assert_eq!(names(&read.sources), Some(vec!["Tuner", "CD", "Media"]));
        let ways: Vec<&[String]> = read.sources.iter().map(|way| way.gateways.as_slice()).collect();
        assert_eq!(
            ways,
            [&["GW2".to_owned(), "GW1".to_owned()][..], &["GW1".to_owned()], &[]]
        );
    }

    #[test]
    fn a_star_is_any() {
        let read = parse("*=Media").unwrap();

        assert_eq!((names(&read.sinks), read.sources.len()), (None, 1));
    }

    #[test]
    fn what_is_no_topology_says_why() {
        for text in ["", "A", "=", "A=", "A=B^", "A=GW(B", "A=B)", "A=(B)", "A=GW(B)C"] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&format!("A={}", "G(".repeat(1000))).is_err());
    }
}
