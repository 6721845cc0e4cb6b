use super::*;
use crate::app::App;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn app(id: &str, dependencies: &[&str]) -> App {
    let mut app = App::new(id.parse().unwrap(), "*", at(1));
    app.cmd = Some("sleep 1000".to_owned());
    app.dependencies = dependencies.iter().map(|id| id.parse().unwrap()).collect();
    app
}

fn root(apps: &[App]) -> Root {
    let mut root = Root::new(at(1));
    for app in apps {
        root.put(app.clone(), at(1));
    }
    root
}

fn plan(from: &Root, to: &Root) -> Vec<Vec<String>> {
    let plan = Plan::between("p".to_owned(), from, to).unwrap();
    let step = |step: &Vec<Action>| {
        let actions = step
            .iter()
            .map(|action| format!("{:?} {}", action.kind, action.id));
        actions.collect()
    };
    plan.steps.iter().map(step).collect()
}

#[test]
fn what_others_depend_on_comes_first() {
    let to = root(&[
        app("/shop/web", &["/shop/api"]),
        app("/shop/api", &["/db"]),
        app("/db", &[]),
        app("/alone", &[]),
    ]);
    assert_eq!(
        plan(&root(&[]), &to),
        [
            vec![
                "Start /alone",
                "Start /db",
                "Start /shop/api",
                "Start /shop/web"
            ],
            vec!["Scale /alone", "Scale /db"],
            vec!["Scale /shop/api"],
            vec!["Scale /shop/web"],
        ]
    );
}

#[test]
fn a_dependency_on_a_group_is_one_on_all_in_it() {
    let mut to = root(&[
        app("/data/a", &[]),
        app("/data/b/c", &["/data/a"]),
        app("/web/x", &[]),
    ]);
    let dependencies = vec!["/data".parse().unwrap()];
    to.put_group(
        &"/web".parse().unwrap(),
        crate::root::Group {
            dependencies,
            ..crate::root::Group::new(at(2))
        },
    );
    assert_eq!(
        plan(&root(&[]), &to)[1..],
        [
            vec!["Scale /data/a"],
            vec!["Scale /data/b/c"],
            vec!["Scale /web/x"]
        ]
    );
}

#[test]
fn apps_that_wait_for_one_another_are_refused() {
    let to = root(&[app("/a", &["/b"]), app("/b", &["/c"]), app("/c", &["/a"])]);
    let cycle = Plan::between("p".to_owned(), &root(&[]), &to).unwrap_err();
    assert_eq!(cycle.apps.len(), 3);
    assert_eq!(
        cycle.to_string(),
        "Dependency graph has cyclic dependencies."
    );
    let own = root(&[app("/a", &["/a"])]);
    assert!(Plan::between("p".to_owned(), &root(&[]), &own).is_err());
}

#[test]
fn only_what_changes_is_touched() {
    let before = [
        app("/a", &[]),
        app("/b", &[]),
        app("/c", &[]),
        app("/d", &[]),
    ];
    let mut after = before.clone();
    after[0].instances = 3;
    after[1]
        .env
        .insert("K".to_owned(), crate::app::EnvValue::Text("v".to_owned()));
    after[2].version = at(9);
    assert_eq!(
        plan(&root(&before), &root(&after[..3])),
        [vec!["Stop /d"], vec!["Scale /a", "Restart /b"]]
    );
    after[1].instances = 0;
    assert_eq!(
        plan(&root(&before), &root(&after)),
        [vec!["Scale /a", "Scale /b"]],
        "what goes down to nothing is not replaced"
    );
}

#[test]
fn a_restart_replaces_though_nothing_differs() {
    let before = app("/a", &[]);
    let mut after = before.clone();
    after.version_info.last_scaling_at = at(5);
    assert_eq!(
        plan(&root(&[before]), &root(&[after])),
        [vec!["Restart /a"]]
    );
}

#[test]
fn reverting_takes_back_its_own_changes_only() {
    let from = root(&[app("/a", &[]), app("/b", &[])]);
    let mut changed = app("/a", &[]);
    changed.instances = 5;
    let to = root(&[changed, app("/b", &[]), app("/new", &[])]);
    let plan = Plan::between("p".to_owned(), &from, &to).unwrap();
    let mut now = to.clone();
    let mut other = app("/b", &[]);
    other.instances = 7;
    now.put(other, at(3));
    let reverted = plan.revert(&now, at(4));
    let instances = |id: &str| reverted.app(&id.parse().unwrap()).map(|app| app.instances);
    assert_eq!(instances("/a"), Some(1));
    assert_eq!(instances("/b"), Some(7));
    assert_eq!(instances("/new"), None);
}

#[test]
fn plans_conflict_when_they_change_the_same_app() {
    let none = root(&[]);
    let plan = |ids: &[&str]| {
        let apps: Vec<_> = ids.iter().map(|id| app(id, &[])).collect();
        Plan::between("p".to_owned(), &none, &root(&apps)).unwrap()
    };
    assert!(plan(&["/a", "/b"]).conflicts_with(&plan(&["/b", "/c"])));
    assert!(!plan(&["/a"]).conflicts_with(&plan(&["/b", "/c"])));
}

#[test]
fn long_chains_are_walked_without_recursion() {
    let apps: Vec<_> = (0..20_000)
        .map(|index| match index {
            0 => app("/a0", &[]),
            _ => app(&format!("/a{index}"), &[&format!("/a{}", index - 1)]),
        })
        .collect();
    let root = root(&apps);
    let classes = Dependencies::of(&root).classes().unwrap();
    assert_eq!(classes[&"/a19999".parse().unwrap()], 19_999);
}
