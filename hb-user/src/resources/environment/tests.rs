use super::*;

fn tutorial() -> Facts<'static> {
    Facts {
        me: "primary",
        dir: Path::new("/etc/ha.d"),
        logfile: None,
        debugfile: None,
        logfacility: None,
        legacy_failback: true,
        alone: false,
        directives: &[],
    }
}

fn value(facts: &Facts<'_>, name: &str) -> Option<String> {
    let variables = variables(facts);
    assert!(
        variables.iter().filter(|(known, _)| known == name).count() <= 1,
        "{name} is there twice"
    );
    variables
        .into_iter()
        .find_map(|(known, value)| (known == name).then_some(value))
}

#[test]
fn what_every_script_finds() {
    for (name, expected) in [
        ("HA_CURHOST", "primary"),
        ("HA_DIR", "/etc/ha.d"),
        ("HA_RCDIR", "/etc/ha.d/rc.d"),
        ("HA_RESOURCEDIR", "/etc/ha.d/resource.d"),
        ("HA_FUNCS", "/etc/ha.d/shellfuncs"),
        ("HA_BIN", "/usr/lib/heartbeat"),
        ("HA_DATEFMT", "%Y/%m/%d_%T"),
        ("HA_DOCDIR", "/usr/share/doc/heartbeat"),
        ("HA_LOGD", "no"),
        ("LC_ALL", "C"),
        ("OCF_ROOT", "/usr/lib/ocf"),
        ("OCF_AGENTS", "/usr/lib/ocf/resource.d/heartbeat"),
    ] {
        assert_eq!(value(&tutorial(), name).as_deref(), Some(expected), "{name}");
    }
    for name in [
        "HA_LOGFILE",
        "HA_DEBUGLOG",
        "HA_LOGFACILITY",
        "HA_NICEFAILBACK",
        "HA_DONTASK",
    ] {
        assert_eq!(value(&tutorial(), name), None, "{name}");
    }
}

#[test]
fn what_is_there_only_where_it_applies() {
    let facts = Facts {
        logfile: Some("/var/log/ha-log"),
        debugfile: Some("/var/log/ha-debug"),
        logfacility: Some("local0"),
        legacy_failback: false,
        alone: true,
        ..tutorial()
    };
    for (name, expected) in [
        ("HA_LOGFILE", "/var/log/ha-log"),
        ("HA_DEBUGLOG", "/var/log/ha-debug"),
        ("HA_LOGFACILITY", "local0"),
        ("HA_NICEFAILBACK", "yes"),
        ("HA_DONTASK", "yes"),
    ] {
        assert_eq!(value(&facts, name).as_deref(), Some(expected), "{name}");
    }
}

#[test]
fn a_parameter_keeps_its_text_and_a_list_is_none() {
    let directives = [
        ("node", "primary"),
        ("keepalive", "200ms"),
        ("ucast", "eth0 198.51.100.5"),
        ("auto_failback", "Legacy"),
        ("keepalive", "100ms"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()));
    let facts = Facts {
        directives: &directives,
        ..tutorial()
    };
    assert_eq!(value(&facts, "HA_keepalive").as_deref(), Some("100ms"));
    assert_eq!(value(&facts, "HA_auto_failback").as_deref(), Some("Legacy"));
    assert_eq!(value(&facts, "HA_node"), None);
    assert_eq!(value(&facts, "HA_ucast"), None);
}
