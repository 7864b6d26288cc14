use std::sync::Mutex;

use serde_json::Value;

use super::*;
use crate::config::CloudKind;
use crate::resources::cloud::testing::{
    Asked, Fault, Said, Server, TOKEN, a_fixed_id_is_held_against_metadata, floating_ip, take_over,
};

const IP: &str = "192.0.2.123";
const ID: &str = "95ba962f-bb4d-4b55-8a23-4bc21a1c3ec2";
const OURS: &str = "4f0f12e5-1f84-404f-aa84-85f431ea5ec2";
/// Plain base64, as it stands in a reply and in a query.
const CURSOR: [&str; 2] = ["bmV4dF9f+/8=", "bmV4dF9f%2B%2F8%3D"];
const THEIRS: &str = "1e8b2f6d-0000-4b55-8a23-4bc21a1c3ec2";

async fn cloud() -> (Server, Arc<Mutex<String>>) {
    let owner = Arc::new(Mutex::new(THEIRS.to_owned()));
    let shared = owner.clone();
    let server = Server::start(move |asked| answer(&mut owner.lock().expect("alone"), asked)).await;
    (server, shared)
}

fn answer(owner: &mut String, asked: &Asked) -> Said {
    if asked.line == "GET /v1.json" {
        assert_eq!(asked.header("authorization"), "", "the metadata service gets no token");
        let metadata = json!({ "hostname": "guest", "instanceid": "a747bfz6385e", "instance-v2-id": OURS });
        return Said::new(200, metadata);
    }
    assert_eq!(asked.header("authorization"), format!("Bearer {TOKEN}"));
    match asked
        .line
        .strip_prefix("GET /v2/reserved-ips")
        .or(asked.line.strip_prefix("POST /v2/reserved-ips"))
    {
        Some("?per_page=100") => Said::new(200, list(&json!([]), CURSOR[0])),
        Some(path) if path == format!("?per_page=100&cursor={}", CURSOR[1]) => {
            Said::new(200, list(&json!([address(owner), six()]), ""))
        }
        Some(path) if path == format!("/{ID}") => Said::new(200, json!({ "reserved_ip": address(owner) })),
        Some(path) if path == format!("/{ID}/detach") => {
            owner.clear();
            Said::new(204, "")
        }
        Some(path) if path == format!("/{ID}/attach") => {
            assert_eq!(asked.json(), json!({ "instance_id": OURS }));
            if !owner.is_empty() {
                return error(400, "Reserved IP is already attached to a server");
            }
            OURS.clone_into(owner);
            Said::new(204, "")
        }
        Some(_) | None => error(404, "Invalid reserved-ip."),
    }
}

fn list(all: &Value, next: &str) -> Value {
    json!({ "reserved_ips": all, "meta": { "total": 2, "links": { "next": next, "prev": "" } } })
}

fn address(owner: &str) -> Value {
    json!({
        "id": ID, "region": "ewr", "ip_type": "v4", "subnet": IP, "subnet_size": 32, "label": "web", "instance_id": owner,
    })
}

fn six() -> Value {
    json!({
        "id": "six", "region": "ewr", "ip_type": "v6", "subnet": "2001:db8:5:6bb::", "subnet_size": 64, "label": "",
        "instance_id": "",
    })
}

fn error(status: u16, message: &str) -> Said {
    Said::new(status, json!({ "error": message, "status": status }))
}

#[tokio::test]
async fn it_is_taken_away_first_and_then_attached() {
    let (server, owner) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!((moved.action, moved.is_active), (None, None));
    assert!(moved.accepted.is_some() && moved.completed.is_none());
    assert_eq!(*owner.lock().expect("alone"), OURS);
    assert_eq!(
        server.log(),
        [
            "GET /v1.json".to_owned(),
            "GET /v2/reserved-ips?per_page=100".to_owned(),
            format!("GET /v2/reserved-ips?per_page=100&cursor={}", CURSOR[1]),
            format!("POST /v2/reserved-ips/{ID}/detach"),
            format!("POST /v2/reserved-ips/{ID}/attach"),
            format!("GET /v2/reserved-ips/{ID}"),
        ]
    );
}

#[tokio::test]
async fn what_nobody_has_is_attached_at_once() {
    let (server, owner) = cloud().await;
    owner.lock().expect("alone").clear();
    let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
    let moved = take_over(&ip).await.expect("taken over");
    assert_eq!(moved.from, None);
    assert_eq!(server.count("POST"), 1);
}

/// A list of which only a part was read does not say that the address is not in it.
#[tokio::test]
async fn a_list_that_was_not_read_to_its_end_says_nothing() {
    let lists: [fn(&Asked) -> Said; 4] = [
        // It does not say whether there is more.
        |_| Said::new(200, json!({ "reserved_ips": [], "meta": { "total": 0, "links": {} } })),
        // It has no end.
        |asked| Said::new(200, list(&json!([]), &format!("{}+", asked.line.len()))),
        // It leads back to where it was.
        |_| Said::new(200, list(&json!([]), "again")),
        // It is here, under a name that cannot be asked for.
        |_| Said::new(200, list(&json!([nameless()]), "")),
    ];
    for answers in lists {
        let server = Server::start(answers).await;
        let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
        let failure = ip.owner().await.expect_err("no answer");
        assert!(matches!(failure, Failure::Passing { .. }), "{failure}");
        assert!(server.log().len() <= 20, "{:?}", server.log());
    }
}

fn nameless() -> Value {
    let mut address = address(THEIRS);
    address["id"] = json!("../..");
    address
}

#[tokio::test]
async fn a_fault_between_taking_away_and_attaching_is_mended() {
    for fault in [
        Fault::Reset,
        Fault::Hang,
        Fault::Said(error(503, "try later")),
        // A refusal of which only a part arrives: whether it is for ever is not known.
        Fault::Said(Said::new(400, "{\"error\":\"Unable to det")),
        Fault::Lost,
    ] {
        for step in ["detach", "attach"] {
            let (server, owner) = cloud().await;
            let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
            let line = match step {
                "detach" => "POST /v2/reserved-ips/95ba962f-bb4d-4b55-8a23-4bc21a1c3ec2/detach",
                _ => "POST /v2/reserved-ips/95ba962f-bb4d-4b55-8a23-4bc21a1c3ec2/attach",
            };
            server.faults(line, [fault.clone()]);
            take_over(&ip)
                .await
                .unwrap_or_else(|error| panic!("{step} {fault:?}: {error}"));
            assert_eq!(*owner.lock().expect("alone"), OURS, "{step} {fault:?}");
            if matches!(fault, Fault::Lost) {
                assert_eq!(
                    server.count("POST"),
                    2,
                    "{step}: nothing was done twice: {:?}",
                    server.log()
                );
            }
        }
    }
}

#[tokio::test]
async fn a_locked_server_is_waited_for_and_a_refusal_is_not() {
    let (server, _owner) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
    let busy = [
        "Server is currently locked",
        "Unable to detach subnet, please restart your server from the control panel",
        "Floating IPv4 address is already attached to another server",
    ];
    server.faults("POST", busy.map(|message| Fault::Said(error(400, message))));
    take_over(&ip).await.expect("taken over");
    assert_eq!(server.count("POST"), 5, "{:?}", server.log());

    // Who had it has let go of it meanwhile.
    let (server, owner) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
    owner.lock().expect("alone").clear();
    let list = list(&json!([address(THEIRS)]), "");
    server.faults("GET /v2", [Fault::Said(Said::new(200, list))]);
    let said = error(400, "Floating IPv4 address is not attached to a server");
    server.faults("POST", [Fault::Said(said)]);
    take_over(&ip).await.expect("taken over");

    let (server, _owner) = cloud().await;
    let (ip, _dir) = floating_ip(CloudKind::Vultr, IP, &server);
    server.faults("POST", [Fault::Said(error(400, "Reserved IP is in another region"))]);
    let error = take_over(&ip).await.expect_err("refused").to_string();
    assert!(
        error.ends_with("refused (400): Reserved IP is in another region"),
        "{error}"
    );

    let (ip, _dir) = floating_ip(CloudKind::Vultr, "192.0.2.124", &server);
    let error = take_over(&ip).await.expect_err("unknown").to_string();
    assert!(
        error.contains("no reserved IP of the key's account has the address 192.0.2.124"),
        "{error}"
    );
}

#[tokio::test]
async fn hb_toml_and_the_metadata_service_should_agree() {
    let (server, _state) = cloud().await;
    let ids = [OURS, THEIRS];
    a_fixed_id_is_held_against_metadata(&server, CloudKind::Vultr, IP, ids, "GET /v1.json").await;
}
