//! Who holds which role where, ready to be asked.

use chandlery_sdk::policy::Principal;

use crate::roles;

/// The roles and bindings of the settings and of the data set.
pub(crate) struct Model {
    pub(crate) roles: Vec<Role>,
    pub(crate) bindings: Vec<Binding>,
    /// How much of both comes from the settings; the rest was loaded.
    settings: (usize, usize),
}

/// A role that the operator defined.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

/// One role, held by some in some namespaces.
pub(crate) struct Binding {
    pub(crate) who: Who,
    pub(crate) role: String,
    pub(crate) namespaces: Vec<String>,
    /// Where it was written, which is the name of the rule.
    pub(crate) place: String,
}

/// Who holds it.
pub(crate) enum Who {
    Everybody,
    Group(String),
    Principal(String),
}

impl Model {
    pub(crate) const fn new() -> Model {
        Model { roles: Vec::new(), bindings: Vec::new(), settings: (0, 0) }
    }

    pub(crate) fn of(roles: Vec<Role>, bindings: Vec<Binding>) -> Model {
        let settings = (roles.len(), bindings.len());
        Model { roles, bindings, settings }
    }

    /// Puts a data set in the place of the one before; the settings stay.
    pub(crate) fn load(&mut self, data: Model) {
        self.roles.truncate(self.settings.0);
        self.bindings.truncate(self.settings.1);
        self.roles.extend(data.roles);
        self.bindings.extend(data.bindings);
    }

    /// Whether nobody was given anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.bindings.is_empty()
    }

    /// The bindings that let a principal do something somewhere.
    pub(crate) fn bindings_of<'a>(
        &'a self,
        principal: &'a Principal,
        action: &'a str,
    ) -> impl Iterator<Item = &'a Binding> {
        let held = |it: &&Binding| it.who.is(principal) && self.role_allows(&it.role, action);
        self.bindings.iter().filter(held)
    }

    pub(crate) fn role_allows(&self, role: &str, action: &str) -> bool {
        if let Some(parts) = roles::actions(role) {
            return parts.iter().flat_map(|it| it.iter()).any(|it| roles::covers(it, action));
        }
        let defined = self.roles.iter().filter(|it| it.name == role);
        defined.flat_map(|it| &it.actions).any(|it| roles::covers(it, action))
    }
}

impl Binding {
    /// Whether it holds in a namespace. What lies in none takes a binding for all.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        match namespace {
            "" => self.namespaces.iter().any(|it| it == "*"),
            _ => self.namespaces.iter().any(|it| roles::covers(it, namespace)),
        }
    }
}

impl Who {
    fn is(&self, principal: &Principal) -> bool {
        match self {
            Who::Everybody => true,
            Who::Group(name) => principal.groups.contains(name),
            Who::Principal(id) => principal.id == *id,
        }
    }
}
