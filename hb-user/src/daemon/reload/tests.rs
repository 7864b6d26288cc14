use super::*;

#[test]
fn what_is_remembered_goes_with_its_node_or_group() {
    let old = [Some("a"), None, Some("c")];
    assert_eq!(
        carried(&old, &[Some(2), None, Some(0), Some(1), Some(9)]),
        [Some("c"), None, Some("a"), None, None]
    );
}
