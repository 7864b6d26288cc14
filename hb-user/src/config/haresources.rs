//! haresources: which resources move together, and where they like to be.

use std::fmt::{self, Display};
use std::net::Ipv4Addr;

use super::error::Fault;
use super::{Monitor, Warning, text};

#[cfg(test)]
mod tests;

/// As many as one beat has room for.
pub const MAX_GROUPS: usize = 32;

/// One line of haresources: resources that move together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Group {
    /// The node where they run when it is up, an index into the cluster's nodes.
    pub preferred: usize,
    /// Started from the first to the last, stopped from the last to the first. Never empty.
    pub resources: Vec<Resource>,
    /// The line of haresources where it begins.
    pub line: u32,
    /// How it is watched while it runs, where hb.toml asks for that.
    pub monitor: Option<Monitor>,
}

impl Group {
    /// Its name: its first resource, `NAME::ARG::ARG`, which no other group begins with.
    #[must_use]
    pub fn name(&self) -> String {
        self.resources.first().map(ToString::to_string).unwrap_or_default()
    }
}

/// One resource: a script and its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// The script, a file name.
    pub name: String,
    /// Its arguments, before the action.
    pub args: Vec<String>,
}

impl Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.args.iter().try_for_each(|arg| write!(f, "::{arg}"))
    }
}

/// Reads haresources; `nodes` are ha.cf's, lower-cased.
pub(super) fn parse(bytes: &[u8], nodes: &[String]) -> Result<(Vec<Group>, Vec<Warning>), Fault> {
    let mut groups: Vec<Group> = Vec::new();
    let mut warnings = Vec::new();
    for Joined { line, text } in join(text::checked(bytes)?) {
        let mut words = text.split_ascii_whitespace();
        let Some(node) = words.next() else { continue };
        let preferred = find_node(line, node, nodes)?;
        let resources = words
            .map(|word| parse_resource(line, word))
            .collect::<Result<Vec<_>, _>>()?;
        if resources.is_empty() {
            warnings.push(Warning {
                origin: format!("haresources:{line}"),
                message: format!("{node} stands without a resource: ignored"),
            });
            continue;
        }
        let group = Group {
            preferred,
            resources,
            line,
            monitor: None,
        };
        check_group(&group, &groups)?;
        groups.push(group);
    }
    Ok((groups, warnings))
}

/// A line with those that a backslash at its end joins to it.
struct Joined {
    line: u32,
    text: String,
}

/// Comments end with their physical line, on continuation lines too.
fn join(text: &str) -> Vec<Joined> {
    let mut all = Vec::new();
    let mut open: Option<Joined> = None;
    for (line, text) in text::lines(text) {
        let text = text::without_comment(text).trim_ascii_end();
        let (text, continues) = text.strip_suffix('\\').map_or((text, false), |before| (before, true));
        let mut joined = open.take().unwrap_or(Joined {
            line,
            text: String::new(),
        });
        joined.text.push_str(text);
        joined.text.push(' ');
        if continues {
            open = Some(joined);
        } else {
            all.push(joined);
        }
    }
    all.extend(open);
    all
}

fn find_node(line: u32, node: &str, nodes: &[String]) -> Result<usize, Fault> {
    let position = nodes.iter().position(|name| name.eq_ignore_ascii_case(node));
    position.ok_or_else(|| {
        Fault::value(
            line,
            "node",
            node,
            format_args!("expected a node of ha.cf ({})", nodes.join(", ")),
        )
    })
}

fn parse_resource(line: u32, word: &str) -> Result<Resource, Fault> {
    if let Some(address) = dotted_quad(word) {
        if address.parse::<Ipv4Addr>().is_err() {
            return Err(Fault::value(line, "resource", word, "expected an IPv4 address"));
        }
        return Ok(Resource {
            name: "IPaddr".to_owned(),
            args: vec![word.to_owned()],
        });
    }
    let mut parts = word.split("::");
    let name = parts.next().unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\']) || matches!(name, "." | "..") {
        let expected = "expected NAME or NAME::ARG::ARG, the name of a script in resource.d or /etc/init.d";
        return Err(Fault::value(line, "resource", word, expected));
    }
    Ok(Resource {
        name: name.to_owned(),
        // Heartbeat leaves the splitting to the shell, where an empty argument vanishes.
        args: parts.filter(|arg| !arg.is_empty()).map(str::to_owned).collect(),
    })
}

/// The address of `1.2.3.4` or `1.2.3.4/...`, were its numbers in range.
fn dotted_quad(word: &str) -> Option<&str> {
    let address = word.split('/').next()?;
    let numbers = address.split('.');
    let all_digits = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (numbers.clone().count() == 4 && numbers.clone().all(all_digits)).then_some(address)
}

fn check_group(group: &Group, others: &[Group]) -> Result<(), Fault> {
    let name = group.name();
    if let Some(twin) = others.iter().find(|other| other.name() == name) {
        let expected = format!(
            "the group of line {} begins with it too: expected each first resource once",
            twin.line
        );
        return Err(Fault::value(group.line, "resource", &name, expected));
    }
    if others.len() == MAX_GROUPS {
        return Err(Fault::at(
            group.line,
            format!("expected at most {MAX_GROUPS} resource groups"),
        ));
    }
    Ok(())
}
