//! What the configuration asks the machine: its name, processors, open files.
//!
//! Invariants: nothing here fails; a machine that does not tell gets a cautious
//! value.

use crate::model::Id;

/// The facts that some defaults are derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Host name, made safe to be a node id.
    pub host_name: String,
    /// Processors that this process may use.
    pub processors: usize,
    /// How many files and sockets this process may have open.
    pub open_files: usize,
}

/// Used when the machine tells no limit.
const OPEN_FILES_UNKNOWN: usize = 1_024;

impl Machine {
    /// Asks the operating system.
    #[must_use]
    pub fn here() -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Self {
            host_name: node_id(&rustix::system::uname().nodename().to_string_lossy()),
            processors: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            // No limit at all is as good as a million.
            open_files: limit.current.map_or(1_000_000, |current| {
                usize::try_from(current).unwrap_or(OPEN_FILES_UNKNOWN)
            }),
        }
    }

    /// A machine for tests: `test-node`, two processors, 4,096 open files.
    #[must_use]
    pub fn for_tests() -> Self {
        Self { host_name: "test-node".to_owned(), processors: 2, open_files: 4_096 }
    }
}

/// Raises the soft limit of open files to the hard limit: every socket is one.
/// Returns the limit that holds now.
pub fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // Nothing to do about a refusal: the caller sees the limit that is left.
    setrlimit(Resource::Nofile, raised).ok();
    Machine::here().open_files
}

/// Makes a host name fit the alphabet and the length of ids.
fn node_id(host_name: &str) -> String {
    let safe: String = host_name
        .chars()
        .map(|letter| match letter {
            'A'..='Z' | 'a'..='z' | '0'..='9' | '_' | '.' | '@' | '-' => letter,
            _ => '-',
        })
        .take(64)
        .collect();
    if Id::parse(&safe).is_ok() { safe } else { "node".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_becomes_an_id() {
        for (host_name, id) in [
            ("web-1.example", "web-1.example"),
            ("büro pc", "b-ro-pc"),
            ("", "node"),
            (&"a".repeat(80), &"a".repeat(64)),
        ] {
            assert_eq!(node_id(host_name), id);
        }
    }

    #[test]
    fn this_machine_tells_usable_facts() {
        let machine = Machine::here();
        assert!(Id::parse(&machine.host_name).is_ok());
        assert!(machine.processors >= 1 && machine.open_files >= 64);
    }
}
