//! What one process does of all that the service does. Any mix of processes may share a database.

use store::processes::Role;

/// The roles of a process, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Roles(Vec<Role>);

impl Roles {
    /// Reads names of roles. The error says what is wrong with them.
    pub(crate) fn parse<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, String> {
        let mut named = Vec::new();
        for name in names {
            let role = Role::ALL.into_iter().find(|role| role.as_str() == name);
            named.push(role.ok_or_else(|| format!("{name:?} is no role; the roles are {}", known()))?);
        }
        let roles: Vec<Role> = Role::ALL.into_iter().filter(|role| named.contains(role)).collect();
        if roles.is_empty() {
            return Err(format!(
                "no role is named, so the process would do nothing; the roles are {}",
                known()
            ));
        }
        Ok(Self(roles))
    }

    /// Reads a list as the command line has it: `receiver,workers`.
    pub(crate) fn parse_list(list: &str) -> Result<Self, String> {
        Self::parse(list.split(',').map(str::trim).filter(|name| !name.is_empty()))
    }

    /// Whether the process has this role.
    pub(crate) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    /// Whether the process has all of them.
    pub(crate) fn are_all(&self) -> bool {
        self.0.len() == Role::ALL.len()
    }

    /// The roles, in the order in which a message meets them.
    pub(crate) fn list(&self) -> &[Role] {
        &self.0
    }
}

impl std::fmt::Display for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(", "))
    }
}

fn known() -> String {
    Role::ALL.map(Role::as_str).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_in_any_order_and_each_role_counts_once() {
        let roles = Roles::parse_list("workers, receiver,workers").unwrap();

        assert_eq!(roles.list(), [Role::Receiver, Role::Workers]);
        assert!(!roles.are_all() && !roles.has(Role::Console));
        assert_eq!(roles.to_string(), "receiver, workers");
    }

    #[test]
    fn a_list_that_names_no_role_or_an_unknown_one_is_refused_with_those_that_are_known() {
        for (list, wrong) in
            [("", "no role is named"), (" , ", "no role is named"), ("workers,web", "\"web\" is no role")]
        {
            let error = Roles::parse_list(list).unwrap_err();

            assert!(error.starts_with(wrong), "{error}");
            assert!(error.ends_with("the roles are receiver, workers, scheduler, console"), "{error}");
        }
    }
}
