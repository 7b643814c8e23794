//! The effective matrix: every cell, and where it comes from.
#![allow(clippy::unwrap_used, reason = "tests")]

use policy::Model;
use policy::effective::{Fate, Origin, matrix, table};
use policy::file::{self, Document};
use policy::rules::decisions::Decision;

const CAR: &str = r#"version = 1
[zones.cabin]
[classes.media]
priority = 10
[classes.radio]
priority = 10
[classes.navigation]
priority = 50
[classes.call]
priority = 80
[classes.warning]
safety = true

[[matrix]]
holder = "media"
newcomer = "navigation"
action = "duck"
depth_db = -14.0

[[matrix]]
holder = "navigation"
newcomer = "call"
action = "pause"

[[matrix]]
holder = "call"
newcomer = "media"
newcomer_action = "reject"

[[matrix]]
holder = "media"
newcomer = "warning"
action = "duck"
depth_db = -30.0
attack_ms = 5
"#;

fn car() -> Model {
    file::read(&Document::parse(CAR))
}

#[test]
fn every_pair_has_a_cell_with_the_line_or_rule_it_comes_from() {
    let cells = matrix(&car());
    assert_eq!(cells.len(), 25);
    let of = |holder: &str, newcomer: &str| {
        let cell = cells
            .iter()
            .find(|it| it.holder == holder && it.newcomer == newcomer)
            .unwrap();
        (
            cell.holder_is,
            cell.newcomer_is,
            cell.depth_tenths_db,
            cell.origin,
            cell.line,
        )
    };
    use Fate::{Delayed, Ducked, Paused, Plays, Rejected};

    assert_eq!(
        of("media", "navigation"),
        (Ducked, Plays, Some(-140), Origin::Written, Some(14))
    );
    assert_eq!(
        of("navigation", "media"),
        (Plays, Ducked, Some(-140), Origin::Reversed, Some(14))
    );
    assert_eq!(
        of("call", "navigation"),
        (Plays, Delayed, None, Origin::Reversed, Some(20))
    );
    assert_eq!(of("call", "media"), (Plays, Rejected, None, Origin::Written, Some(25)));
    assert_eq!(
        of("media", "call"),
        (Ducked, Plays, Some(-140), Origin::HigherPriority, None)
    );
    assert_eq!(
        of("call", "radio"),
        (Plays, Ducked, Some(-140), Origin::LowerPriority, None)
    );
    assert_eq!(of("media", "radio"), (Plays, Plays, None, Origin::SamePriority, None));
    assert_eq!(of("media", "media"), (Paused, Plays, None, Origin::SameClass, None));
    assert_eq!(
        of("warning", "media"),
        (Plays, Ducked, Some(-300), Origin::Safety, Some(30))
    );
    assert_eq!(of("warning", "call"), (Plays, Ducked, Some(-140), Origin::Safety, None));
    assert_eq!(of("warning", "warning"), (Plays, Plays, None, Origin::Safety, None));
}

#[test]
fn the_table_names_every_pair_once_in_aligned_columns() {
    let shown = table(&matrix(&car()));

    assert_eq!(shown.lines().count(), 26);
    assert!(
        shown.contains(
            "navigation  media       plays      ducked       -14.0 dB  50 ms   500 ms   line 14, the other way round\n"
        ),
        "{shown}"
    );
}

#[test]
fn matrix_and_rules_are_one_list_pairs_first_then_rules_by_priority_then_in_the_order_of_the_file() {
    let rule = |name: &str, priority: i32| {
        format!(
            "[[rules]]\nname = \"{name}\"\npriority = {priority}\non = \"user.set_volume\"\ndo = [{{ mute = {{ sink = \"cabin\", sticky = true }} }}]\n"
        )
    };
    let text = [
        CAR.to_owned(),
        rule("third", 9),
        rule("first", -1),
        rule("fourth", 9),
        rule("second", 3),
    ]
    .concat();
    let mut model = file::read(&Document::parse(&text));
    let written: Vec<_> = (0..25)
        .map(|at| {
            (
                model.class_pressure(at / 5, at % 5),
                model.class_arrival(at / 5, at % 5),
            )
        })
        .collect();
    model.compile();

    let list: Vec<Decision<'_>> = model.rules.decisions().collect();
    assert_eq!(list.len(), 29);
    for (at, (decision, (pressure, arrival))) in list.iter().zip(&written).enumerate() {
        let Decision::Pair { holder, newcomer, pair } = decision else {
            panic!("{at} is no pair");
        };
        assert_eq!((*holder, *newcomer), (at / 5, at % 5));
        assert_eq!(
            (pair.pressure, pair.arrival),
            (*pressure, *arrival),
            "as the matrix says"
        );
    }
    let rules: Vec<&str> = list[25..]
        .iter()
        .filter_map(|it| match it {
            Decision::Rule(rule) => Some(rule.name.as_str()),
            Decision::Pair { .. } => None,
        })
        .collect();
    assert_eq!(rules, ["first", "second", "third", "fourth"]);
    let table = policy::effective::rules(&model).unwrap();
    assert!(table.starts_with("PRIORITY  RULE"), "{table}");
    assert_eq!(table.lines().count(), 5);
}

#[test]
fn a_machine_decides_by_the_compiled_list() {
    let model = file::read(&Document::parse(CAR));
    assert_eq!(model.rules.decisions().count(), 0, "not compiled");
    let machine = policy::Machine::new(model);
    assert_eq!(machine.model().rules.decisions().count(), 25);
}
