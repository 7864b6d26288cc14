//! haresources: which resources move together, and where they like to be.

use std::fmt::{self, Display};

use super::address::{Address, Script};
use super::cloud::{CloudAddress, CloudKind, CloudSettings};
use super::error::Fault;
use super::similar::similar;
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

/// One resource: a script and its arguments, or an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resource {
    /// The script, a file name.
    pub name: String,
    /// Its arguments, before the action.
    pub args: Vec<String>,
    /// The address that hb moves itself instead of calling the script.
    pub address: Option<Address>,
    /// The floating IP that hb moves through its provider's API instead of calling the script. Never beside an address.
    pub cloud: Option<CloudAddress>,
}

impl Resource {
    /// A script and its arguments.
    #[must_use]
    pub fn script(name: &str, args: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            args: args.iter().map(ToString::to_string).collect(),
            address: None,
            cloud: None,
        }
    }

    /// Whether hb moves it itself, without a script.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        self.address.is_some() || self.cloud.is_some()
    }

    /// Whether its name is that of a script of Heartbeat's that moves addresses.
    #[must_use]
    pub fn is_called_as_address(&self) -> bool {
        Script::of(&self.name).is_some() || CloudKind::of(&self.name).is_some()
    }

    /// What hb moves itself and may have been meant, where its name is nearly that of the one.
    #[must_use]
    pub fn nearly(&self) -> Option<&'static str> {
        let addresses = Script::ALL.into_iter().map(Script::name);
        similar(&self.name, addresses.chain(CloudKind::ALL.map(CloudKind::name)))
    }
}

impl Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.args.iter().try_for_each(|arg| write!(f, "::{arg}"))
    }
}

/// Whether resource.d has an executable script of this name. It wins over what hb can do itself, since in Heartbeat the
/// scripts there are what moves addresses. One in /etc/init.d does not: there Heartbeat looks last.
pub(super) type HasScript<'a> = &'a dyn Fn(&str) -> bool;

/// Reads haresources; `nodes` are ha.cf's, lower-cased.
pub(super) fn parse(
    bytes: &[u8],
    nodes: &[String],
    has_script: HasScript<'_>,
) -> Result<(Vec<Group>, Vec<Warning>), Fault> {
    let mut groups: Vec<Group> = Vec::new();
    let mut warnings = Vec::new();
    for Joined { line, text } in join(text::checked(bytes)?) {
        let mut words = text.split_ascii_whitespace();
        let Some(node) = words.next() else { continue };
        let preferred = find_node(line, node, nodes)?;
        let resources = words
            .map(|word| parse_resource(line, word, has_script))
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
    warnings.extend(repeated_addresses(&groups));
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

fn parse_resource(line: u32, word: &str, has_script: HasScript<'_>) -> Result<Resource, Fault> {
    let (script, argument) = match Script::of_bare(word) {
        Some(script) => (Some(script), word),
        None => match word.split_once("::") {
            Some((name, argument)) => (Script::of(name), argument),
            None => (Script::of(word), ""),
        },
    };
    let Some(script) = script else {
        return parse_cloud(line, word, has_script).unwrap_or_else(|| parse_script(line, word));
    };
    let has_script = has_script(script.name());
    match script.parse(argument) {
        Ok(address) => Ok(Resource {
            name: script.name().to_owned(),
            args: vec![argument.to_owned()],
            address: Some(address).filter(|_| !has_script),
            cloud: None,
        }),
        // A script of one's own takes what it likes.
        Err(_) if has_script && word.starts_with(script.name()) => parse_script(line, word),
        Err(expected) => Err(Fault::value(line, "resource", word, expected)),
    }
}

/// A floating IP, unless a script of the provider's name wins.
fn parse_cloud(line: u32, word: &str, has_script: HasScript<'_>) -> Option<Result<Resource, Fault>> {
    let (name, argument) = word.split_once("::").unwrap_or((word, ""));
    let kind = CloudKind::of(name).filter(|kind| !has_script(kind.name()))?;
    let resource = kind.parse(argument).map(|address| Resource {
        name: name.to_owned(),
        args: vec![argument.to_owned()],
        address: None,
        cloud: Some(address),
    });
    Some(resource.map_err(|expected| Fault::value(line, "resource", word, expected)))
}

/// Every floating IP has a provider whose token is known, and only one, and is in one group: two nodes that each have one of
/// the groups would take it from each other for ever.
pub(super) fn check_clouds(groups: &[Group], clouds: &[CloudSettings]) -> Result<(), Fault> {
    let mut seen: Vec<(&CloudAddress, u32)> = Vec::new();
    for group in groups {
        for address in group.resources.iter().filter_map(|resource| resource.cloud.as_ref()) {
            let refuse = |expected: String| Err(Fault::value(group.line, "resource", &address.to_string(), expected));
            if !clouds.iter().any(|settings| settings.kind == address.kind) {
                return refuse(format!(
                    "expected a table [{}] in hb.toml, with token_file or credential",
                    address.kind
                ));
            }
            if let Some((_, line)) = seen.iter().find(|(other, _)| other.target == address.target) {
                return refuse(format!(
                    "{} is in the group of line {line}, too: expected each floating IP once",
                    address.target
                ));
            }
            seen.push((address, group.line));
        }
    }
    Ok(())
}

/// `IPaddr2:198.51.100.10`: what hb moves itself, with one colon where two are meant.
fn with_one_colon(word: &str) -> Option<String> {
    let (name, argument) = word.split_once(':')?;
    let is_ours = Script::of(name).is_some() || CloudKind::of(name).is_some();
    (is_ours && !argument.starts_with(':')).then(|| format!("did you mean {name}::{argument}?"))
}

fn parse_script(line: u32, word: &str) -> Result<Resource, Fault> {
    if let Some(meant) = with_one_colon(word) {
        return Err(Fault::value(line, "resource", word, meant));
    }
    let mut parts = word.split("::");
    let name = parts.next().unwrap_or_default();
    if name.is_empty() || name.contains(['/', '\\']) || matches!(name, "." | "..") {
        let expected = "expected NAME or NAME::ARG::ARG, the name of a script in resource.d or /etc/init.d";
        return Err(Fault::value(line, "resource", word, expected));
    }
    // Heartbeat leaves the splitting to the shell, where an empty argument vanishes.
    let args: Vec<&str> = parts.filter(|arg| !arg.is_empty()).collect();
    Ok(Resource::script(name, &args))
}

/// Two nodes that each have one of the groups would both have the address.
fn repeated_addresses(groups: &[Group]) -> Vec<Warning> {
    let addresses = groups.iter().flat_map(|group| {
        let addresses = group.resources.iter().filter_map(|resource| resource.address.as_ref());
        addresses.map(|address| (address.ip, group.line))
    });
    let addresses: Vec<_> = addresses.collect();
    let repeated = addresses.iter().enumerate().filter_map(|(index, (ip, line))| {
        let (_, first) = addresses[..index].iter().find(|(other, _)| other == ip)?;
        Some(Warning {
            origin: format!("haresources:{line}"),
            message: format!("{ip} is in the group of line {first}, too: two nodes may have it at once"),
        })
    });
    repeated.collect()
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
