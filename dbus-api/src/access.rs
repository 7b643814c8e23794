//! Who may do what on the bus: four roles, given to users and groups of the machine.
//!
//! | role | may |
//! |---|---|
//! | `observe` | introspect, read lists, volumes and the status, hear signals |
//! | `control` | also connect, set volumes, mutes and sound properties, sound chimes |
//! | `domain` | also register a domain and speak for it (the routing interface) |
//! | `admin` | everything, system properties and reloading included |
//!
//! The daemon asks the bus for a sender's user and groups once ([`crate::server`]); the bus's own policy file is made from the
//! same lines ([`bus_policy`]).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use crate::server::bus_policy;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look and listen.
    Observe,
    /// Connect, set volumes, sound chimes.
    Control,
    /// Be a domain.
    Domain,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Observe, Self::Control, Self::Domain, Self::Admin];

    /// As the file spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Control => "control",
            Self::Domain => "domain",
            Self::Admin => "admin",
        }
    }

    /// Roles that bring this one with them, itself first.
    pub fn given_by(self) -> &'static [Self] {
        match self {
            Self::Observe => &[Self::Observe, Self::Control, Self::Domain, Self::Admin],
            Self::Control => &[Self::Control, Self::Admin],
            Self::Domain => &[Self::Domain, Self::Admin],
            Self::Admin => &[Self::Admin],
        }
    }
}

/// Somebody, as the file says it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Principal {
    /// Whoever the bus lets in.
    Everyone,
    /// A user, by name or number.
    User(String),
    /// A group, by name or number.
    Group(String),
}

/// Who has each role, as the file says it.
pub type Roles = BTreeMap<Role, Vec<Principal>>;

/// Who has one role, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Whoever the bus lets in.
    pub everyone: bool,
    /// User IDs.
    pub users: BTreeSet<u32>,
    /// Group IDs.
    pub groups: BTreeSet<u32>,
    /// Users of these groups, as far as the machine's lists name them: for a bus that doesn't tell groups.
    pub members: BTreeSet<u32>,
}

/// Who has each role, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// A role that isn't there is nobody's.
    pub roles: BTreeMap<Role, Who>,
}

/// What the bus says of a connection; nothing of one that is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// User ID.
    pub user: Option<u32>,
    /// All group IDs, if the bus tells them.
    pub groups: Option<Vec<u32>>,
}

impl Access {
    fn holders(&self, role: Role) -> impl Iterator<Item = &Who> {
        role.given_by().iter().filter_map(|role| self.roles.get(role))
    }

    /// Whether anybody at all has this role.
    pub fn is_open(&self, role: Role) -> bool {
        self.holders(role).any(|who| who.everyone)
    }

    /// Whether a connection has this role, or one that brings it.
    pub fn allows(&self, role: Role, credentials: &Credentials) -> bool {
        self.holders(role).any(|who| {
            let is_user = credentials.user.is_some_and(|user| who.users.contains(&user));
            let in_group = match (&credentials.groups, credentials.user) {
                (Some(groups), _) => groups.iter().any(|group| who.groups.contains(group)),
                (None, Some(user)) => who.members.contains(&user),
                (None, None) => false,
            };
            who.everyone || is_user || in_group
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(users: &[u32], groups: &[u32], members: &[u32]) -> Who {
        Who {
            everyone: false,
            users: users.iter().copied().collect(),
            groups: groups.iter().copied().collect(),
            members: members.iter().copied().collect(),
        }
    }

    fn of(user: u32, groups: Option<&[u32]>) -> Credentials {
        Credentials {
            user: Some(user),
            groups: groups.map(<[u32]>::to_vec),
        }
    }

    #[test]
    fn a_role_brings_those_below_it_and_nothing_else() {
        let access = Access {
            roles: BTreeMap::from([
                (Role::Observe, who(&[1], &[], &[])),
                (Role::Control, who(&[2], &[], &[])),
                (Role::Domain, who(&[3], &[], &[])),
                (Role::Admin, who(&[4], &[], &[])),
            ]),
        };
        let roles = |user| Role::ALL.map(|role| access.allows(role, &of(user, Some(&[]))));
        assert_eq!(roles(1), [true, false, false, false]);
        assert_eq!(roles(2), [true, true, false, false]);
        assert_eq!(roles(3), [true, false, true, false]);
        assert_eq!(roles(4), [true, true, true, true]);
        assert_eq!(roles(5), [false; 4]);
        assert!(!access.allows(Role::Observe, &Credentials::default()));
    }

    #[test]
    fn groups_are_what_the_bus_says_and_the_machines_lists_only_where_it_says_nothing() {
        let access = Access {
            roles: BTreeMap::from([(Role::Control, who(&[], &[29], &[7]))]),
        };
        assert!(access.allows(Role::Control, &of(9, Some(&[9, 29]))));
        assert!(
            !access.allows(Role::Control, &of(7, Some(&[7]))),
            "it has left the group since"
        );
        assert!(access.allows(Role::Control, &of(7, None)));
        assert!(!access.allows(Role::Control, &of(8, None)));
    }

    #[test]
    fn a_role_that_is_everyones_is_had_by_one_who_is_gone_already() {
        let everyone = Who {
            everyone: true,
            ..Who::default()
        };
        let access = Access {
            roles: BTreeMap::from([(Role::Observe, everyone)]),
        };
        assert!(access.is_open(Role::Observe) && !access.is_open(Role::Control));
        assert!(access.allows(Role::Observe, &Credentials::default()));
    }
}
