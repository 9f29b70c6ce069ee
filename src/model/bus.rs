//! Pydio's bus: events about nodes, tasks, identities and activities, and the
//! workspaces that decide who may see them.
//!
//! A bus event is one record. What of it a session is sent differs by workspace and by
//! right, so a record has faces: each is one message and says who gets it.
//!
//! Invariants: faces are a function of the record and of the workspaces at its offset;
//! a path is full, without a slash at either end.

use std::sync::Arc;

use bytes::Bytes;

use super::{Id, Record, Topic, UserId};

/// What a bus event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusTopic {
    /// Files and folders.
    Tree,
    /// What is said about files and folders.
    Meta,
    /// Background tasks.
    Task,
    /// Users, roles, workspaces and rights.
    Idm,
    /// What people did.
    Activity,
}

impl BusTopic {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Tree, Self::Meta, Self::Task, Self::Idm, Self::Activity];

    /// The topic as one word.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Tree => "tree",
            Self::Meta => "meta",
            Self::Task => "task",
            Self::Idm => "idm",
            Self::Activity => "activity",
        }
    }

    /// The topic that [`BusTopic::label`] names.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.label() == label)
    }
}

/// Whether a bus event is delivered by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusStage {
    /// It is.
    Whole,
    /// It waits for others about the same node, and for the record that merges them.
    Part,
    /// It stands for the parts from one offset up to another one, both included.
    Merged {
        /// Offset of the first part.
        first: u64,
        /// Offset of the last part.
        through: u64,
        /// True when no later part may wait.
        is_last: bool,
    },
    /// It is nobody's: what it says was superseded when it came.
    Void,
}

/// An event of the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bus {
    /// What it is about.
    pub topic: BusTopic,
    /// Whether it is delivered by itself.
    pub stage: BusStage,
    /// The change as it was published: a JSON object with full paths.
    pub data: Bytes,
    /// The node that it changes, when it is a part or must come after all parts.
    pub node: Option<Arc<str>>,
    /// The server that accepted it.
    pub origin: Arc<str>,
    /// What it says of the place of a node.
    pub place: Option<NodePlace>,
    /// The task that it is about.
    pub task: Option<TaskMark>,
}

/// How far one task has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskMark {
    /// Its name.
    pub id: Arc<str>,
    /// True when it has ended.
    pub is_final: bool,
}

/// Where one node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePlace {
    /// Its unique name.
    pub uuid: Arc<str>,
    /// Its full path; `None` when it is gone.
    pub path: Option<Arc<str>>,
    /// Where it was, when what is in it goes along.
    pub from: Option<Arc<str>>,
}

/// Where nodes are: the unique names and full paths of some, and names of those that are
/// gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodePaths {
    /// Names and paths.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// Names.
    pub remove: Vec<Arc<str>>,
    /// Old and new paths of folders with which others moved, or were gone when there is no
    /// new one. The log fills it in.
    pub moved: Vec<(Arc<str>, Option<Arc<str>>)>,
}

/// A workspace: some folders, and who may do less than everything in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Workspace {
    /// For people.
    pub label: String,
    /// Its folders; at least one.
    pub roots: Vec<Root>,
    /// What narrows the rights of its members.
    pub rules: Vec<Rule>,
}

/// A folder of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Its unique name.
    pub uuid: String,
    /// Its full path.
    pub path: String,
}

/// Whom a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// A user.
    User(UserId),
    /// Everybody who has a role.
    Role(Id),
}

/// What somebody may do at a path and below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Whom it is about.
    pub who: Who,
    /// Full path; empty for everything.
    pub path: String,
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
}

/// What a session's token says beside its user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// Roles, sorted.
    pub roles: Vec<Id>,
    /// Profile.
    pub profile: Option<Arc<str>>,
}

/// One message that a bus event comes to.
#[derive(Debug)]
pub struct Face {
    /// Who gets it.
    pub audience: Audience,
    /// The message, as an event at the place of the bus event.
    pub record: Arc<Record>,
}

/// Who gets a face, of all sessions that read the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Audience {
    /// Members of a workspace.
    Members {
        /// The workspace.
        workspace: Id,
        /// What of it they must see; `None` when members see everything.
        sight: Option<Box<Sight>>,
    },
    /// A user.
    User(UserId),
    /// Who has a role.
    Role(Id),
    /// Administrators.
    Admins,
}

/// What a member must see, and must not see, to get one of the faces of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The rules that decide.
    pub workspace: Arc<Workspace>,
    /// Full paths that must be readable.
    pub seen: Vec<String>,
    /// Full paths that must not be readable.
    pub hidden: Vec<String>,
    /// Policies, one of which must allow reading, when there are any to ask.
    pub policies: Option<Vec<Policy>>,
}

/// Who may read something, apart from rules of a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `*`, `user:…`, `role:…` or `profile:…`
    pub subject: String,
    /// False for one that denies.
    pub allows: bool,
}

impl Audience {
    /// Where those who may get it are found.
    #[must_use]
    pub fn topic(&self) -> Topic {
        match self {
            Self::Members { workspace, .. } => Topic::Workspace(workspace.clone()),
            Self::User(user) => Topic::User(user.clone()),
            Self::Role(_) | Self::Admins => Topic::Everyone,
        }
    }

    /// True for a session of `user` that is found at [`Audience::topic`].
    #[must_use]
    pub fn admits(&self, user: &UserId, subject: &Subject) -> bool {
        match self {
            Self::Members { sight: None, .. } => true,
            Self::Members { sight: Some(sight), .. } => sight.admits(user, subject),
            Self::User(own) => own == user,
            Self::Role(role) => subject.roles.contains(role),
            Self::Admins => subject.is_admin(),
        }
    }
}

impl Sight {
    fn admits(&self, user: &UserId, subject: &Subject) -> bool {
        let can_read = |path: &String| self.workspace.rights(path, user, subject).read;
        self.seen.iter().all(can_read)
            && !self.hidden.iter().any(can_read)
            && self.policies.as_deref().is_none_or(|all| may_read(all, user, subject))
    }
}

/// The profiles, from the least to the most powerful.
const PROFILES: [&str; 4] = ["anon", "shared", "standard", "admin"];

/// The profile of who has none.
const DEFAULT_PROFILE: &str = "standard";

/// True when some policy allows `user` to read and none denies it.
fn may_read(policies: &[Policy], user: &UserId, subject: &Subject) -> bool {
    let is_about = |policy: &&Policy| match policy.subject.split_once(':') {
        None => policy.subject == "*",
        Some(("user", name)) => name == user.as_str(),
        Some(("role", name)) => subject.roles.iter().any(|role| role.as_str() == name),
        Some(("profile", name)) => subject.has_profile(name),
        Some(_) => false,
    };
    let mut about = policies.iter().filter(is_about).peekable();
    about.peek().is_some() && about.all(|policy| policy.allows)
}

/// What somebody may do somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// May read.
    pub read: bool,
    /// May write.
    pub write: bool,
}

impl Subject {
    /// True for administrators.
    #[must_use]
    pub fn is_admin(&self) -> bool {
        self.profile.as_deref() == Some("admin")
    }

    /// True when `name` is this profile or a lesser one.
    fn has_profile(&self, name: &str) -> bool {
        let own = self.profile.as_deref().unwrap_or(DEFAULT_PROFILE);
        let rank = |name: &str| PROFILES.iter().position(|known| *known == name);
        match (rank(own), rank(name)) {
            (Some(own), Some(other)) => other <= own,
            _ => own == name,
        }
    }
}

impl Workspace {
    /// The first of its folders that `path` is, or lies under.
    #[must_use]
    pub fn root_of(&self, path: &str) -> Option<&Root> {
        self.roots.iter().find(|root| is_within(path, &root.path))
    }

    /// `path` as members see it; `None` when it is outside.
    ///
    /// With several folders the base name of the folder comes first.
    #[must_use]
    pub fn relative(&self, path: &str) -> Option<String> {
        let root = self.root_of(path)?;
        let below = path.get(root.path.len()..).unwrap_or_default().trim_start_matches('/');
        if self.roots.len() < 2 {
            return Some(below.to_owned());
        }
        let name = base_name(&root.path);
        Some(if below.is_empty() { name.to_owned() } else { format!("{name}/{below}") })
    }

    /// What a member may do at `path`, a full one.
    ///
    /// The longest path wins, then a rule for the user before one for a role, then the
    /// rule that allows less.
    #[must_use]
    pub fn rights(&self, path: &str, user: &UserId, subject: &Subject) -> Rights {
        let mut found = Rights { read: true, write: true };
        let mut rank = None;
        for rule in &self.rules {
            let is_personal = match &rule.who {
                Who::User(who) if who == user => true,
                Who::Role(role) if subject.roles.contains(role) => false,
                Who::User(_) | Who::Role(_) => continue,
            };
            if !is_within(path, &rule.path) {
                continue;
            }
            let own = Rights { read: rule.read, write: rule.read && rule.write };
            let own_rank = Some((rule.path.len(), is_personal));
            if own_rank > rank {
                (found, rank) = (own, own_rank);
            } else if own_rank == rank {
                found.read &= own.read;
                found.write &= own.write;
            }
        }
        found
    }
}

/// True when `path` is `folder` or lies under it.
#[must_use]
pub fn is_within(path: &str, folder: &str) -> bool {
    match path.strip_prefix(folder) {
        Some(rest) => folder.is_empty() || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}

/// The last part of a path.
#[must_use]
pub fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
