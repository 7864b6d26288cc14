use super::testing::{Said, Server, settings};
use super::*;
use crate::config::{Identity, Resource};

#[tokio::test]
async fn accounts_that_are_opened_anew_know_what_the_former_knew() {
    let server = Server::start(|_| Said::new(200, r#"{"reserved_ip":{"droplet":{"id":2}}}"#)).await;
    let (mut settings, _dir) = settings(CloudKind::DigitalOcean, &server);
    let address = CloudKind::DigitalOcean.parse("203.0.113.10").expect("an address");
    let fixed = |id: &str| Identity::Fixed(InstanceId::new(id).expect("an id"));
    let mut cluster = crate::config::testing::cluster();
    cluster.groups[0].resources = vec![Resource {
        cloud: Some(address.clone()),
        ..Resource::script("digitalocean", &["203.0.113.10"])
    }];
    let mut open = |identity: Identity, former: Option<&Clouds>| {
        settings.identity = identity;
        cluster.clouds = vec![settings.clone()];
        let opened = Clouds::open(&cluster, Wanted::default(), former);
        opened.expect("opened").expect("there are some")
    };
    let first = open(fixed("1"), None);
    let known = |clouds: &Clouds| {
        let ip = clouds.get(&address).expect("it is there");
        let owner = ip.last_owner().and_then(|(owner, _)| owner.instance);
        (ip.known_identity(), owner)
    };
    assert_eq!(known(&first), (None, None));
    assert!(
        first
            .get(&address)
            .expect("it is there")
            .readiness()
            .await
            .owner
            .is_ok()
    );
    let (one, two) = (InstanceId::new("1"), InstanceId::new("2"));
    assert_eq!(known(&first), (one.clone(), two.clone()));
    assert_eq!(known(&open(fixed("1"), Some(&first))), (one, two.clone()));
    assert_eq!(
        known(&open(Identity::Metadata, Some(&first))),
        (None, two),
        "it may be another by that"
    );
}
