//! Names of users and groups to numbers, once, before the daemon gives up its view of the machine.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

use dbus_api::access::{Access, Principal, Roles, Who};

use crate::sandbox;

/// The roles by number, and what of them the machine doesn't know: that is nobody.
pub fn resolve(roles: &Roles) -> (Access, Vec<String>) {
    let mut unknown = Vec::new();
    let mut access = Access::default();
    for (role, principals) in roles {
        let mut who = Who::default();
        for principal in principals {
            match principal {
                Principal::Everyone => who.everyone = true,
                Principal::User(name) => match number(name).or_else(|| user(name)) {
                    Some(id) => drop(who.users.insert(id)),
                    None => unknown.push(format!("[access] {}: there is no user {name}", role.name())),
                },
                Principal::Group(name) => match number(name).or_else(|| group(name)) {
                    Some(id) => {
                        who.groups.insert(id);
                        who.members.extend(members(id));
                    }
                    None => unknown.push(format!("[access] {}: there is no group {name}", role.name())),
                },
            }
        }
        access.roles.insert(*role, who);
    }
    (access, unknown)
}

fn number(name: &str) -> Option<u32> {
    name.parse().ok()
}

fn user(name: &str) -> Option<u32> {
    sandbox::look_up(name).ok().map(|(user, _)| user)
}

fn group(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: `name` is a valid C string; the result is read before any other getgr call.
    unsafe {
        let entry = libc::getgrnam(name.as_ptr());
        (!entry.is_null()).then(|| (*entry).gr_gid)
    }
}

/// Users whose group it is, by either list.
fn members(group: u32) -> BTreeSet<u32> {
    let mut names: Vec<String> = Vec::new();
    // SAFETY: the entry and its list, which ends with a null pointer, are read before any other getgr call.
    unsafe {
        let entry = libc::getgrgid(group);
        if !entry.is_null() {
            let mut member = (*entry).gr_mem;
            while !member.is_null() && !(*member).is_null() {
                names.push(CStr::from_ptr(*member).to_string_lossy().into_owned());
                member = member.add(1);
            }
        }
    }
    let mut found: BTreeSet<u32> = names.iter().filter_map(|name| user(name)).collect();
    // SAFETY: each entry is read before the next is asked for; nobody else goes through the list, there is one thread yet.
    unsafe {
        libc::setpwent();
        loop {
            let entry = libc::getpwent();
            if entry.is_null() {
                break;
            }
            if (*entry).pw_gid == group {
                found.insert((*entry).pw_uid);
            }
        }
        libc::endpwent();
    }
    found
}

#[cfg(test)]
mod tests {
    use dbus_api::access::{Credentials, Role};

    use super::*;

    #[test]
    fn names_and_numbers_of_this_machine_become_numbers_and_others_are_told() {
        let roles = Roles::from([
            (
                Role::Control,
                vec![Principal::User("root".into()), Principal::Group("4711".into())],
            ),
            (
                Role::Admin,
                vec![Principal::User("no-such-user".into()), Principal::Group("root".into())],
            ),
        ]);

        let (access, unknown) = resolve(&roles);

        assert_eq!(unknown, ["[access] admin: there is no user no-such-user"]);
        assert!(access.roles[&Role::Control].users.contains(&0));
        assert!(access.roles[&Role::Control].groups.contains(&4711));
        assert!(access.roles[&Role::Admin].groups.contains(&0));
        let root = Credentials {
            user: Some(0),
            groups: None,
        };
        assert!(
            access.allows(Role::Admin, &root),
            "root's own group, by the list of users"
        );
    }
}
