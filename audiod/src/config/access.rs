//! `[access]`: who has which role on the bus.

use std::collections::BTreeMap;

use dbus_api::access::{Principal, Role, Roles};
use policy::file::{Found, Table, Value, code};
use policy::report::Diagnostic;

/// Users and groups of one role.
const MAX_PRINCIPALS: usize = 64;
/// Longest name of a user or group (`useradd(8)`).
const MAX_NAME: usize = 32;

/// `None`: without the table whoever the bus lets through may do everything.
pub(super) fn access(root: &Table<'_>) -> Option<Roles> {
    let table = root.get("access")?.table()?;
    let mut roles: Roles = BTreeMap::new();
    for role in Role::ALL {
        if let Some(value) = table.get(role.name()) {
            roles.insert(role, principals(&value));
        }
    }
    suspicious(root, &table, &roles);
    Some(roles)
}

fn principals(value: &Value<'_>) -> Vec<Principal> {
    let items = value.items();
    if items.len() > MAX_PRINCIPALS {
        let message = format!("{} users and groups: there is room for {MAX_PRINCIPALS}", items.len());
        value.push(Diagnostic::error(code::TOO_MANY, value.span, message).label("too many"));
    }
    let mut found: Vec<Found<Principal>> = Vec::new();
    for item in items.iter().take(MAX_PRINCIPALS) {
        let Some(principal) = principal(item) else { continue };
        match found.iter().find(|it| it.value == principal) {
            Some(first) => {
                let found = Diagnostic::error(code::DUPLICATE, item.span, "this is given twice");
                item.push(found.label("again here").see(first.span, "first here"));
            }
            None => found.push(Found {
                value: principal,
                span: item.span,
            }),
        }
    }
    found.into_iter().map(|it| it.value).collect()
}

/// `"*"`, `"user:hmi"`, `"group:audio"`.
fn principal(value: &Value<'_>) -> Option<Principal> {
    let text = value.text()?;
    if text.value == "*" {
        return Some(Principal::Everyone);
    }
    let (kind, name) = text.value.split_once(':').unwrap_or(("", text.value));
    let make: fn(String) -> Principal = match kind {
        "user" => Principal::User,
        "group" => Principal::Group,
        _ => {
            let message = format!("`{}` is neither a user nor a group", text.value);
            let found = Diagnostic::error(code::UNKNOWN_WORD, text.span, message);
            let help = format!("did you mean `user:{name}` or `group:{name}`?");
            value.push(
                found
                    .label("possible: \"user:NAME\", \"group:NAME\", or \"*\" for everybody")
                    .help(help),
            );
            return None;
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.$".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || name.starts_with('-') || !name.bytes().all(plain) {
        let found = Diagnostic::error(code::BAD_NAME, text.span, format!("`{name}` can't be a {kind}'s name"));
        value.push(found.label(format!("1 to {MAX_NAME} letters, digits, `_`, `-` and `.`")));
        return None;
    }
    Some(make(name.to_owned()))
}

fn suspicious(root: &Table<'_>, table: &Table<'_>, roles: &Roles) {
    let warn = |kind, span, message: &str, label: &str, help: &str| {
        root.doc()
            .push(Diagnostic::warning(kind, span, message).label(label).help(help));
    };
    let has = |role: Role| roles.get(&role).is_some_and(|all| !all.is_empty());
    let everyone = |role: Role| roles.get(&role).is_some_and(|all| all.contains(&Principal::Everyone));
    if let (None, Some(span)) = (root.get("bus"), root.key_span("access")) {
        let help = "name one, as `bus = \"system\"`";
        warn(
            code::NO_EFFECT,
            span,
            "this has no effect",
            "there is no `bus` that anybody could call on",
            help,
        );
    }
    if !has(Role::Admin) {
        let help = "give it to somebody, as `admin = \"user:root\"`";
        warn(
            code::UNUSED,
            table.span(),
            "nobody may reload the file over the bus",
            "has no `admin`",
            help,
        );
    }
    for role in [Role::Admin, Role::Domain].into_iter().filter(|role| everyone(*role)) {
        let span = table.key_span(role.name()).unwrap_or(table.span());
        let message = match role {
            Role::Admin => "whoever is on the bus may do everything",
            _ => "whoever is on the bus may be a domain",
        };
        let help = format!("name users or groups, as `{} = \"user:{}\"`", role.name(), role.name());
        warn(code::CONFLICT, span, message, "\"*\" is everybody", &help);
    }
    if !has(Role::Domain)
        && !has(Role::Admin)
        && let Some(span) = root.key_span("domains")
    {
        let help = "say whose processes they are, as `domain = \"user:tuner\"` in [access]";
        warn(
            code::UNUSED,
            span,
            "no domain can register",
            "nobody has the role `domain`",
            help,
        );
    }
}
