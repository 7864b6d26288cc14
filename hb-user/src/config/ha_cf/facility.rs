//! The syslog facilities that `logfacility` may name.

use std::fmt::{self, Debug, Display};

/// A syslog facility.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Facility {
    name: &'static str,
    code: u8,
}

/// Names and codes of RFC 5424, section 6.2.1, as syslog.h spells them.
const FACILITIES: [Facility; 21] = [
    facility("kern", 0),
    facility("user", 1),
    facility("mail", 2),
    facility("daemon", 3),
    facility("auth", 4),
    facility("security", 4),
    facility("syslog", 5),
    facility("lpr", 6),
    facility("news", 7),
    facility("uucp", 8),
    facility("cron", 9),
    facility("authpriv", 10),
    facility("ftp", 11),
    facility("local0", 16),
    facility("local1", 17),
    facility("local2", 18),
    facility("local3", 19),
    facility("local4", 20),
    facility("local5", 21),
    facility("local6", 22),
    facility("local7", 23),
];

const fn facility(name: &'static str, code: u8) -> Facility {
    Facility { name, code }
}

impl Facility {
    /// The facility of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        FACILITIES.into_iter().find(|facility| facility.name == name)
    }

    /// Its name, as syslog.conf spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its number in a syslog message.
    #[must_use]
    pub fn code(self) -> u8 {
        self.code
    }
}

impl Display for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Debug for Facility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
