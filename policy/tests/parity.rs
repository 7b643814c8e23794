//! AudioManager's checklist, item by item: `docs/audiomanager-parity.md` names the tests here. Each runs a policy file with events
//! through `Machine::step` and holds every effect to the file's: see `parity/runner.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "parity/mutations.rs"]
mod mutations;
#[path = "parity/runner.rs"]
mod runner;

macro_rules! items {
    ($($test:ident $name:literal)*) => {$(
        #[test]
        fn $test() {
            runner::check($name, include_str!(concat!("parity/", $name, ".toml")));
        }
    )*
        /// Name and text of each.
        const ITEMS: &[(&str, &str)] = &[$(($name, include_str!(concat!("parity/", $name, ".toml")))),*];
    };
}

items! {
    cf1 "CF1"
    cf2 "CF2"
    cf3 "CF3"
    cf4 "CF4"
    cf5 "CF5"
    cf6 "CF6"
    cf7 "CF7"
    cf8 "CF8"
    cf9 "CF9"
    cf10 "CF10"
    cf11 "CF11"
    cf12 "CF12"
    cf13 "CF13"
    cf14 "CF14"
    cf15 "CF15"
    cf16 "CF16"
    cf17 "CF17"
    tr1 "TR1"
    tr2 "TR2"
    tr3 "TR3"
    tr4 "TR4"
    tr5 "TR5"
    tr6 "TR6"
    tr7 "TR7"
    tr8 "TR8"
    tr9 "TR9"
    co1 "CO1"
    co2 "CO2"
    co3 "CO3"
    co4 "CO4"
    co5 "CO5"
    co6 "CO6"
    co7 "CO7"
    co8 "CO8"
    pe1 "PE1"
    pe2 "PE2"
    pe3 "PE3"
    pe4 "PE4"
    ac1 "AC1"
    ac2 "AC2"
    ac3 "AC3"
    ac4 "AC4"
    ac5 "AC5"
    ac6 "AC6"
    ac7 "AC7"
    ac8 "AC8"
    ac9 "AC9"
    ac10 "AC10"
    ac11 "AC11"
    ac12 "AC12"
    ac13 "AC13"
    ac14 "AC14"
    ac15 "AC15"
    ac16 "AC16"
    ac17 "AC17"
    ac18 "AC18"
    ac19 "AC19"
    ac20 "AC20"
    ac21 "AC21"
    ac22 "AC22"
    ac23 "AC23"
    en1 "EN1"
    en2 "EN2"
    en3 "EN3"
    en4 "EN4"
    en5 "EN5"
    en6 "EN6"
    en7 "EN7"
    en8 "EN8"
    en9 "EN9"
    en10 "EN10"
    en11 "EN11"
    en12 "EN12"
    en13 "EN13"
    en14 "EN14"
    en15 "EN15"
}
