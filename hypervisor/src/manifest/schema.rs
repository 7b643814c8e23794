//! The manifest's JSON Schema (draft 2020-12), made of its types: what `hypervisor schema` prints, and what [`super::form`] checks by.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::Manifest;

/// Longest name.
pub const MAX_NAME: usize = 24;

/// The schema.
pub fn schema() -> Value {
    let inline = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = inline.into_generator().into_root_schema_for::<Manifest>();
    RecursiveTransform(plain).transform(&mut schema);
    schema.to_value()
}

/// Words as an `enum`; what has a cure for its absence must be there.
fn plain(schema: &mut Schema) {
    let words = |variants: &Value| {
        variants
            .as_array()?
            .iter()
            .map(|word| word.get("const").cloned())
            .collect()
    };
    if let Some(Some(words)) = schema.remove("oneOf").as_ref().map(words) {
        schema.insert("enum".into(), Value::Array(words));
    }
    if let Some(Value::Object(keys)) = schema.get("properties") {
        let needed = keys.iter().filter(|(_, key)| key.get("x-cure").is_some());
        let needed = needed.map(|(name, _)| json!(name)).collect();
        schema.insert("required".into(), needed);
    }
}

/// Any text but none.
pub struct Text;

/// An integer from, to.
pub struct Integer<const LEAST: i64, const MOST: i64>;

/// A size as text: at least, at most, a multiple of; bytes.
pub struct Size<const LEAST: u64, const MOST: u64, const STEP: u64>;

/// A CPU list as text.
pub struct CpuList;

/// A PCI address as text.
pub struct PciAddress;

/// A range of I/O ports as text.
pub struct PortRange;

/// Tables by name.
pub struct Named<T>(PhantomData<T>);

macro_rules! schema_of {
    ([$($generic:tt)*] $kind:ty, |$generator:ident| $schema:tt) => {
        impl<$($generic)*> JsonSchema for $kind {
            fn schema_name() -> Cow<'static, str> {
                std::any::type_name::<Self>().into()
            }

            fn json_schema($generator: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

schema_of!([] Text, |_all| { "type": "string", "minLength": 1 });
schema_of!([const LEAST: i64, const MOST: i64] Integer<LEAST, MOST>, |_all| {
    "type": "integer", "minimum": LEAST, "maximum": MOST
});
schema_of!([const LEAST: u64, const MOST: u64, const STEP: u64] Size<LEAST, MOST, STEP>, |_all| {
    "type": "string", "format": "size", "pattern": "^[0-9]+[KMG]$", "x-range": [LEAST, MOST, STEP]
});
schema_of!([] CpuList, |_all| {
    "type": "string", "format": "cpu-list", "pattern": "^[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*$"
});
schema_of!([] PciAddress, |_all| {
    "type": "string", "format": "pci-address", "pattern": "^[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\\.[0-7]$"
});
schema_of!([] PortRange, |_all| {
    "type": "string", "format": "port-range", "pattern": "^0x[0-9a-fA-F]{1,4}(-0x[0-9a-fA-F]{1,4})?$"
});
schema_of!([T: JsonSchema] Named<T>, |all| {
    "type": "object", "propertyNames": { "pattern": "^[A-Za-z0-9_-]{1,24}$" }, "additionalProperties": all.subschema_for::<T>()
});
