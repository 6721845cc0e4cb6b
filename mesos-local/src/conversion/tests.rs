use mesos_sdk::v1::offer::operation as op;

use super::*;

fn dynamic(role: &str) -> v1::resource::ReservationInfo {
    v1::resource::ReservationInfo {
        r#type: Some(v1::resource::reservation_info::Type::Dynamic as i32),
        role: Some(role.to_owned()),
        ..Default::default()
    }
}

fn plain(text: &str) -> Resources {
    Resources::parse(text, "*").unwrap()
}

fn reserved(text: &str) -> Resources {
    plain(text).push_reservation(&dynamic("db"))
}

fn volume(id: &str, mib: f64) -> v1::Resource {
    let mut item = reserved(&format!("disk:{mib}")).into_vec().remove(0);
    item.disk = Some(Box::new(v1::resource::DiskInfo {
        persistence: Some(v1::resource::disk_info::Persistence {
            id: id.to_owned(),
            principal: None,
        }),
        volume: Some(v1::Volume {
            container_path: "data".to_owned(),
            mode: v1::volume::Mode::Rw as i32,
            ..Default::default()
        }),
        ..Default::default()
    }));
    item
}

fn operation(kind: Type) -> v1::offer::Operation {
    v1::offer::Operation {
        r#type: Some(kind as i32),
        ..Default::default()
    }
}

fn create(volumes: Vec<v1::Resource>) -> v1::offer::Operation {
    v1::offer::Operation {
        create: Some(op::Create { volumes }),
        ..operation(Type::Create)
    }
}

#[test]
fn a_volume_is_made_of_reserved_disk_and_gives_it_back() {
    let data = volume("v", 64.0);
    let made = Conversion::of(&create(vec![data.clone()])).unwrap();
    assert_eq!(made.consumed, reserved("disk:64"));
    assert_eq!(made.made, Resources::from(vec![data.clone()]));
    let destroyed = Conversion::of(&v1::offer::Operation {
        destroy: Some(op::Destroy {
            volumes: vec![data],
        }),
        ..operation(Type::Destroy)
    });
    let destroyed = destroyed.unwrap();
    assert_eq!(destroyed.consumed, made.made);
    assert_eq!(destroyed.made, made.consumed);
}

#[test]
fn volumes_grow_and_shrink() {
    let data = volume("v", 64.0);
    let addition = reserved("disk:16").into_vec().remove(0);
    let grown = Conversion::of(&v1::offer::Operation {
        grow_volume: Some(op::GrowVolume {
            volume: data.clone(),
            addition,
        }),
        ..operation(Type::GrowVolume)
    });
    assert_eq!(
        grown.unwrap().made,
        Resources::from(vec![volume("v", 80.0)])
    );
    let shrink = |by: f64| {
        Conversion::of(&v1::offer::Operation {
            shrink_volume: Some(op::ShrinkVolume {
                volume: data.clone(),
                subtract: v1::value::Scalar { value: by },
            }),
            ..operation(Type::ShrinkVolume)
        })
    };
    let shrunk = Resources::from(vec![volume("v", 48.0)]) + reserved("disk:16");
    assert_eq!(shrink(16.0).unwrap().made, shrunk);
    assert_eq!(
        shrink(64.0).unwrap_err(),
        "Value of 'ShrinkVolume.subtract' must be smaller than the size of \
         'ShrinkVolume.volume'"
    );
    assert!(shrink(0.0).is_err());
}

#[test]
fn a_reservation_is_changed_from_its_source() {
    let reserve = |source: Resources, resources: Resources| {
        Conversion::of(&v1::offer::Operation {
            reserve: Some(op::Reserve {
                source: source.into_vec(),
                resources: resources.into_vec(),
            }),
            ..operation(Type::Reserve)
        })
    };
    let other = plain("cpus:2").push_reservation(&dynamic("web"));
    let changed = reserve(reserved("cpus:2"), other.clone()).unwrap();
    assert_eq!(changed.consumed, reserved("cpus:2"));
    assert_eq!(changed.made, other);
    let more = reserve(reserved("cpus:1"), other).unwrap_err();
    assert_eq!(
        more,
        "Source and target resources should refer to identical resource quantities: cpus:1 vs. \
         cpus:2"
    );
}

#[test]
fn the_id_of_a_volume_cannot_leave_its_directory() {
    for id in ["../x", "a/b", "..", ""] {
        let refused = Conversion::of(&create(vec![volume(id, 1.0)])).unwrap_err();
        assert!(refused.contains("Invalid persistence ID"), "{refused}");
    }
    let twice = Conversion::of(&create(vec![volume("v", 1.0), volume("v", 1.0)]));
    assert_eq!(twice.unwrap_err(), "Persistence ID 'v' is not unique");
}

#[test]
fn what_was_kept_takes_the_place_of_what_it_was_made_of() {
    let started_with = plain("cpus:4;disk:100").into_vec();
    let mut total = plain("cpus:4;disk:36") + Resources::from(vec![volume("v", 64.0)]);
    let kept = to_keep(&started_with, &total);
    assert_eq!(kept, Resources::from(vec![volume("v", 64.0)]));
    assert_eq!(with_kept(&started_with, &kept.to_vec()), total);
    total -= plain("cpus:1");
    total += reserved("cpus:1");
    let kept = to_keep(&started_with, &total);
    assert_eq!(with_kept(&started_with, &kept.into_vec()), total);
    // A volume beside a reservation that it could have been made of.
    total -= plain("disk:32");
    total += reserved("disk:32");
    let mut kept = to_keep(&started_with, &total).into_vec();
    assert_eq!(with_kept(&started_with, &kept), total);
    kept.reverse();
    assert_eq!(with_kept(&started_with, &kept), total);
}
