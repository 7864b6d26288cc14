use std::time::Duration;

use super::*;

fn object(failed: &Failed) -> Value {
    let asked = fields(json!({ "address": "203.0.113.10" }));
    Value::Object(failed.object(asked))
}

#[test]
fn a_failure_says_what_it_is_and_what_is_known() {
    let call = || "POST /".to_owned();
    let message = || "words".to_owned();
    let theirs = || Owner {
        instance: InstanceId::new("2"),
        is_changing: false,
    };
    let table = [
        (
            MoveError::Failed(cloud::Failure::Throttled {
                call: call(),
                message: message(),
                wait: Duration::from_millis(1500),
            }),
            Exit::Failed,
            json!({ "class": "throttled", "retry_after_s": 1.5, "error": "POST /: too many requests, to be left alone for 1.5 s: words" }),
        ),
        (
            MoveError::Failed(cloud::Failure::Unauthorised {
                call: call(),
                status: 403,
                message: message(),
                hint: "check it",
            }),
            Exit::NotPermitted,
            json!({
                "class": "unauthorised", "status": 403, "error": "POST /: access refused (403: words): check it",
            }),
        ),
        (
            MoveError::Contended { owner: theirs() },
            Exit::NotOurs,
            json!({
                "class": "contended", "owner": "2", "changing": false,
                "error": "the address belongs to 2, which was not its owner when it was last seen: not taken",
            }),
        ),
        (
            MoveError::Deadline {
                within: Duration::from_secs(5),
                last: message(),
            },
            Exit::NotInTime,
            json!({ "class": "deadline", "error": "not assigned within 5 s; last: words" }),
        ),
    ];
    for (error, exit, mut expected) in table {
        let failed = Failed::refused(error);
        assert_eq!(failed.failure.exit, exit);
        expected["address"] = "203.0.113.10".into();
        assert_eq!(object(&failed), expected);
    }
}

#[test]
fn what_was_known_before_is_there_unless_the_failure_knows_better() {
    let noted = Noted::default();
    let owner = Owner {
        instance: InstanceId::new("2"),
        is_changing: false,
    };
    let (watch, at) = (noted.watch(Arc::new(|_| ())), clock::now());
    watch(&Progress::Found {
        owner: owner.clone(),
        at,
    });
    watch(&Progress::Accepted {
        action: cloud::ActionId::new("7"),
        at,
    });
    let before = fields(json!({ "owner": "1", "address": "digitalocean::203.0.113.10" }));
    let failed = Failed::refused(MoveError::NotOurs { owner });
    let object = object(&failed.knowing(noted.known()).knowing(before));
    assert_eq!(
        (&object["address"], &object["owner"], &object["from"], &object["action"]),
        (
            &json!("digitalocean::203.0.113.10"),
            &json!("2"),
            &json!("2"),
            &json!("7")
        )
    );
    assert!(
        object["accepted_us"].is_u64() && object.get("completed_us").is_none(),
        "{object}"
    );
}
