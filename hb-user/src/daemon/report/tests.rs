use hb_ebpf::liveness::bucket;

use super::*;
use crate::resources::cloud::{InstanceId, Owner};

#[test]
fn how_long_answers_took_is_told_where_there_were_any() {
    let took = |owner| {
        let identity = Ok(InstanceId::new("1").expect("an id"));
        answer(&Readiness {
            asked: Nanos(1_000),
            answered: Nanos(404_000),
            me: identity.clone().ok(),
            identity,
            named: None,
            owner,
            rehearsal: Ok(false),
            is_active: None,
            rate_limit: None,
        })
    };
    let call = || "GET /v2/x".to_owned();
    let refused = |status| Failure::Refused {
        call: call(),
        status,
        message: String::new(),
    };
    let is_changing = false;
    let nobody = Owner {
        instance: None,
        is_changing,
    };
    assert_eq!(took(Ok(nobody)), Some(403));
    assert_eq!(took(Err(refused(404))), Some(403));
    let unreached = Failure::Passing {
        call: call(),
        reason: "connection refused".to_owned(),
    };
    assert_eq!(took(Err(unreached)), None);
}

fn histogram(gaps: &[u64]) -> [u64; BUCKETS] {
    let mut histogram = [0; BUCKETS];
    for gap in gaps {
        histogram[bucket(Nanos(*gap)) as usize] += 1;
    }
    histogram
}

#[test]
fn percentiles_lie_in_the_bucket_of_the_gap() {
    let gaps = [100_000_000; 100];
    let p50 = percentile(&histogram(&gaps), Nanos(100_400_000), 50).expect("there are gaps");
    assert!(
        (67_108..=100_400).contains(&p50),
        "2^26 ns to the longest gap, in us: {p50}"
    );
}

#[test]
fn no_percentile_exceeds_the_longest_gap() {
    for percent in [1, 50, 99, 100] {
        let p = percentile(&histogram(&[5_000, 70_000, 100_000_000]), Nanos(100_000_000), percent);
        assert!(p.expect("there are gaps") <= 100_000, "p{percent}");
    }
}

#[test]
fn percentiles_tell_the_tail_from_the_rest() {
    let mut gaps = vec![1_000_000; 98];
    gaps.extend([500_000_000; 2]);
    let histogram = histogram(&gaps);
    let longest = Nanos(500_000_000);
    assert!(percentile(&histogram, longest, 50).expect("a median") < 2_000);
    assert!(percentile(&histogram, longest, 99).expect("a tail") > 250_000);
}

#[test]
fn the_last_bucket_is_no_overflow() {
    assert_eq!(
        percentile(&histogram(&[u64::MAX]), Nanos(u64::MAX), 100),
        Some((1 << 42) / 1_000)
    );
}

#[test]
fn without_gaps_there_is_no_percentile() {
    assert_eq!(percentile(&[0; BUCKETS], Nanos(0), 50), None);
}
