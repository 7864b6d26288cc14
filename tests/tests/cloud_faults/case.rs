//! One takeover through a cloud at which one thing goes wrong.

use std::{
    fmt,
    fs::{self, Permissions},
    net::IpAddr,
    os::unix::fs::PermissionsExt,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use hb_tests::{
    clock::Moment,
    cloud::{Cloud, Endpoint, FLOATING_IPV6, Fault, Provider, REGION},
    network::{
        FLOATING_IP,
        Server::{self, Primary, Secondary},
    },
};
use hb_user::{
    config::{CloudAddress, CloudKind, CloudSettings, SecretSource},
    resources::cloud::{self, Claim, Failure, FloatingIp, MoveError, Moved, Order},
};

use crate::expected::{End, expected};

/// Longer than a call takes where the machine is busy: what is answered must not be taken for what is not.
const CALL: Duration = Duration::from_secs(30);
/// One that is never answered may take so long.
const HANGING_CALL: Duration = Duration::from_secs(1);
/// How long an action takes.
const ACTION: Duration = Duration::from_millis(150);
/// And one that is to be found under way.
const LONG_ACTION: Duration = Duration::from_secs(2);
/// More calls than this would be a flood. Looks begin at pauses of 50 ms, which grow by a quarter each time, and a look at what others
/// do is up to three calls: that is up to 48 in 5 s.
const CALLS: usize = 60;
/// What takes longer has one in so much time: the narrowest limit of a provider's is 250 a minute.
const CALL_EVERY: Duration = Duration::from_millis(250);
/// A busy machine may end a takeover so much after its time. Those of a fault that happens once mostly take less than a second.
const LATE: Duration = Duration::from_secs(10);
/// How long the owner is waited for where only that tells, before it is asked for again.
const SETTLE: Duration = Duration::from_secs(20);
/// How long a metadata service that says nothing is waited for.
const UNHEARD: Duration = Duration::from_secs(10);
/// What every refusal of too many requests is good for at least.
const THROTTLED: Duration = Duration::from_secs(1);

/// How often it goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Often {
    /// The first time.
    Once,
    /// Until it is given up.
    Always,
}

/// A thing that goes wrong.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub provider: Provider,
    /// The address is one of IPv6.
    pub is_ipv6: bool,
    pub step: Endpoint,
    pub fault: Fault,
    pub often: Often,
}

impl Case {
    /// For each provider, and address of another kind that has another way there.
    pub const KINDS: [(Provider, bool); 5] = [
        (Provider::DigitalOcean, false),
        (Provider::DigitalOcean, true),
        (Provider::Hetzner, false),
        (Provider::Vultr, false),
        (Provider::Aws, false),
    ];

    /// Every fault at every step that a provider has.
    pub fn all(often: Often) -> impl Iterator<Item = Self> {
        let of = move |(provider, is_ipv6)| {
            let steps = steps(provider).iter().copied();
            // There is no list of the actions of IPv6 addresses.
            let steps = steps.filter(move |step| !(is_ipv6 && *step == Endpoint::Pending));
            steps.flat_map(move |step| {
                faults(provider, step).map(move |fault| Self {
                    provider,
                    is_ipv6,
                    step,
                    fault,
                    often,
                })
            })
        };
        Self::KINDS.into_iter().flat_map(of)
    }

    fn ip(&self) -> IpAddr {
        if self.is_ipv6 {
            FLOATING_IPV6.into()
        } else {
            FLOATING_IP.into()
        }
    }

    /// Vultr refuses attachments while it works on a detachment: so that one is met which it would take, nobody has the
    /// address.
    fn nobody_has_it(&self) -> bool {
        self.provider == Provider::Vultr && self.step == Endpoint::Assign
    }

    /// Whether the standby has looked at the API before, as it does: what it has to find out only once is found out then.
    fn is_warm(&self) -> bool {
        !matches!(self.step, Endpoint::Metadata | Endpoint::Credentials | Endpoint::Find)
    }

    /// Whether an action of which nothing was heard, and that is not shown with the address either, may end between a look at
    /// the owner and what is asked for after it: the address is given to us once more.
    fn may_ask_late(&self) -> bool {
        let is_unheard = matches!(self.fault, Fault::LostReply | Fault::Broken) || self.step == Endpoint::Pending;
        let is_hidden = self.is_ipv6 || self.provider == Provider::Hetzner;
        is_unheard && is_hidden
    }

    /// How long the takeover may take.
    fn within(&self) -> Duration {
        match (expected(self), self.step) {
            (End::Deadline, _) => Duration::from_secs(5),
            // The metadata service is waited for, and then not any more.
            (_, Endpoint::Active) => UNHEARD,
            _ => Duration::from_mins(1),
        }
    }

    /// How long it takes at the most, but for a busy machine.
    fn longest(&self) -> Duration {
        let is_unseen = self.provider == Provider::Vultr && self.fault == Fault::ActionErrs;
        match (expected(self), self.step) {
            (End::Deadline, _) | (_, Endpoint::Active) => self.within(),
            (End::Moved, Endpoint::Assign) if is_unseen => SETTLE,
            _ => Duration::ZERO,
        }
    }

    /// And at the least.
    fn shortest(&self) -> Duration {
        match (self.fault, self.step) {
            // The metadata service has no limits.
            (_, Endpoint::Metadata | Endpoint::Credentials | Endpoint::Active) => Duration::ZERO,
            (Fault::TooManyRequests(_), _) => THROTTLED,
            _ => Duration::ZERO,
        }
    }

    pub async fn run(&self) -> Result<Run> {
        let limit = if self.fault == Fault::Hang { HANGING_CALL } else { CALL };
        let site = Site::make(self.provider, self.ip(), limit)?;
        if self.nobody_has_it() {
            site.cloud.set_owner(None);
        }
        if self.is_warm() {
            site.warm_up().await?;
        }
        let times = match self.often {
            Often::Once => 1,
            Often::Always => u32::MAX,
        };
        if self.step == Endpoint::Pending {
            // Ours, of which we know nothing.
            site.cloud.set_action_time(LONG_ACTION);
            site.cloud.fail(Endpoint::Assign, Fault::LostReply, 1);
        }
        site.cloud.fail(self.step, self.fault, times);
        let (before, begun) = (site.cloud.calls().len(), Moment::now());
        let result = site.take_over(self.within()).await;
        let (took, calls) = (begun.elapsed(), site.cloud.calls().len() - before);
        let was_met = match self.often {
            Often::Once => !site.cloud.has_faults_left(),
            Often::Always => site.cloud.calls()[before..]
                .iter()
                .any(|call| call.endpoint == self.step),
        };
        let owner_told = site.cloud.owner_of(self.ip());
        site.cloud.recover();
        site.cloud.settle().await;
        let moves = site.cloud.moves();
        let run = Run {
            end: End::of(&result),
            words: result.as_ref().err().map(ToString::to_string),
            told: result.ok().map(|moved| moved.instance.to_string()),
            owner_told,
            owner: site.cloud.owner_of(self.ip()),
            again: site
                .take_over(Duration::from_secs(20))
                .await
                .map_err(|error| error.to_string())
                .err(),
            owner_again: site.cloud.owner_of(self.ip()),
            assignments: moves.iter().filter(|one| one.to.is_some()).count(),
            was_met,
            took,
            calls,
        };
        ensure!(!format!("{run:?}").contains(self.provider.token()), "the token is told");
        Ok(run)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            provider,
            is_ipv6,
            step,
            fault,
            often,
        } = self;
        let family = if *is_ipv6 { " by IPv6" } else { "" };
        write!(f, "{provider:?}{family}, {step:?}, {fault:?} {often:?}")
    }
}

fn steps(provider: Provider) -> &'static [Endpoint] {
    match provider {
        Provider::DigitalOcean => &[
            Endpoint::Metadata,
            Endpoint::Read,
            Endpoint::Pending,
            Endpoint::Assign,
            Endpoint::Action,
            Endpoint::Verify,
            Endpoint::Active,
        ],
        Provider::Hetzner => &[
            Endpoint::Metadata,
            Endpoint::Find,
            Endpoint::Read,
            Endpoint::Pending,
            Endpoint::Assign,
            Endpoint::Action,
            Endpoint::Verify,
        ],
        Provider::Vultr => &[
            Endpoint::Metadata,
            Endpoint::Find,
            Endpoint::Read,
            Endpoint::Detach,
            Endpoint::Assign,
            Endpoint::Verify,
        ],
        Provider::Aws => &[
            Endpoint::Metadata,
            Endpoint::Credentials,
            Endpoint::Read,
            Endpoint::Assign,
            Endpoint::Verify,
            Endpoint::Active,
        ],
    }
}

fn faults(provider: Provider, step: Endpoint) -> impl Iterator<Item = Fault> {
    let moves = matches!(step, Endpoint::Assign | Endpoint::Detach);
    // EC2 has no actions: what it accepts is done.
    let has_actions = moves && provider != Provider::Aws;
    let common = [
        Fault::Unauthorized,
        Fault::Forbidden,
        Fault::NotFound,
        Fault::Unprocessable,
        Fault::TooManyRequests(1),
        Fault::ServerError,
        Fault::Unavailable,
        Fault::Hang,
        Fault::Reset,
        Fault::LostReply,
        Fault::Broken,
    ];
    // The metadata service is next door.
    let is_next_door = matches!(step, Endpoint::Metadata | Endpoint::Credentials | Endpoint::Active);
    let blocked = (!is_next_door).then_some(Fault::Blocked);
    let refused = moves.then_some(Fault::PendingEvent);
    let errs = has_actions.then_some(Fault::ActionErrs);
    common.into_iter().chain(blocked).chain(refused).chain(errs)
}

/// A cloud, and who takes over there.
struct Site {
    cloud: Cloud,
    ip: FloatingIp,
    _files: tempfile::TempDir,
}

impl Site {
    fn make(provider: Provider, ip: IpAddr, limit: Duration) -> Result<Self> {
        let cloud = Cloud::start_here(provider, Secondary)?;
        cloud.set_action_time(ACTION);
        cloud.set_indiscreet(true);
        let files = tempfile::tempdir()?;
        let file = files.path().join("token");
        fs::write(&file, provider.token())?;
        fs::set_permissions(&file, Permissions::from_mode(0o600))?;
        let kind = CloudKind::of(provider.name()).context("a provider that hb does not have")?;
        let (secret, region) = match provider {
            Provider::DigitalOcean | Provider::Hetzner | Provider::Vultr => (SecretSource::File(file), None),
            Provider::Aws => (SecretSource::InstanceRole, Some(REGION.to_owned())),
        };
        let settings = CloudSettings {
            api_url: cloud.url(),
            metadata_url: cloud.metadata_url(),
            connect_timeout: limit,
            timeout: limit,
            region,
            ..CloudSettings::new(kind, secret)
        };
        let address: CloudAddress = kind.parse(&ip.to_string()).map_err(anyhow::Error::msg)?;
        let ip = cloud::open(&address, &settings)?;
        Ok(Self {
            cloud,
            ip,
            _files: files,
        })
    }

    /// Looks until all is ready: a busy machine may let a call fail.
    async fn warm_up(&self) -> Result<()> {
        let mut problems = Vec::new();
        for _ in 0..5 {
            problems = self.ip.readiness().await.problems();
            if problems.is_empty() {
                break;
            }
        }
        ensure!(problems.is_empty(), "not ready: {problems:?}");
        Ok(())
    }

    async fn take_over(&self, within: Duration) -> Result<Moved, MoveError> {
        let order = Order {
            to: None,
            claim: Claim::Anybody,
            within,
        };
        self.ip.take_over(order, Arc::new(|_| ())).await
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Run {
    pub end: End,
    /// The error's, for who reads a complaint.
    #[expect(dead_code, reason = "it is shown with the rest")]
    pub words: Option<String>,
    /// Who the caller was told has the address.
    pub told: Option<String>,
    /// Who had it when the caller was told.
    pub owner_told: Option<Server>,
    /// Who had it when everything had come to rest.
    pub owner: Option<Server>,
    /// What went wrong when it was tried once more, with nothing going wrong at the cloud.
    pub again: Option<String>,
    /// Who had it after that.
    pub owner_again: Option<Server>,
    /// Assignments that the API accepted, of the first takeover.
    pub assignments: usize,
    pub was_met: bool,
    pub took: Duration,
    pub calls: usize,
}

impl Run {
    /// What is not as it should be.
    pub fn complaints(&self, case: &Case) -> Vec<&'static str> {
        let ours = case.provider.instance(Secondary);
        let is_moved = self.end == End::Moved;
        let is_asked_twice = case.fault == Fault::ActionErrs || case.may_ask_late();
        [
            (!self.was_met, "the fault did not happen"),
            (self.end != expected(case), "another end than expected"),
            (
                is_moved && (self.told.as_ref() != Some(&ours) || self.owner_told != Some(Secondary)),
                "the caller was told that it is ours, and it is not",
            ),
            (
                !is_moved && self.assignments == 0 && self.owner == Some(Secondary),
                "it is ours without an assignment",
            ),
            (
                self.owner == Some(Primary) && self.owner_told != Some(Primary),
                "it went back",
            ),
            (self.assignments > 1 && !is_asked_twice, "assigned more than once"),
            (
                self.again.is_some() || self.owner_again != Some(Secondary),
                "lost: a takeover afterwards failed",
            ),
            (self.is_flood(), "a flood of calls"),
            (self.took > case.longest() + LATE, "later than it may be"),
            (self.took < case.shortest(), "sooner than was asked for"),
        ]
        .into_iter()
        .filter_map(|(is_wrong, complaint)| is_wrong.then_some(complaint))
        .collect()
    }
}

impl Run {
    fn is_flood(&self) -> bool {
        let calls = u32::try_from(self.calls).unwrap_or(u32::MAX);
        self.calls > CALLS && CALL_EVERY.saturating_mul(calls) > self.took
    }
}

impl End {
    fn of(result: &Result<Moved, MoveError>) -> Self {
        match result {
            Ok(_) => Self::Moved,
            Err(MoveError::Failed(Failure::Unauthorised { .. })) => Self::Unauthorised,
            Err(MoveError::Failed(Failure::Refused { .. })) => Self::Refused,
            Err(MoveError::Failed(Failure::Setting { .. })) => Self::Setting,
            Err(MoveError::Failed(Failure::Pending { .. } | Failure::Throttled { .. } | Failure::Passing { .. })) => {
                Self::Passing
            }
            Err(MoveError::Action { .. }) => Self::Action,
            Err(MoveError::NotOurs { .. } | MoveError::NotActive | MoveError::Contended { .. }) => Self::NotOurs,
            Err(MoveError::Deadline { .. }) => Self::Deadline,
        }
    }
}
