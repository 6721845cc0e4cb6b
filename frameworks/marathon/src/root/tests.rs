use super::*;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn path(text: &str) -> PathId {
    text.parse().unwrap()
}

fn app(id: &str) -> App {
    App::new(path(id), "*", at(1))
}

fn ids<'a>(apps: impl Iterator<Item = &'a Arc<App>>) -> Vec<String> {
    apps.map(|app| app.id.to_string()).collect()
}

#[test]
fn apps_make_their_groups_and_change_their_versions() {
    let mut root = Root::new(at(1));
    root.put(app("/shop/cart/db"), at(2));
    root.put(app("/shop/web"), at(3));
    root.put(app("/shopping"), at(4));
    let groups: Vec<_> = root
        .groups()
        .map(|(id, group)| (id.to_string(), group.version.as_millis()))
        .collect();
    let expected = [("/", 4), ("/shop", 3), ("/shop/cart", 2)];
    assert_eq!(groups, expected.map(|(id, at)| (id.to_owned(), at)));
    assert_eq!(
        ids(root.apps_in(&path("/shop"))),
        ["/shop/cart/db", "/shop/web"]
    );
    let right_in: Vec<_> = root
        .groups_right_in(&PathId::root())
        .map(|(id, _)| id.to_string())
        .collect();
    assert_eq!(right_in, ["/shop"]);
}

#[test]
fn a_group_goes_with_all_that_is_in_it() {
    let mut root = Root::new(at(1));
    for id in ["/shop/a", "/shop/b/c", "/shopping", "/x"] {
        root.put(app(id), at(2));
    }
    assert!(!root.remove_group(&path("/nobody"), at(3)));
    assert!(root.remove_group(&path("/shop"), at(3)));
    assert_eq!(ids(root.apps()), ["/shopping", "/x"]);
    assert!(root.group(&path("/shop/b")).is_none());
    assert_eq!(root.version(), at(3));
    assert!(root.remove_group(&PathId::root(), at(4)));
    assert_eq!(root.apps().count(), 0);
    assert!(root.group(&PathId::root()).is_some());
}

#[test]
fn a_top_level_group_may_enforce_its_role() {
    let mut root = Root::new(at(1));
    root.put(app("/shop/cart/db"), at(2));
    assert_eq!(root.enforced_role(&path("/shop/cart/db")), None);
    let group = Group {
        enforce_role: true,
        ..Group::new(at(3))
    };
    root.put_group(&path("/shop"), group);
    assert_eq!(
        root.enforced_role(&path("/shop/cart/db")),
        Some("shop".to_owned())
    );
    assert_eq!(root.enforced_role(&path("/web")), None);
}

#[test]
fn service_ports_are_unlike_and_kept() {
    let mut root = Root::new(at(1));
    let with_ports = |id: &str, ports: &[u16]| {
        let mut app = app(id);
        let definitions = ports
            .iter()
            .map(|port| crate::app::PortDefinition::tcp(*port));
        app.port_definitions = Some(definitions.collect());
        app
    };
    root.put(with_ports("/taken", &[10_000, 10_002]), at(2));
    let mut ports = ServicePorts::of(&root, 10_000..=10_003);
    let mut first = with_ports("/first", &[0, 5]);
    ports.assign(&mut first, None).unwrap();
    assert_eq!(first.service_ports(), [10_001, 5]);
    let mut again = with_ports("/first", &[0, 0]);
    ports.assign(&mut again, Some(&first)).unwrap();
    assert_eq!(
        again.service_ports(),
        [10_001, 5],
        "they keep what they had"
    );
    let mut last = with_ports("/last", &[0, 0]);
    let error = ports.assign(&mut last, None).unwrap_err();
    assert_eq!((error.from, error.to), (10_000, 10_003));
}
