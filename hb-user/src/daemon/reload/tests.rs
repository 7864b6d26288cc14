use super::*;

#[test]
fn what_is_remembered_goes_with_its_node_or_group() {
    let old = [Some("a"), None, Some("c")];
    assert_eq!(
        carried(&old, &[Some(2), None, Some(0), Some(1), Some(9)]),
        [Some("c"), None, Some("a"), None, None]
    );
}

#[test]
fn nodes_go_by_their_names_and_groups_by_their_first_resources() {
    let old = crate::config::testing::cluster();
    let mut new = old.clone();
    assert_eq!(
        Change::between(&old, &new),
        Change {
            nodes: (0..old.nodes.len()).map(Some).collect(),
            groups: (0..old.groups.len()).map(Carry::Kept).collect(),
        }
    );
    new.nodes.insert(0, "first".to_owned());
    new.groups.reverse();
    let last = old.groups.len() - 1;
    let change = Change::between(&old, &new);
    assert_eq!(change.nodes[..2], [None, Some(0)]);
    assert_eq!(change.groups[0], Carry::Kept(last));

    // Other resources behind the same first one, and another first one.
    let mut more = old.clone();
    let resource = more.groups[0].resources[0].clone();
    more.groups[0].resources.push(resource);
    assert_eq!(Change::between(&old, &more).groups[0], Carry::Changed(0));
    more.groups[0].resources[0].args.push("other".to_owned());
    assert_eq!(Change::between(&old, &more).groups[0], Carry::New);
}
