//! The default policy: who holds which role in which namespaces.

use chandlery_sdk::policy::{
    self, Decision, Diagnostic, Label, Lifecycle, PluginError, Policy, Principal, Question, Reach,
    Target,
};

struct Rbac;

impl Lifecycle for Rbac {
    fn check_settings(_settings: String) -> Vec<Diagnostic> {
        Vec::new()
    }

    fn configure(_settings: String) -> Result<(), String> {
        Ok(())
    }
}

impl Policy for Rbac {
    fn load(_revision: u64, _data: String) -> Result<(), PluginError> {
        Ok(())
    }

    fn authorize(question: Question) -> Result<Decision, PluginError> {
        Ok(match is_open(&question.context) {
            true => Decision::allow("open"),
            false => Decision::deny("closed", "nobody holds a role on this server"),
        })
    }

    fn filter(question: Question, targets: Vec<Target>) -> Result<Vec<bool>, PluginError> {
        Ok(vec![is_open(&question.context); targets.len()])
    }

    fn reach_of(_who: Principal, _action: String, _kind: String) -> Result<Reach, PluginError> {
        Ok(Reach::Each)
    }
}

/// A server that only its own machine reaches and that has no accounts is open: all
/// who can ask could as well read its files.
fn is_open(context: &[Label]) -> bool {
    let says = |key: &str, value: &str| context.iter().any(|it| it.key == key && it.value == value);
    says("listen", "loopback") && says("accounts", "none")
}

policy::export!(Rbac);
