//! From what a backend says of a workspace to what is kept of it.
//!
//! Invariants: paths are full, without a slash at either end and without `..`; there are
//! at most [`RULES_MAX`] rules.

use super::Refusal;
use crate::model::{Id, Root, Rule, UserId, Who, Workspace, base_name, is_within};

/// Rules of a workspace, with one for each root that a relative path may mean.
const RULES_MAX: usize = 1_000;

/// A rule as it is sent: for a user or for a role.
#[derive(Debug, Clone)]
pub struct RuleDraft {
    /// Whom it is about, when that is a user.
    pub user: Option<UserId>,
    /// Whom it is about, when that is a role.
    pub role: Option<Id>,
    /// Where: a full path, or one as members see it.
    pub path: String,
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
}

/// The workspace that is meant. `roots` are unique names and full paths.
///
/// # Errors
///
/// [`Refusal`] without roots, with `..` in a path, with a rule that is not about exactly
/// one user or role, or with too many of them: a relative path is one for each root of
/// that name.
pub fn workspace(
    label: String,
    roots: Vec<(String, String)>,
    rules: Vec<RuleDraft>,
) -> Result<Workspace, Refusal> {
    if roots.is_empty() {
        return Err(Refusal::new("roots", "a workspace has at least one root"));
    }
    let mut workspace = Workspace { label, roots: Vec::new(), rules: Vec::new() };
    for (at, (uuid, path)) in roots.into_iter().enumerate() {
        let path = clean(&path, &format!("roots[{at}].path"))?;
        workspace.roots.push(Root { uuid, path });
    }
    let mut rules_full = Vec::new();
    for (at, rule) in rules.into_iter().enumerate() {
        let who = match (rule.user, rule.role) {
            (Some(user), None) => Who::User(user),
            (None, Some(role)) => Who::Role(role),
            (Some(_), Some(_)) | (None, None) => {
                let message = "a rule is about exactly one user or role";
                return Err(Refusal::new(&format!("rules[{at}]"), message));
            }
        };
        let path = clean(&rule.path, &format!("rules[{at}].path"))?;
        let paths = full_paths(&workspace.roots, &path);
        if paths.is_empty() {
            let message = "a path lies under a root, or is relative to one";
            return Err(Refusal::new(&format!("rules[{at}].path"), message));
        }
        if paths.len() > RULES_MAX - rules_full.len() {
            let message = format!("at most {RULES_MAX} rules, one for each root that is meant");
            return Err(Refusal::new(&format!("rules[{at}].path"), &message));
        }
        for path in paths {
            let (read, write) = (rule.read, rule.write);
            rules_full.push(Rule { who: who.clone(), path, read, write });
        }
    }
    workspace.rules = rules_full;
    Ok(workspace)
}

/// `path` without slashes at its ends; `None` when `..` is in it.
#[must_use]
pub fn clean_path(path: &str) -> Option<String> {
    let path = path.trim_matches('/');
    (!path.split('/').any(|part| part == "..")).then(|| path.to_owned())
}

fn clean(path: &str, field: &str) -> Result<String, Refusal> {
    clean_path(path).ok_or_else(|| Refusal::new(field, "a path has no .. in it"))
}

/// The full paths that a rule's path stands for.
fn full_paths(roots: &[Root], path: &str) -> Vec<String> {
    let is_full = path.is_empty() || roots.iter().any(|root| is_within(path, &root.path));
    if is_full {
        return vec![path.to_owned()];
    }
    let below = |root: &Root, rest: &str| match root.path.as_str() {
        "" => rest.to_owned(),
        root => format!("{root}/{rest}"),
    };
    if let [root] = roots {
        return vec![below(root, path)];
    }
    // With several roots the base name of one of them comes first.
    let (first, rest) = path.split_once('/').unwrap_or((path, ""));
    let named = roots.iter().filter(|root| base_name(&root.path) == first);
    let full = |root: &Root| if rest.is_empty() { root.path.clone() } else { below(root, rest) };
    named.map(full).collect()
}
